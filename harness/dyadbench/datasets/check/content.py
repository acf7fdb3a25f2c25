"""Whether parts of a dataset hold the same data: a copy of the test set among the training data, say."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from dyadbench.datasets.check.finding import SPLIT, Finding, error, warn


class Contents:
    """Digests of what clips hold, by kind (motion, emotion) and split."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)  # (kind, split) -> digest -> first name

        self._twice: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, kind: str, split: str, name: str, values: np.ndarray) -> None:
        """A clip's values; constant ones are left out, since any two clips may share them."""
        if values.size == 0 or (values == values[:1]).all():
            return
        digest = hashlib.sha256(np.ascontiguousarray(values, np.float32).data).hexdigest()
        if digest in (names := self._at[kind, split]):
            self._twice[kind, split].append(f"{names[digest]} = {name}")
        else:
            names[digest] = name

    def findings(self) -> Iterator[Finding]:
        """What is in two splits, and what is in one split twice, as one finding per kind and splits."""
        kinds = {kind for kind, _ in self._at}
        for kind in sorted(kinds):
            for (a, first), (b, second) in combinations([(s, d) for (k, s), d in self._at.items() if k == kind], 2):
                shared = [digest for digest in first if digest in second]
                if shared:
                    pairs = [f"{a}: {first[d]} = {b}: {second[d]}" for d in shared]
                    yield error(
                        f"{len(shared)} of {len(second)} recordings in {b} have the same {kind} as in {a}",
                        _some(pairs), "a method is tested on what it was trained on or chosen by", "restore both from the release", SPLIT,
                    )  # fmt: skip
        for (kind, split), pairs in self._twice.items():
            yield warn(f"{len(pairs)} recordings in {split} have the {kind} of another one there", _some(pairs),
                       "they count double", "remove the copies")  # fmt: skip


def _some(pairs: list[str]) -> str:
    return ", ".join(pairs[:2]) + (f" and {len(pairs) - 2} more" if len(pairs) > 2 else "")

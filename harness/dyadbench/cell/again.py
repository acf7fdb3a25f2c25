"""Before a cell runs: warnings (other code made what it reuses; it learns from what it is scored on), and `--fresh`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from dyadbench.cell.run import CellRun
from dyadbench.datasets.sessions import shared_sessions
from dyadbench.store.folders import MAKER, Maker


def stages_of(run: CellRun) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(name, key, hashes of the code) of every stage that plugins are at work in, in the order in which they run."""
    for part in run.parts:
        if part.cell.tokenizer is not None:
            yield "fit", part.tokenizer_key, part.sources("tokenizer", "dataset")
        whole = part.sources("predictor", "tokenizer", "dataset")
        yield "fit", part.fit_key, whole
        yield "generate", part.generate_key, whole
        if part.cell.tokenizer is not None:
            yield "tokens", part.scoring.tokens_key, part.sources("tokenizer")
    for name, suite in run.suites.items():
        yield "score", run.scoring.key(name, suite), run.host.sources_of({"suite": name})


def warn_of_other_code(run: CellRun, mentioned: set[str]) -> None:
    """Says on stderr, once per component, that what is reused was made by other code at the same version.

    Keys hold versions and not code: a comment must not cost a training. Whether numbers changed only the author can say.
    `mentioned` holds the components that a line was written about before.
    """
    for name, key, now in stages_of(run):
        stage = run.runtime.store.stage(name, key)
        maker = stage.read(MAKER, Maker) if stage.done else None
        for component, code in now.items():
            if maker is None or maker.sources.get(component, code) == code or component in mentioned:
                continue
            mentioned.add(component)
            kind, _, label = component.partition(" ")
            reason = (
                "its columns still have their versions; raise those of the columns that changed"
                if kind == "suite"
                else f"its version is still {run.host.get(kind, label).version}; raise the version of its entry"
            )
            print(
                f"dyadbench: the code of {kind} {label!r} has changed, and {run.cell.name} uses results that the code of before "
                f"made, because {reason}, or add --fresh to make them again",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def warn_of_shared_sessions(run: CellRun, mentioned: set[str]) -> None:
    """Says on stderr, once per dataset, that sessions of the scored split are also learnt from.

    It is no error, for a release may be dealt so. `mentioned` holds what a line was written about before.
    """
    part, dataset = run.parts[0], run.cell.dataset
    if (component := f"sessions of {dataset.model_dump_json()}") in mentioned:
        return
    mentioned.add(component)
    for split in ("train", "val"):
        if split == part.split.name:
            continue
        try:
            pair = {split: part.dataset.clips(split), part.split.name: part.split.clips}
        except Exception:  # of whoever's dataset: a split that cannot be read is named where it is needed
            continue
        for _, _, both, count in shared_sessions(pair):
            print(
                f"dyadbench: {dataset.name}: {len(both)} of the {count} sessions that are scored are also in split {split!r}, the first "
                f"is {both[0]}; scores flatter what is trained or chosen on them",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def forget(run: CellRun, forgotten: set[str]) -> None:
    """Throws away what the store has of this cell, but for the keys in `forgotten`, which this run has thrown away already:
    a tokenizer that several cells share is trained once. Raises DyadbenchError where another run is at work in a stage."""
    for name, key, _ in stages_of(run):
        if key not in forgotten and (run.runtime.store.stage(name, key).folder / MAKER).exists():
            with run.runtime.store.hold(name, key, wait=0) as stage:
                stage.reopen()
                stage.clear()
        forgotten.add(key)

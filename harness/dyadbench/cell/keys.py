"""The store keys of what a cell learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dyadbench.matrix.cells import Cell
from dyadbench.matrix.keys import key_of
from dyadbench.registry.host import Host


@dataclass(frozen=True)
class FitKeys:
    """What a cell learns goes by these; `sampling` is what only sampling reads, which trains nothing anew."""

    predictor: str
    tokenizer: str  # "" where there is none
    sampling: dict[str, Any]


def fit_keys(cell: Cell, host: Host, digest: str) -> FitKeys:
    """The keys of what `cell` learns on a data set with this digest."""
    source = {"dataset": cell.dataset.model_dump(mode="json"), "digest": digest, "seed": cell.seed}
    method = cell.identity()
    only = host.get("predictor", cell.predictor.name).config.sampling
    config = method["predictor"]["config"]
    method["predictor"]["config"] = {name: value for name, value in config.items() if name not in only}
    drawn = {"sampling": {name: config[name] for name in sorted(only)}} if only else {}
    tokenizer = ""
    if cell.tokenizer is not None:  # shared by every predictor that stands on it
        tokenizer = key_of("fit", method={"tokenizer": cell.tokenizer.model_dump(mode="json")}, **source)
    return FitKeys(key_of("fit", method=method, **source), tokenizer, drawn)

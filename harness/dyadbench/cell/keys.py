"""The store keys of what a cell learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dyadbench.datasets.folds import VERSION as FOLDS_VERSION
from dyadbench.matrix.cells import Cell
from dyadbench.matrix.keys import key_of
from dyadbench.registry.host import Host


@dataclass(frozen=True)
class FitKeys:
    """Store keys of the trained parts. `sampling`: settings that only affect sampling; changing them does not retrain."""

    predictor: str
    tokenizer: str  # "" where there is none
    sampling: dict[str, Any]
    made_of: dict[str, dict[str, Any]]  # "predictor" and "tokenizer" -> what its key is the hash of


def source_of(cell: Cell, digest: str, fold: int | None = None) -> dict[str, Any]:
    """What a cell learns from: a dataset with this digest, or one fold of it."""
    source = {"dataset": cell.dataset.model_dump(mode="json"), "digest": digest}
    if fold is None:
        return source
    return {**source, "fold": {"number": fold, "of": cell.setting.folds, "version": FOLDS_VERSION}}


def fit_keys(cell: Cell, host: Host, digest: str, fold: int | None = None) -> FitKeys:
    """The keys of what `cell` learns on a dataset with this digest, in one fold where it is cross-validated."""
    # Neither device, threads nor number of processes: they may change no number, so they are in no key.
    source = {**source_of(cell, digest, fold), "seed": cell.seed}
    method = cell.identity()
    only = host.get("predictor", cell.predictor.name).config.sampling
    config = method["predictor"]["config"]
    # Without what only sampling reads: another temperature uses the same weights.
    method["predictor"]["config"] = {name: value for name, value in config.items() if name not in only}
    sampled_with = {"sampling": {name: config[name] for name in sorted(only & config.keys())}} if only else {}
    made_of = {"predictor": {"method": method, **source}}
    if cell.tokenizer is not None:  # shared by every predictor that stands on it
        made_of["tokenizer"] = {"method": {"tokenizer": cell.tokenizer.model_dump(mode="json")}, **source}
    keys = {kind: key_of("fit", **parts) for kind, parts in made_of.items()}
    return FitKeys(keys["predictor"], keys.get("tokenizer", ""), sampled_with, made_of)

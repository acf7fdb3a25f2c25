"""The store keys of what a cell learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyadbench.datasets.folds import VERSION as FOLDS_VERSION
from dyadbench.files.digest import digest_of
from dyadbench.matrix.cells import Cell, Part
from dyadbench.matrix.keys import key_of
from dyadbench.registry.host import ComponentKind, Host


@dataclass(frozen=True)
class FitKeys:
    """Store keys of the trained parts. `sampling`: settings that only affect sampling; changing them does not retrain."""

    predictor: str
    tokenizer: str  # "" where there is none
    sampling: dict[str, Any]
    made_of: dict[str, dict[str, Any]]  # "predictor" and "tokenizer" -> what its key is the hash of


def source_of(cell: Cell, host: Host, digest: str, fold: int | None = None) -> dict[str, Any]:
    """What a cell learns from: a dataset with this digest, or one fold of it."""
    source = {"dataset": _by_content(host, "dataset", cell.dataset), "digest": digest}
    if fold is None:
        return source
    return {**source, "fold": {"number": fold, "of": cell.setting.folds, "version": FOLDS_VERSION}}


def fit_keys(cell: Cell, host: Host, digest: str, fold: int | None = None) -> FitKeys:
    """The keys of what `cell` learns on a dataset with this digest, in one fold where it is cross-validated."""
    # Neither device, threads nor number of processes: they may change no number, so they are in no key.
    source = {**source_of(cell, host, digest, fold), "seed": cell.seed}
    method = {"predictor": _by_content(host, "predictor", cell.predictor)}
    only = host.get("predictor", cell.predictor.name).config.sampling
    config = method["predictor"]["config"]
    # Without what only sampling reads: another temperature uses the same weights.
    method["predictor"]["config"] = {name: value for name, value in config.items() if name not in only}
    sampled_with = {"sampling": {name: config[name] for name in sorted(only & config.keys())}} if only else {}
    made_of = {"predictor": {"method": method, **source}}
    if cell.tokenizer is not None:  # shared by every predictor that stands on it
        method["tokenizer"] = _by_content(host, "tokenizer", cell.tokenizer)
        made_of["tokenizer"] = {"method": {"tokenizer": method["tokenizer"]}, **source}
    keys = {kind: key_of("fit", **parts) for kind, parts in made_of.items()}
    return FitKeys(keys["predictor"], keys.get("tokenizer", ""), sampled_with, made_of)


def machine_paths(host: Host, kind: ComponentKind, name: str) -> frozenset[str]:
    """Which fields of a component may hold a path of this machine; none for one that is not registered."""
    return next((entry.config.machine_paths for entry in host.entries(kind) if entry.name == name), frozenset())


def _by_content(host: Host, kind: ComponentKind, part: Part) -> dict[str, Any]:
    """A component as keys know it: where its configuration names a file or folder of this machine, what lies there counts."""
    paths = machine_paths(host, kind, part.name)
    config = {name: _content(value) if name in paths else value for name, value in part.config.items()}
    return {**part.model_dump(mode="json"), "config": config}


def _content(value: Any) -> Any:
    """The digest of the file or folder that a value names; the value itself where there is none, as for a model's hub name."""
    return f"sha256:{digest_of(Path(value))}" if value and Path(value).exists() else value

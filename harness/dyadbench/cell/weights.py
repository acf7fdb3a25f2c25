"""Fits as files that are shipped: out of the store, and into the store of somebody who then trains nothing.

A file holds the state of one component and, in its metadata, what the key of its fit is the hash of. It goes into a store
under that key alone, and only if its content has the hash that its maker wrote down. So a file of another version, another
configuration, other data or another seed is either refused or never asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dyadbench.api import Config, DyadbenchError
from dyadbench.cell.run import CellRun
from dyadbench.errors import first_fault
from dyadbench.files.atomic import atomic_write
from dyadbench.matrix.keys import canonical, key_of
from dyadbench.records.record import slug
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder, Store
from dyadbench.training.fit import STATE, learns

FORMAT = "dyadbench-weights/1"
MOST = 2 << 20  # bytes of a file: weights are committed, and a clone has them all
SUFFIX = ".safetensors"


class Label(Config):
    """The metadata of a file of weights."""

    format: str
    kind: str  # "predictor" or "tokenizer"
    key: str
    made_of: Mapping[str, Any]  # what the key is the hash of
    facts: Mapping[str, Any]  # what the fit cost, and its curves
    content: str = Field(min_length=64, max_length=64)  # sha256 of the tensors

    @property
    def part(self) -> Mapping[str, Any]:
        """Name, version and configuration of the component."""
        part: Mapping[str, Any] = self.made_of["method"][self.kind]
        return part


@dataclass(frozen=True)
class Learnt:
    """One component of a cell that is fitted."""

    kind: str
    name: str
    made_of: Mapping[str, Any]
    stage: Folder


def learnt_parts(run: CellRun) -> Iterator[Learnt]:
    """The tokenizer and the predictor of a cell, as far as they learn. Builds them, and fits nothing."""
    more: dict[str, Any] = {}
    for kind, key in (("tokenizer", run.tokenizer_key), ("predictor", run.fit_key)):
        part = getattr(run.cell, kind)
        if part is None:
            continue
        component = run.host.build(kind, part.name, part.config, run.setup, **more)
        if learns(component):
            yield Learnt(kind, part.name, run.made_of[kind], run.runtime.store.stage("fit", key))
        if kind == "tokenizer":
            more = {"tokenizer": component}


def export(run: CellRun, folder: Path) -> list[Path]:
    """Writes the fits of a cell into `folder`, a file each.

    One that is there under this key is replaced, for what was trained again may have other weights.

    Raises DyadbenchError where something was not fitted yet, or is too large to be committed.
    """
    paths = []
    for learnt in learnt_parts(run):
        stage = learnt.stage
        if not stage.done:
            raise DyadbenchError(
                f"{learnt.kind} {learnt.name} of {run.cell.name} has no fit in the store; run the cell first"
            )
        path = folder / f"{slug(learnt.name)}-{stage.key[:16]}{SUFFIX}"
        data = _packed(learnt, (stage.folder / STATE).read_bytes(), stage.read_json("fit.json"))
        if len(data) > MOST:
            raise DyadbenchError(
                f"the weights of {learnt.name} take {len(data) / 2**20:.1f} MiB, and {MOST >> 20} are allowed; export a smaller preset"
            )
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
        paths.append(path)
    return paths


def _packed(learnt: Learnt, state: bytes, facts: Mapping[str, Any]) -> bytes:
    from safetensors.torch import load, save

    tensors = load(state)
    label = Label(
        format=FORMAT, kind=learnt.kind, key=learnt.stage.key, made_of=learnt.made_of, facts=facts, content=_hash(tensors)
    )  # fmt: skip
    return save(tensors, {"dyadbench": canonical(label.model_dump(mode="json"))})


def _hash(tensors: Mapping[str, Any]) -> str:
    """sha256 over names, types, shapes and bytes."""
    import torch

    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        flat = value.contiguous().reshape(-1)
        total.update(canonical([name, str(value.dtype), list(value.shape)]).encode())
        total.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return total.hexdigest()


def read_label(path: Path) -> tuple[Label, dict[str, Any]]:
    """The label and tensors of a file of weights. Raises DyadbenchError where it does not match its own key."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("dyadbench", "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
        label = Label.model_validate_json(text)
        if label.format != FORMAT:
            raise ValueError(f"its format is {label.format!r}, this program reads {FORMAT!r}")
        part = label.part
        if not {"name", "version", "config"} <= part.keys():
            raise ValueError("it does not say of which component it is")
    except ValidationError as error:
        raise DyadbenchError(f"{path} is no file of weights: {first_fault(error)}") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DyadbenchError(f"{path} is no file of weights: {error}") from None
    if key_of("fit", **label.made_of) != label.key or not path.stem.endswith(label.key[:16]):
        raise DyadbenchError(f"{path} was not fitted for the key that it names; it is not installed")
    if _hash(tensors) != label.content:
        raise DyadbenchError(f"the weights in {path} are not those that its label was written for; it is not installed")
    return label, tensors


def install(path: Path, store: Store, host: Host) -> bool:
    """Puts a file of weights into the store under its key; False where the store has that fit already.

    Raises DyadbenchError for a file that does not match its key, and for a component that is not installed in the version
    that was fitted: no key would ever lead to it.
    """
    label, tensors = read_label(path)
    part = label.part
    entry: Any = host.get(label.kind, part["name"])
    if entry.version != part["version"]:
        raise DyadbenchError(
            f"{path} was fitted by version {part['version']} of {part['name']}; version {entry.version} is installed, which would "
            "not use it"
        )
    with store.hold("fit", label.key, plugin=host.plugin_of(entry)) as stage:
        if stage.done:
            return False
        from safetensors.torch import save

        atomic_write(stage.folder / STATE, save(tensors))
        stage.write_json("fit.json", json.loads(canonical(dict(label.facts))))
        stage.finish()
    return True

"""What a record holds of its cell, and the way back from a record to the cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import BenchmarkConfig, DyadbenchError
from dyadbench.cell.keys import machine_paths
from dyadbench.errors import first_fault
from dyadbench.matrix.cells import Cell, Part, PartSpec, resolve_config, resolve_part
from dyadbench.records.record import Record
from dyadbench.registry.host import ComponentKind, Host


def cell_of(record: Record, host: Host) -> Cell:
    """The cell, as far as a record says, as this installation would run it: fields that came later have their defaults.

    Raises DyadbenchError where a part of it is not installed, the benchmark has settings that this version does not know, or
    the record was scored from a file.
    """
    if record.scored_from:
        raise DyadbenchError(
            f"{record.method} was scored from a file ({record.scored_from}); only its author can make it"
        )
    try:
        setting = BenchmarkConfig.model_validate(record.benchmark_config.model_dump())
    except ValidationError as error:
        raise DyadbenchError(
            f"the benchmark of the record of {record.method} is not one of this version: {first_fault(error, BenchmarkConfig)}"
        ) from None
    predictor = _part(host, "predictor", Part.model_validate(record.method_config["predictor"]))
    tokenizer = record.method_config.get("tokenizer")
    return Cell(
        benchmark=record.benchmark, setting=setting, method=record.method, seed=record.seed,
        dataset=resolve_part(host, "dataset", PartSpec(name=record.dataset.name, config=record.dataset.config)),
        predictor=predictor, tokenizer=None if tokenizer is None else _part(host, "tokenizer", Part.model_validate(tokenizer)),
    )  # fmt: skip


def recorded_config(host: Host, part: Part) -> dict[str, Any]:
    """The whole configuration of a dataset as a record holds it: without files and folders of this machine."""
    paths = machine_paths(host, "dataset", part.name)
    return {k: v for k, v in part.config.items() if k not in paths or not (v and Path(v).exists())}


def _part(host: Host, kind: ComponentKind, part: Part) -> Part:
    entry = host.get(kind, part.name)
    return Part(name=entry.name, version=entry.version, config=resolve_config(kind, entry, part.config))

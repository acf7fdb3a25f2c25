"""From a matrix file to cells: what is to be run, said once, canonically.

A matrix is a flat TOML file without inheritance. A cell is benchmark x method x seed with every default
filled in; its canonical JSON is what a job is given and what keys are made from. Device, paths, batch size and
thread count are not in it, because they must not be able to change a number.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_serializer

from dyadbench.api import BenchmarkConfig, ComponentEntry, Config, DyadbenchError
from dyadbench.errors import first_fault
from dyadbench.matrix.keys import canonical
from dyadbench.matrix.settings import merge, nest, overrides_of
from dyadbench.matrix.slurm import SlurmOptions
from dyadbench.registry.host import Host


class PartSpec(Config):
    """One component as a matrix file names it; keys beside `name` and `preset` are configuration."""

    name: str
    preset: str | None = None
    config: Mapping[str, Any] = {}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> PartSpec:
        rest = {k: v for k, v in table.items() if k not in {"name", "preset", "config"}}
        return cls(name=table.get("name", ""), preset=table.get("preset"), config={**table.get("config", {}), **rest})


class MethodSpec(Config):
    """One [[method]] of a matrix: a registered method by name, or a tokenizer and a predictor put together."""

    name: str
    of: str = ""  # an ablation names its method: it is shown with that one and never ranked
    preset: str | None = None
    seeds: tuple[int, ...] | None = None  # overrides the matrix: one seed is enough where nothing is random
    tokenizer: Mapping[str, Any] | None = None
    predictor: Mapping[str, Any] | None = None
    devices: int = Field(default=1, ge=1)  # GPUs, or processes on CPUs, that one cell trains and samples on
    settings: Mapping[str, Any] = {}  # dotted overrides: {"predictor.layers": 4}


class Matrix(Config):
    """What to run."""

    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    method: tuple[MethodSpec, ...] = Field(min_length=1)
    datasets: Mapping[str, Mapping[str, Any]] = {}  # dataset_config overrides by benchmark name
    slurm: SlurmOptions = SlurmOptions()


class Part(Config):
    """A component with every default filled in."""

    name: str
    version: int
    config: Mapping[str, Any]


class Cell(Config):
    """One thing to run, complete in itself."""

    benchmark: str
    benchmark_version: int
    setting: BenchmarkConfig
    dataset: Part
    method: str
    of: str = ""
    preset: str | None = None
    predictor: Part
    tokenizer: Part | None = None
    seed: int = 0
    limit: int = Field(default=0, ge=0)  # clips of every split; 0: all, and only then does a record count

    @model_serializer(mode="wrap")
    def _without_limit(self, handler: Callable[[Cell], dict[str, Any]]) -> dict[str, Any]:
        """Without `limit` where there is none: what was written before it existed stays as it was."""
        return {name: value for name, value in handler(self).items() if name != "limit" or value}

    @property
    def name(self) -> str:
        part = f" / {self.limit} clips per split" if self.limit else ""
        return f"{self.benchmark} / {self.method} / seed {self.seed}{part}"

    def json_text(self) -> str:
        return canonical(self.model_dump(mode="json"))

    def identity(self) -> dict[str, Any]:
        """The method's share of every key."""
        parts = {"predictor": self.predictor.model_dump(mode="json")}
        if self.tokenizer:
            parts["tokenizer"] = self.tokenizer.model_dump(mode="json")
        return parts


def read_matrix(path: Path) -> Matrix:
    """Reads a TOML matrix; every mistake in it becomes one sentence that names the file and the field."""
    try:
        return Matrix.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DyadbenchError(
            f"there is no matrix file {path}; `dyadbench list` names the benchmarks and methods"
        ) from None
    except ValidationError as error:
        raise DyadbenchError(f"{path}: {first_fault(error)}") from None
    except (ValueError, OSError, RecursionError) as error:  # TOML and UTF-8 faults are ValueErrors
        raise DyadbenchError(f"{path} is not valid TOML: {error}") from None


def resolve_part(host: Host, kind: str, spec: PartSpec, overrides: Mapping[str, Any] | None = None) -> Part:
    """Fills in preset and defaults. Unknown names, presets and fields are each one clear sentence."""
    entry = host.get(kind, spec.name)
    chosen: dict[str, Any] = {}
    if spec.preset is not None:
        if entry.presets and spec.preset not in entry.presets:
            known = ", ".join(sorted(entry.presets))
            raise DyadbenchError(f"{kind} {spec.name!r} has no preset {spec.preset!r}; it has {known}")
        chosen = dict(entry.presets.get(spec.preset, {}))
    chosen = merge(merge(chosen, spec.config), nest(overrides or {}))
    return Part(name=entry.name, version=entry.version, config=resolve_config(kind, entry, chosen))


def resolve_config(kind: str, entry: ComponentEntry, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return entry.config.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        raise DyadbenchError(f"configuration of {kind} {entry.name!r}: {first_fault(error)}") from None


def _parts_of(host: Host, spec: MethodSpec) -> tuple[PartSpec, PartSpec | None]:
    if spec.predictor is not None:
        return PartSpec.of(spec.predictor), PartSpec.of(spec.tokenizer) if spec.tokenizer else None
    if spec.tokenizer is not None:
        raise DyadbenchError(f"method {spec.name!r} names a tokenizer but no predictor; add predictor = {{name = ...}}")
    if spec.name in {entry.name for entry in host.entries("method")}:
        entry = host.get("method", spec.name)
        return (
            PartSpec(name=entry.predictor, preset=spec.preset),
            PartSpec(name=entry.tokenizer, preset=spec.preset) if entry.tokenizer else None,
        )
    host.get("predictor", spec.name)  # says what exists where the name does not
    return PartSpec(name=spec.name, preset=spec.preset), None


def method_parts(host: Host, spec: MethodSpec, *, default_preset: str | None = None) -> tuple[Part, Part | None]:
    """The resolved predictor and tokenizer of a method; a part without `default_preset` falls back to its defaults."""

    def resolved(kind: str, part: PartSpec | None) -> Part | None:
        if part is None:
            return None
        if part.preset is None and default_preset in host.get(kind, part.name).presets:
            part = part.model_copy(update={"preset": default_preset})
        bare = kind == "predictor" and tokenizer is None
        return resolve_part(host, kind, part, overrides_of(spec.settings, kind, bare=bare))

    predictor, tokenizer = _parts_of(host, spec)
    found = resolved("predictor", predictor)
    assert found is not None
    return found, resolved("tokenizer", tokenizer)


def make_cell(
    host: Host,
    benchmark: str,
    spec: MethodSpec,
    seed: int,
    dataset_overrides: Mapping[str, Any] | None = None,
    limit: int = 0,
) -> Cell:
    """One cell with everything resolved; raises DyadbenchError naming the first thing that does not exist."""
    entry = host.get("benchmark", benchmark)
    setting = entry.config
    host.get("suite", setting.suite)
    data = PartSpec(name=setting.dataset, config=merge(setting.dataset_config, dataset_overrides or {}))
    predictor, tokenizer = method_parts(host, spec)
    return Cell(
        benchmark=benchmark,
        benchmark_version=entry.version,
        setting=setting,
        dataset=resolve_part(host, "dataset", data),
        method=spec.name,
        of=spec.of,
        preset=spec.preset,
        predictor=predictor,
        tokenizer=tokenizer,
        seed=seed,
        limit=limit,
    )


def cells_of(host: Host, matrix: Matrix, limit: int = 0) -> list[Cell]:
    """All cells, benchmark by benchmark, in the order of the file. Two [[method]]s of one name are refused."""
    names = [method.name for method in matrix.method]
    for name in names:
        if names.count(name) > 1:
            raise DyadbenchError(f"two [[method]] tables are named {name!r}; a leaderboard could not tell them apart")
    return [
        make_cell(host, benchmark, method, seed, matrix.datasets.get(benchmark), limit)
        for benchmark in matrix.benchmarks
        for method in matrix.method
        for seed in method.seeds or matrix.seeds
    ]

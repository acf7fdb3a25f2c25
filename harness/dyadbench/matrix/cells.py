"""From a matrix file to cells: what is to be run, said once, canonically.

A matrix is a flat TOML file without inheritance. A cell is benchmark x method x seed with every default
filled in; its canonical JSON is what a job is given and what keys are made from. Device, paths, batch size and
thread count are not in it, because they must not be able to change a number.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError, model_serializer, model_validator

from dyadbench.api import BenchmarkConfig, ComponentEntry, Config, DyadbenchError
from dyadbench.errors import demand_row_name, first_fault, nearest
from dyadbench.files.walk import expanded
from dyadbench.matrix.keys import canonical
from dyadbench.matrix.settings import combinations, merge, row_name, settings_by_part
from dyadbench.matrix.slurm import SlurmOptions
from dyadbench.registry.host import ComponentKind, Host


class PartSpec(Config):
    """One component as a matrix file names it; keys beside `name` and `preset` are configuration."""

    name: str
    preset: str | None = None
    config: Mapping[str, Any] = {}

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str) -> PartSpec:
        """Raises DyadbenchError where the table is none; `where` says of which method and part it is."""
        rest = {k: v for k, v in table.items() if k not in cls.model_fields}
        try:
            spec = cls(**{"name": "", **{k: v for k, v in table.items() if k not in rest}})
        except ValidationError as error:
            raise DyadbenchError(f"{where}: {first_fault(error)}") from None
        if twice := sorted(spec.config.keys() & rest.keys()):
            raise DyadbenchError(f"{where} gives {twice[0]!r} twice, beside `config` and in it; give it once")
        return spec.model_copy(update={"config": {**spec.config, **rest}})


Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # what torch can be given


class MethodSpec(Config):
    """One [[method]] of a matrix: a registered method by name, or a tokenizer and a predictor put together."""

    name: str  # of the row
    method: str = ""  # the registered method, where `name` is a name of your own for one of its configurations
    of: str = ""  # an ablation names its method: it is shown with that one and never ranked
    preset: str | None = None
    seeds: tuple[Seed, ...] | None = Field(
        default=None, min_length=1
    )  # overrides the matrix: one seed is enough where nothing is random
    tokenizer: Mapping[str, Any] | None = None
    predictor: Mapping[str, Any] | None = None
    devices: int = Field(default=1, ge=1)  # GPUs, or processes on CPUs, that one cell trains and samples on
    settings: Mapping[str, Any] = {}  # dotted overrides: {"predictor.layers": 4}
    grid: Mapping[str, Any] = {}  # a list of values per setting; every combination is a row of its own

    @model_validator(mode="after")
    def _of_another(self) -> MethodSpec:
        if self.of and self.of == self.name:
            raise ValueError(
                f"{self.name!r} is said to be an ablation of itself; `of` names the method that it changes"
            )
        return self

    def rows(self) -> list[MethodSpec]:
        """This method, or one for each combination of its grid."""
        if not self.grid:
            return [self]
        if twice := sorted(self.settings.keys() & self.grid.keys()):
            raise DyadbenchError(
                f"method {self.name!r} gives {twice[0]} twice, in settings and in its grid; give it once"
            )
        registered = self.method or ("" if self.predictor else self.name)
        return [
            self.model_copy(
                update={
                    "name": row_name(self.name, chosen),
                    "method": registered,
                    "grid": {},
                    "settings": {**self.settings, **chosen},
                }
            )
            for chosen in combinations(self.grid)
        ]


class Matrix(Config):
    """What to run."""

    benchmarks: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    method: tuple[MethodSpec, ...] = Field(min_length=1)
    datasets: Mapping[str, Mapping[str, Any]] = {}  # dataset_config overrides by benchmark name
    action_units: Literal["binary", "raw"] = "binary"  # "raw" makes benchmarks of other names
    clips: int = Field(default=0, ge=0)  # of the split that is scored, 0 for all; others make benchmarks of other names
    slurm: SlurmOptions = SlurmOptions()


class Part(Config):
    """A component with every default filled in."""

    name: str
    version: int
    config: Mapping[str, Any]


class Cell(Config):
    """One thing to run, complete in itself."""

    benchmark: str
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
        """The part of every key that describes the method."""
        parts = {"predictor": self.predictor.model_dump(mode="json")}
        if self.tokenizer:
            parts["tokenizer"] = self.tokenizer.model_dump(mode="json")
        return parts


def read_matrix(path: Path) -> Matrix:
    """Reads a TOML matrix; every mistake in it becomes one sentence that names the file and the field."""
    try:
        matrix = Matrix.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        return matrix.model_copy(update={"method": tuple(row for spec in matrix.method for row in spec.rows())})
    except FileNotFoundError:
        raise DyadbenchError(
            f"there is no matrix file {path}; `dyadbench list` names the benchmarks and methods"
        ) from None
    except ValidationError as error:
        raise DyadbenchError(f"{path}: {first_fault(error, Matrix)}") from None
    except (ValueError, OSError, RecursionError) as error:  # TOML and UTF-8 faults are ValueErrors
        raise DyadbenchError(f"{path} is not valid TOML: {error}") from None


def resolve_part(host: Host, kind: str, spec: PartSpec) -> Part:
    """Fills in preset and defaults. Unknown names, presets and fields are each one clear sentence."""
    entry = host.get(kind, spec.name)
    chosen: dict[str, Any] = {}
    if spec.preset is not None:
        _demand_preset(spec.name, spec.preset, {kind: entry})
        chosen = dict(entry.presets[spec.preset])
    chosen = merge(chosen, spec.config)
    return Part(name=entry.name, version=entry.version, config=resolve_config(kind, entry, chosen))


def _in_order(value: Any, as_json: Any) -> Any:
    """`as_json`, which is `value` as JSON, with every set sorted: a set has another order in every process, and a key would, too."""
    if isinstance(value, Mapping):
        return {key: _in_order(one, other) for (key, other), one in zip(as_json.items(), value.values(), strict=True)}
    if isinstance(value, set | frozenset):
        return sorted(as_json, key=canonical)
    if isinstance(value, list | tuple):
        return [_in_order(one, other) for one, other in zip(value, as_json, strict=True)]
    return as_json


def resolve_config(kind: str, entry: ComponentEntry, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        settings = entry.config.model_validate(values)
        # JSON has no infinity and no NaN: a key and a record would hold null, which is another setting.
        if (place := _not_finite(settings.model_dump())) is not None:
            raise DyadbenchError(f"configuration of {kind} {entry.name!r}: {place}: a finite number is expected")
        config = _in_order(settings.model_dump(), settings.model_dump(mode="json"))
        home = {name for name in entry.config.machine_paths if str(config.get(name)).startswith("~")}
        return config | {name: str(expanded(config[name])) for name in home}
    except ValidationError as error:
        several = any(
            isinstance(fault["input"], list) and fault["type"] != "extra_forbidden" for fault in error.errors()
        )
        advice = "; a list of values to try goes into [method.grid]" if several else ""
        raise DyadbenchError(
            f"configuration of {kind} {entry.name!r}: {first_fault(error, entry.config)}{advice}"
        ) from None


def _not_finite(value: Any, place: str = "") -> str | None:
    """Where a configuration holds an infinite number or NaN; None where it holds none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    places = (_not_finite(inner, f"{place}.{name}" if place else str(name)) for name, inner in items)
    return next((each for each in places if each is not None), None)


def _parts_of(host: Host, spec: MethodSpec) -> dict[str, PartSpec]:
    """What a method stands for: its predictor, and its tokenizer if it has one."""
    if spec.method and (spec.predictor or spec.tokenizer):
        raise DyadbenchError(f"method {spec.name!r} names a method and its parts; leave one of them out")
    if spec.method and spec.method != spec.name and _is_method(host, spec.name):
        raise DyadbenchError(
            f"{spec.name!r} is a method itself; give this configuration of {spec.method!r} another name"
        )
    if spec.predictor is not None:
        demand_name_of(host, spec.name, str(spec.predictor.get("name", "")))
        tables = {"predictor": spec.predictor, **({"tokenizer": spec.tokenizer} if spec.tokenizer else {})}
        return {kind: PartSpec.of(table, f"the {kind} of {spec.name!r}") for kind, table in tables.items()}
    if spec.tokenizer is not None:
        raise DyadbenchError(f"method {spec.name!r} names a tokenizer but no predictor; add predictor = {{name = ...}}")
    registered = spec.method or spec.name
    if registered in {entry.name for entry in host.entries("method")}:
        entry = host.get("method", registered)
        tokenizer = {"tokenizer": PartSpec(name=entry.tokenizer)} if entry.tokenizer else {}
        return {"predictor": PartSpec(name=entry.predictor), **tokenizer}
    _demand_method(host, registered)
    return {"predictor": PartSpec(name=registered)}


def demand_name_of(host: Host, row: str, predictor: str) -> None:
    """Raises DyadbenchError where a row has the name of a registered method and is not that method."""
    methods = {entry.name: entry.predictor for entry in host.entries("method")}
    if _is_method(host, row) and methods.get(row, row) != predictor:
        raise DyadbenchError(f"{row!r} is a method itself, with another predictor; give this row another name")


def _is_method(host: Host, name: str) -> bool:
    return any(entry.name == name for kind in ("method", "predictor") for entry in host.entries(kind))


def _demand_method(host: Host, name: str) -> None:
    """Says what can be run where the name cannot: methods, and predictors that are methods by themselves."""
    predictors, methods = ([entry.name for entry in host.entries(kind)] for kind in ("predictor", "method"))
    if name not in predictors and (near := difflib.get_close_matches(name, [*methods, *predictors], n=3)):
        raise DyadbenchError(f"there is no method {name!r}; did you mean {' or '.join(dict.fromkeys(near))}?")
    host.get("predictor", name)


def _demand_preset(name: str, preset: str, entries: Mapping[str, ComponentEntry]) -> None:
    """A preset that no part has would change nothing."""
    available = dict.fromkeys(each for entry in entries.values() for each in entry.presets)
    if preset not in available:
        instead = nearest(preset, available) if available else "it has no presets"
        raise DyadbenchError(f"{name} has no preset {preset!r}; {instead}")


def method_parts(host: Host, spec: MethodSpec, *, default_preset: str | None = None) -> tuple[Part, Part | None]:
    """The resolved predictor and tokenizer of a method; a part without `default_preset` falls back to its defaults.

    This is where a request meets what exists: a preset, a setting or a field that no part has is refused.
    """
    parts = _parts_of(host, spec)
    entries = {kind: host.get(cast(ComponentKind, kind), part.name) for kind, part in parts.items()}
    if spec.preset is not None:
        _demand_preset(spec.name, spec.preset, entries)
    settings = settings_by_part(
        spec.method or spec.name, spec.settings, {kind: entry.config for kind, entry in entries.items()}
    )
    components = {}
    for kind, part in parts.items():
        preset = part.preset
        for fallback in (spec.preset, default_preset):
            if preset is None and fallback in entries[kind].presets:
                preset = fallback
        config = merge(part.config, settings[kind])
        components[kind] = resolve_part(host, kind, part.model_copy(update={"preset": preset, "config": config}))
    return components["predictor"], components.get("tokenizer")


def make_cell(
    host: Host,
    benchmark: str,
    spec: MethodSpec,
    seed: int,
    dataset_overrides: Mapping[str, Any] | None = None,
    limit: int = 0,
    action_units: Literal["binary", "raw"] = "binary",
    clips: int = 0,
) -> Cell:
    """One cell with everything resolved; raises DyadbenchError naming the first thing that does not exist."""
    demand_row_name(spec.name, "the name of a row")
    name, setting, dataset = evaluated(host, benchmark, dataset_overrides or {})
    if action_units == "raw" and setting.action_units != "raw":
        name, setting = f"{name}+action_units-raw", setting.model_copy(update={"action_units": "raw"})
    if clips and clips != setting.clips:
        if setting.folds:
            raise DyadbenchError(f"{name} is cross-validated and scores every clip; leave `clips` out")
        name, setting = f"{name}+clips-{clips}", setting.model_copy(update={"clips": clips})
    for suite in (setting.suite, *setting.also):
        host.get("suite", suite)
    predictor, tokenizer = method_parts(host, spec)
    return Cell(
        benchmark=name,
        setting=setting,
        dataset=dataset,
        method=spec.name,
        of=spec.of,
        preset=spec.preset,
        predictor=predictor,
        tokenizer=tokenizer,
        seed=seed,
        limit=limit,
    )


def evaluated(host: Host, benchmark: str, overrides: Mapping[str, Any]) -> tuple[str, BenchmarkConfig, Part]:
    """The benchmark as it will be evaluated. Data that are read with other settings make another benchmark, whose name says how:
    its numbers must not stand beside those of the official one."""
    if not isinstance(overrides, Mapping):
        raise DyadbenchError(
            f'settings of the data are {overrides!r}; a table is expected, for example {{"size": "tiny"}}'
        )
    setting = host.get("benchmark", benchmark).config
    entry = host.get("dataset", setting.dataset)
    official = resolve_part(host, "dataset", PartSpec(name=setting.dataset, config=setting.dataset_config))
    config = merge(setting.dataset_config, overrides)
    dataset = resolve_part(host, "dataset", PartSpec(name=setting.dataset, config=config))
    fields = entry.config.model_fields
    settings, before = ({f: part.config.get(f, fields[f].default) for f in fields} for part in (dataset, official))
    changed = {
        field: value
        for field, value in settings.items()  # of `added` ones, too, which are written nowhere at their default
        if value != before[field] and field not in entry.config.adjustable
    }
    if not changed:
        return benchmark, setting, dataset
    name = "+".join([benchmark, *(f"{field}-{_plain(value)}" for field, value in sorted(changed.items()))])
    return name, setting.model_copy(update={"dataset_config": merge(setting.dataset_config, changed)}), dataset


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def demand_bases(host: Host, matrix: Matrix) -> None:
    """Raises DyadbenchError where a row is an ablation of what is neither a row of the matrix nor a registered method."""
    names = [method.name for method in matrix.method]
    names += [entry.name for kind in ("method", "predictor") for entry in host.entries(kind)]
    for method in matrix.method:
        if method.of and method.of not in names:
            raise DyadbenchError(
                f"{method.name} is an ablation `of` {method.of!r}, which is no method; {nearest(method.of, names)}"
            )


def cells_of(host: Host, matrix: Matrix, limit: int = 0) -> list[Cell]:
    """All cells, benchmark by benchmark, in the order of the file. Two [[method]]s of one name are refused.

    A method that is registered with `deterministic` has one, of the matrix's first seed: the others would be the same.
    """
    _demand_once("methods", [method.name for method in matrix.method])
    _demand_once("benchmarks", matrix.benchmarks)
    for seeds in (matrix.seeds, *(method.seeds or () for method in matrix.method)):
        _demand_once("seeds", seeds)
    for name in matrix.datasets:
        if name not in matrix.benchmarks:
            raise DyadbenchError(
                f"[datasets.{name}] is of no benchmark of this matrix; {nearest(name, matrix.benchmarks)}"
            )
    return [
        make_cell(
            host, benchmark, method, seed, matrix.datasets.get(benchmark), limit, matrix.action_units, matrix.clips
        )
        for benchmark in matrix.benchmarks
        for method in matrix.method
        for seed in (_seeds_for(host, method, matrix.seeds) if method.seeds is None else method.seeds)
    ]


def _seeds_for(host: Host, spec: MethodSpec, seeds: Sequence[int]) -> Sequence[int]:
    predictor, tokenizer = method_parts(host, spec)
    fixed = tokenizer is None and host.get("predictor", predictor.name).deterministic
    return seeds[:1] if fixed else seeds


def _demand_once(what: str, values: Sequence[Any]) -> None:
    for value in values:
        if list(values).count(value) > 1:
            raise DyadbenchError(f"two of the {what} are {value!r}; a leaderboard could not tell them apart")

"""The command that measures a record again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import MethodSpec, PartSpec, method_parts, resolve_part
from dyadbench.matrix.keys import canonical
from dyadbench.records.record import Record
from dyadbench.registry.host import Host


def command_of(record: Record, host: Host) -> str:
    """`dyadbench run ...` with all that differs from what the names alone would run: settings, seed, data, action units.

    A benchmark of data that were read otherwise is named after the registered one it came from (matrix.cells.evaluated).
    """
    names = [entry.name for entry in host.entries("benchmark")]
    official = max((name for name in names if f"{record.benchmark}+".startswith(f"{name}+")), key=len, default="")
    if record.scored_from:
        train = record.method_config["predictor"]["config"].get("train")
        words = ["dyadbench", "score", record.scored_from, "--benchmark", official or record.benchmark]
        words += ["--as", record.method]
        return shlex.join([*words, *(["--train", train] if train else []), *_data_words(record, host, official)])
    words = ["dyadbench", "run", "-b", official or record.benchmark, *_method_words(record, host)]
    if record.seed:
        words += ["--seeds", str(record.seed)]
    if official:
        setting = host.get("benchmark", official).config
        if record.benchmark_config.clips and not setting.clips:
            words += ["--clips", str(record.benchmark_config.clips)]
        if record.benchmark_config.action_units == "raw" != setting.action_units:
            words.append("--raw-action-units")
    return shlex.join([*words, *_data_words(record, host, official)])


def _data_words(record: Record, host: Host, official: str) -> list[str]:
    """How the data were read, where that is not the `official` benchmark's way; nothing of a benchmark that is not installed."""
    if not official:
        return []
    setting = host.get("benchmark", official).config
    usual = resolve_part(host, "dataset", PartSpec(name=setting.dataset, config=setting.dataset_config)).config
    changed = {name: value for name, value in record.dataset.config.items() if usual.get(name) != value}
    return [*_assignments("--data-set", changed)]


def _method_words(record: Record, host: Host) -> list[str]:
    """The registered method with what the record's own configuration has otherwise, and `--as` where the row has its own name."""
    parts = {kind: part for kind, part in record.method_config.items() if isinstance(part, dict)}
    name = _registered(record.method, {kind: part["name"] for kind, part in parts.items()}, host)
    preset = ["--preset", record.preset] if record.preset else []
    try:
        predictor, tokenizer = method_parts(host, MethodSpec(name=name, preset=record.preset))
    except DyadbenchError:  # not installed here: nobody knows what its names alone would run
        return ["-m", record.method, *(["--of", record.of] if record.of else []), *preset]
    changed = {
        f"{kind}.{field}": value
        for kind, usual in (("predictor", predictor), ("tokenizer", tokenizer))
        for field, value in parts.get(kind, {"config": {}})["config"].items()
        if usual is not None and usual.config.get(field) != value
    }
    label = [] if name == record.method else ["--as", record.method]
    label += ["--of", record.of] if record.of else []
    return ["-m", name, *label, *preset, *_assignments("-s", changed)]


def _registered(method: str, parts: dict[str, str], host: Host) -> str:
    """The name under which a row's parts are installed: its own, else that of the method or the predictor it is made of."""
    methods = {entry.name: (entry.predictor, entry.tokenizer or "") for entry in host.entries("method")}
    if method in methods or method in {entry.name for entry in host.entries("predictor")}:
        return method
    components = (parts.get("predictor", method), parts.get("tokenizer", ""))
    return next((name for name, of in methods.items() if of == components), components[0])


def _assignments(option: str, values: dict[str, Any]) -> Iterator[str]:
    for name, value in sorted(values.items()):
        yield from (option, f"{name}={value if isinstance(value, str) else canonical(value)}")

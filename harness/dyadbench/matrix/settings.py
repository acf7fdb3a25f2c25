"""Settings from the command line and from matrix files. Each is assigned to its part here, or refused."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from dyadbench.api import Config, DyadbenchError
from dyadbench.errors import nearest

KINDS = ("predictor", "tokenizer")


def parse_settings(pairs: Sequence[str], option: str = "-s") -> dict[str, Any]:
    """`["predictor.layers=4"]` -> `{"predictor.layers": 4}`; values are TOML, or text where they are not.

    Raises DyadbenchError for a pair without "=" and for a field that is given twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            example = "-s predictor.layers=4" if option == "-s" else f"{option} size=tiny"
            raise DyadbenchError(f"{option} takes FIELD=VALUE, not {pair!r}; for example {example}")
        if name in settings:
            raise DyadbenchError(f"{option} {name} is given twice; give it once")
        try:
            settings[name] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            settings[name] = text
    return settings


def settings_by_part(
    method: str, settings: Mapping[str, Any], configs: Mapping[str, type[Config]]
) -> dict[str, dict[str, Any]]:
    """Each setting of a method goes to one of its parts; `configs` maps the parts ("predictor", "tokenizer") to their fields.

    Undotted names go to the predictor of a method without tokenizer. Raises DyadbenchError with the nearest names for
    a setting that no part has: nothing that was asked for is dropped.
    """
    chosen: dict[str, dict[str, Any]] = {kind: {} for kind in configs}
    bare = "tokenizer" not in configs
    for name, value in flat_settings(settings).items():
        head, dot, rest = name.partition(".")
        kind, field = (head, rest) if dot and head in KINDS else ("predictor" if bare else "", name)
        if kind not in configs or field.partition(".")[0] not in configs[kind].model_fields:
            raise DyadbenchError(
                f"{method} has no setting {name!r}; {_instead(name, field, configs, bare)} (`dyadbench show {method}`)"
            )
        if field in chosen[kind]:
            raise DyadbenchError(f"{method} is given the setting {kind}.{field} twice; give it once")
        chosen[kind][field] = value
    return {kind: nest(flat) for kind, flat in chosen.items()}


def _instead(name: str, field: str, configs: Mapping[str, type[Config]], bare: bool) -> str:
    if name.partition(".")[0] == "tokenizer" and bare:
        return "it has no tokenizer"
    names = [each if bare else f"{kind}.{each}" for kind, config in configs.items() for each in config.model_fields]
    if not names:
        return "nothing about it can be set"
    same = [each for each in names if each.rpartition(".")[2] == field]
    return f"did you mean {' or '.join(same)}?" if same else nearest(name, names)


def combinations(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"a": [1, 2], "b": [3]} -> [{"a": 1, "b": 3}, {"a": 2, "b": 3}]. Raises DyadbenchError for what is no list of values."""
    for name, values in grid.items():
        if not isinstance(values, list | tuple) or not values:
            raise DyadbenchError(f"[method.grid] {name} = {values!r} must be a list of the values to try")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def row_name(name: str, settings: Mapping[str, Any]) -> str:
    """`ridge` with {"taps": 4} -> `ridge+taps-4`, as benchmarks of changed data are named."""
    return "+".join(
        [name, *(f"{field}-{json.dumps(value, default=str).strip(chr(34))}" for field, value in settings.items())]
    )


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """TOML reads an unquoted `predictor.layers = 4` as a table; both spellings are one."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = {f"{name}.{k}": v for k, v in value.items()} if name in KINDS and isinstance(value, Mapping) else None
        for dotted, each in (inner if inner is not None else {name: value}).items():
            if dotted in flat:
                raise DyadbenchError(f"the setting {dotted} is given twice; give it once")
            flat[dotted] = each
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *path, leaf = dotted.split(".")
        node = tree
        for step in path:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise DyadbenchError(f"{dotted} = ... goes into {step!r}, which another setting made a plain value")
        if leaf in node:
            raise DyadbenchError(f"{dotted} = ... replaces what another setting put into {leaf!r}; give one of them")
        node[leaf] = value
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return merged

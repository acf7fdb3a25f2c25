"""Settings as the command line and matrix files give them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from dyadbench.api import DyadbenchError


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`["predictor.layers=4"]` -> `{"predictor.layers": 4}`; values are TOML, or text where they are not."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise DyadbenchError(f"-s takes FIELD=VALUE, not {pair!r}; for example -s predictor.layers=4")
        try:
            settings[name] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            settings[name] = text
    return settings


def overrides_of(settings: Mapping[str, Any], part: str, *, bare: bool) -> dict[str, Any]:
    """Overrides meant for one part; undotted names go to the predictor of a method without tokenizer."""
    chosen: dict[str, Any] = {}
    for name, value in settings.items():
        head, dot, rest = name.partition(".")
        if dot and head == part:
            chosen[rest] = value
        elif not dot and bare:
            chosen[name] = value
    return chosen


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *path, leaf = dotted.split(".")
        node = tree
        for step in path:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise DyadbenchError(f"-s {dotted}=... goes into {step!r}, which another setting made a plain value")
        node[leaf] = value
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return merged

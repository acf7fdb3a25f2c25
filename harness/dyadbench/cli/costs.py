"""What training is ahead, said before it begins: which preset of each method runs, and with how many steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from dyadbench.api import ComponentEntry
from dyadbench.matrix.cells import MethodSpec, method_parts
from dyadbench.registry.host import ComponentKind, Host


def costs(host: Host, specs: Sequence[MethodSpec]) -> Iterator[str]:
    """A sentence for each method that trains by gradient: its preset, its steps, and what smaller presets there are."""
    for spec in specs:
        parts = dict(zip(("predictor", "tokenizer"), method_parts(host, spec), strict=True))
        entries = {
            kind: host.get(cast(ComponentKind, kind), part.name) for kind, part in parts.items() if part is not None
        }
        trained = {
            kind: part
            for kind, part in parts.items()
            if part is not None and entries[kind].config.budget & part.config.keys()
        }
        if not trained:
            continue
        entries = {kind: entries[kind] for kind in trained}
        names = dict.fromkeys(name for entry in entries.values() for name in entry.presets)
        parts_first = list(reversed(trained))  # the tokenizer is trained first
        preset = _preset(spec, parts_first)
        mine = " + ".join(
            f"{_steps(entries[kind], trained[kind].config):,} steps of {trained[kind].name}" for kind in parts_first
        )
        others = [
            f"{name} {' + '.join(f'{_steps(entries[kind], entries[kind].presets.get(name, {})):,}' for kind in parts_first)}"
            for name in names
            if name != preset
        ]
        chosen = f"preset {preset}" if preset else "no preset, its full configuration"
        yield f"{spec.name}: {chosen}, {mine}" + (f"; other presets: {', '.join(others)}" if others else "")


def _preset(spec: MethodSpec, parts: Iterable[str]) -> str | None:
    """The preset of the whole method; several where its parts have their own, None where no part has one."""
    own = {"predictor": spec.predictor, "tokenizer": spec.tokenizer}
    chosen = dict.fromkeys((own[kind] or {}).get("preset") or spec.preset for kind in parts)
    return " and ".join(name or "none" for name in chosen) if any(chosen) else None


def _steps(entry: ComponentEntry, config: Mapping[str, Any]) -> int:
    """Of all stages together."""
    fields = entry.config.model_fields
    return sum(config.get(name, fields[name].default) for name in entry.config.budget & fields.keys())

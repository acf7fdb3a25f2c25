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
        both = dict(zip(("tokenizer", "predictor"), reversed(method_parts(host, spec)), strict=True))
        parts = {kind: part for kind, part in both.items() if part is not None}  # the tokenizer is trained first
        entries = {kind: host.get(cast(ComponentKind, kind), part.name) for kind, part in parts.items()}
        kinds = [kind for kind, part in parts.items() if entries[kind].config.budget & part.config.keys()]
        if not kinds:
            continue
        names = dict.fromkeys(name for kind in kinds for name in entries[kind].presets)
        preset = _preset(spec, kinds)
        mine = " + ".join(
            f"{_steps(entries[kind], parts[kind].config):,} steps of {parts[kind].name}" for kind in kinds
        )
        others = [
            f"{name} {' + '.join(f'{_steps(entries[kind], entries[kind].presets.get(name, {})):,}' for kind in kinds)}"
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

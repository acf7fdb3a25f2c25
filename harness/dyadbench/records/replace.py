"""Whether a cell may take the place of the record that lies where its own would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Cell, Part, resolve_config
from dyadbench.records.comparable import SETTINGS
from dyadbench.records.record import NewerRecord, Record, load_record, record_path, save_record
from dyadbench.registry.host import Host


class OtherRecord(DyadbenchError):
    """Another record lies in the place of a cell's own, and stays."""


def put_record(record: Record, leaderboards: Path, cell: Cell, host: Host, *, replace: bool) -> None:
    """Saves the record of a cell. Raises OtherRecord as `demand_replaceable` does, unless `replace`, and
    DyadbenchError where the file cannot be written.

    Another run may have written there while this one was at work, so a check before the work is not enough.
    """
    if not replace:
        demand_replaceable(leaderboards, cell, record.dataset.digest, host)
    save_record(record, record_path(leaderboards, record))


def demand_replaceable(leaderboards: Path, cell: Cell, digest: str, host: Host) -> None:
    """Raises OtherRecord where the record in the place of this cell's is of other data, of another configuration or of
    other settings of the benchmark, and where an ablation would become a method that is ranked.

    A record of an older version of the same configuration is replaced, as are a first try (--limit) and a file that is
    no record; one that a newer version wrote is not.
    """
    path = record_path(leaderboards, cell)
    if cell.limit or not path.exists():
        return
    try:
        record = load_record(path)
    except NewerRecord as error:
        raise OtherRecord(f"{error}; --as NAME keeps both, --replace gives it up") from None
    except DyadbenchError:
        return  # cut short, or of another program
    there, here = {"dataset": record.dataset.config}, {"dataset": cell.dataset.config}
    for kind in ("predictor", "tokenizer"):
        part = getattr(cell, kind)
        there[kind] = _as_now(host, kind, record.method_config.get(kind))
        here[kind] = {} if part is None else {"name": part.name, **part.config}
    there["benchmark"] = {name: getattr(record.benchmark_config, name) for name in SETTINGS}
    here["benchmark"] = {name: getattr(cell.setting, name) for name in SETTINGS}
    if not cell.of:  # an ablation would be ranked; what becomes one is not
        there["row"], here["row"] = {"of": record.of}, {"of": ""}
    hidden = host.get("dataset", cell.dataset.name).config.machine_paths
    changes = [
        f"{kind}.{name} {old!r} -> {new!r}"
        for kind in here
        for name, old, new in _differences(there[kind], here[kind])
        if kind != "dataset" or name not in hidden
    ]
    if record.dataset.digest != digest or any(not change.startswith("dataset.") for change in changes):
        what = ", ".join(changes[:4]) + (", ..." if len(changes) > 4 else "") or f"data with digest {digest[:12]}"
        raise OtherRecord(
            f"{path} holds the record of other data or of another configuration ({what}); "
            "--as NAME keeps both, --root FOLDER writes elsewhere, --replace gives it up"
        )


def _as_now(host: Host, kind: str, part: Any) -> dict[str, Any]:
    """A recorded part as this installation would run it: fields that came later have their defaults."""
    if part is None:
        return {}
    component = Part.model_validate(part)
    try:
        return {"name": component.name, **resolve_config(kind, host.get(kind, component.name), component.config)}
    except DyadbenchError:
        return {"name": component.name, **component.config}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)

"""Records: one measured cell each, in a file format that outlives the program that wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dyadbench.api import Config, DyadbenchError
from dyadbench.store import atomic_write

if TYPE_CHECKING:
    from dyadbench.spec import Cell

FORMAT = "dyadbench-record/1"
DIGITS = 7  # significant digits of a per-clip value
MAX_BYTES, MAX_DEPTH = 64 << 20, 64
MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]')  # strings, and what opens and closes outside them
MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # old format -> one step towards FORMAT


class Score(Config):
    """One metric's value; None is undefined, and `undefined` counts the items without one."""

    value: float | None
    undefined: int = 0
    detail: Mapping[str, float] = {}


class SuiteScores(Config):
    """All columns of one suite, with the version of each and its values clip by clip."""

    versions: Mapping[str, int]
    scores: Mapping[str, Score]
    per_clip: Mapping[str, list[float | None]]


class Record(Config):
    """One cell as it was measured. Nothing in it is ever edited; a new measurement replaces the file."""

    format: str = FORMAT
    key: str
    benchmark: str
    benchmark_config: Mapping[str, Any]
    method: str
    preset: str | None
    method_config: Mapping[str, Any]
    plugin: tuple[str, str]  # distribution, version
    entry_version: int
    calibration: bool
    trained: bool
    seed: int
    dataset: Mapping[str, Any]  # name, digest, simulated, normalisation, split
    clips: list[str]
    sessions: list[str]
    suites: Mapping[str, SuiteScores]
    measured: Mapping[str, Any]
    provenance: Mapping[str, Any]


def slug(text: str) -> str:
    """A label as a safe file name; different labels stay different in all but contrived cases."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip(".") or "_"


def record_path(leaderboards: Path, of: Record | Cell) -> Path:
    """Where the record of a cell lies."""
    return leaderboards / "records" / slug(of.benchmark) / slug(of.method) / f"seed{of.seed}.json"


def _rounded(value: Any) -> Any:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def save_record(record: Record, path: Path) -> None:
    """Writes deterministic JSON: sorted keys, per-clip values to seven digits, one line each suite column."""
    data = record.model_dump(mode="json")
    for suite in data["suites"].values():
        suite["per_clip"] = {name: [_rounded(v) for v in values] for name, values in suite["per_clip"].items()}
    text = json.dumps(data, sort_keys=True, indent=1, allow_nan=False)
    # Lists of numbers on one line each: readable differences, a third of the size.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r",\s+", ", ", m.group(1)) + "]", text)
    atomic_write(path, text + "\n")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _depth_within(text: str, limit: int) -> bool:
    depth = deepest = 0
    for found in MARKS.finditer(text):
        character = found[0]
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest <= limit


def load_record(path: Path) -> Record:
    """Reads a record of this format or an older one; anything else is refused in one sentence that names the file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8")
        if not _depth_within(text, MAX_DEPTH):
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        data = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object")
        while data.get("format") != FORMAT:
            step = MIGRATIONS.get(str(data.get("format")))
            if step is None:
                raise ValueError(
                    f"its format is {data.get('format')!r}, this program reads {FORMAT}; a newer dyadbench may read it"
                )
            data = step(data)
        record = Record.model_validate(data)
        _check_lengths(record)
    except ValidationError as error:
        from dyadbench.spec import first_fault

        raise DyadbenchError(f"{path} is not a record: {first_fault(error)}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DyadbenchError(f"{path} is not a record: {error}") from None
    return record


def _check_lengths(record: Record) -> None:
    count = len(record.clips)
    if len(record.sessions) != count or len(set(record.clips)) != count:
        raise ValueError("clips and sessions differ in number, or a clip appears twice")
    for suite, scores in record.suites.items():
        for name, values in scores.per_clip.items():
            if len(values) != count:
                raise ValueError(f"{suite} {name} has {len(values)} per-clip values for {count} clips")

"""Quality against what it costs: processor seconds and stored numbers of every method of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.leaderboard.charts import Point, scatter
from dyadbench.leaderboard.drawing import both
from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import skill_text
from dyadbench.records.record import Record
from dyadbench.report.figures import figure, first_rows
from dyadbench.report.pages import LEARNING, learning, page_name


def costs(table: Table, records: Mapping[str, Sequence[Record]]) -> dict[str, Any] | None:
    """Pictures and rows of one benchmark; None where no method has both a skill and a cost."""
    rows = [row for row in table.rows if row.kind in ("method", "ablation") and row.skill is not None and row.skill.value is not None]  # fmt: skip
    lines = [_line(row, records[row.method]) for row in rows]
    if not any(line["seconds"] for line in lines):
        return None
    where = {"processor": "processor seconds of sampling, all clips", "parameters": "stored numbers: weights, or clips that are kept"}  # fmt: skip
    pictures = [
        picture
        for name, key in (("processor", "seconds"), ("parameters", "parameters"))
        if (picture := _picture(table, lines, key, where[name])) is not None
    ]
    return {
        "benchmark": table.benchmark, "page": page_name("", table.benchmark), "simulated": table.simulated, "rows": lines, "figures": pictures,
        "wall": any(line["wall"] for line in lines),
    }  # fmt: skip


def _picture(table: Table, lines: Sequence[Mapping[str, Any]], key: str, label: str) -> dict[str, Any] | None:
    points = [Point(line["method"], line[key], line["skill"], "ranked" if line["learnt"] == "yes" else "other") for line in lines if line[key]]  # fmt: skip
    if len(points) < 2:
        return None
    few, rest = first_rows(points)
    title = f"Skill against {label.partition(' of')[0].partition(':')[0]}"
    named = f"{title} on {table.benchmark}"
    picture = both(lambda size: scatter(few, named, label, "skill", size, log_x=True, named=True, target=0.0, target_label="floor"))  # fmt: skip
    return figure(f"cost-{key}", title, "Upper left is better: more skill for less." + rest, picture, ["method", label, "skill"], [[p.label, p.x, p.y] for p in points])  # fmt: skip


def _line(row: Row, records: Sequence[Record]) -> dict[str, Any]:
    """Means over seeds. Seconds of the wall clock stand in for processor seconds that a record does not hold."""
    measured = [record.measured for record in records]
    cpu, wall = _mean([m.generate_cpu_seconds for m in measured]), _mean([m.generate_seconds for m in measured])
    fits = [_mean([getattr(m, f"{part}fit_{kind}seconds") for m in measured]) for kind in ("cpu_", "") for part in ("", "tokenizer_")]  # fmt: skip
    fit = sum(value or 0 for value in (fits[:2] if any(fits[:2]) else fits[2:]))
    fit_text = f"{fit:.3g}{'' if any(fits[:2]) else '*'}" if fit else "-"
    speed, skill = row.facts.get("realtime_factor"), row.skill
    return {
        "method": row.method, "page": page_name("method", row.method), "skill": skill.value if skill else None, "skill_text": skill_text(skill),
        "seconds": cpu or wall, "busy": _busy(records), "wall": cpu is None and wall is not None, "fit": fit_text, "parameters": row.facts.get("parameters"),
        "speed": f"{speed:,}".replace(",", " ") if speed else "-", "preset": row.facts.get("preset") or "-",
        "learnt": learning(records), "learning": LEARNING[learning(records)],
    }  # fmt: skip


def _busy(records: Sequence[Record]) -> str:
    """By how much the clock ran longer than the processor worked while sampling; "" where no record of one thread holds both."""
    pairs = [
        (record.measured.generate_seconds, record.measured.generate_cpu_seconds)
        for record in records
        if record.provenance.get("threads") == 1  # of several threads nobody knows how many worked
    ]
    times = [clock / cpu for clock, cpu in pairs if clock and cpu]
    return f"{np.median(times):.1f}" if times else ""


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None

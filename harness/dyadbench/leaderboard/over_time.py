"""Error over time as pictures: from a table of an over-time suite, one picture a reading."""

from __future__ import annotations

from collections.abc import Mapping

from dyadbench.leaderboard.tables import Table
from dyadbench.metrics.over_time import KINDS, NAMES, SECONDS

SUITES = ("over-time-emotion", "over-time-motion")
LEVELS = ("mean", "mismatched-listener")  # calibration rows that are drawn beside the methods
READINGS = {"mean": "all samples", "best": "the nearest sample"}
Series = dict[str, tuple[list[float], list[float]]]  # label -> middles of bins in seconds, errors


def points(values: Mapping[str, float | None], kind: str) -> tuple[list[float], list[float]]:
    """The bins that have a value: values by column id."""
    pairs = [(SECONDS * (b + 0.5), value) for b, name in enumerate(NAMES) if (value := values.get(f"{kind}.{name}")) is not None]  # fmt: skip
    return [time for time, _ in pairs], [value for _, value in pairs]


def has_curve(method: str, calibration: bool) -> bool:
    """Whether a row has a line: methods, and the calibration rows of LEVELS."""
    return not calibration or method in LEVELS


def series(table: Table, kind: str) -> Series:
    """The lines of one picture, in the order of the table."""
    curves = {
        row.method: points({name: cell.value for name, cell in row.cells.items()}, kind)
        for row in table.rows if has_curve(row.method, row.calibration)
    }  # fmt: skip
    return {method: line for method, line in curves.items() if len(line[0]) > 1}


def picture_name(table: Table, kind: str) -> str:
    return f"{table.benchmark}-over-time-{kind}.svg"


def pictures(table: Table) -> dict[str, str]:
    """File name -> SVG text; none where clips are too short for two bins, or for another suite's table."""
    from dyadbench.leaderboard.charts import as_file, lines

    if table.suite not in SUITES:
        return {}
    what = table.suite.rpartition("-")[2]
    files = {}
    for kind in KINDS:
        if curves := series(table, kind):
            title = f"Error of {what} over time, {READINGS[kind]}"
            files[picture_name(table, kind)] = as_file(lines(curves, title, "seconds into the clip", f"root mean square error, {READINGS[kind]}"))  # fmt: skip
    return files


def embedded(table: Table) -> list[tuple[str, str, str]]:
    """(title, file name, legend) of every picture of a table, for its page."""
    out = []
    for name in pictures(table):
        kind = name.rpartition("-")[2].removesuffix(".svg")
        legend = ", ".join(f"{n} {method}" for n, method in enumerate(series(table, kind), 1))
        out.append((f"Error over time, {READINGS[kind]}", name, legend))
    return out

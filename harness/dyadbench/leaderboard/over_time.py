"""Error over time as pictures: from a table of an over-time suite, one picture a reading."""

from __future__ import annotations

from collections.abc import Mapping

from dyadbench.leaderboard.tables import Table
from dyadbench.metrics.over_time import KINDS, NAMES, SECONDS
from dyadbench.records.record import slug

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
    return ordered({method: line for method, line in curves.items() if len(line[0]) > 1})


def ordered(curves: Series) -> Series:
    """The levels to beat first, for a picture names the first lines only."""
    return dict(sorted(curves.items(), key=lambda each: each[0] not in LEVELS))


def rest_text(curves: Series) -> str:
    """What to say of the lines without a name."""
    from dyadbench.leaderboard.charts import SERIES

    return f" The first {SERIES} lines have names; the {len(curves) - SERIES} grey ones are in the table." * (
        len(curves) > SERIES
    )


def picture_name(table: Table, kind: str) -> str:
    return f"{slug(table.benchmark)}-over-time-{kind}.svg"


def _by_kind(table: Table) -> dict[str, Series]:
    """The lines of every picture of a table; none where clips are too short for two bins, or for another suite's table."""
    if table.suite not in SUITES:
        return {}
    return {kind: curves for kind in KINDS if (curves := series(table, kind))}


def pictures(table: Table) -> dict[str, str]:
    """File name -> SVG text."""
    from dyadbench.leaderboard.charts import lines
    from dyadbench.leaderboard.drawing import as_file

    what = table.suite.rpartition("-")[2]
    files = {}
    for kind, curves in _by_kind(table).items():
        title, y_label = f"Error of {what} over time, {READINGS[kind]}", f"root mean square error, {READINGS[kind]}"
        files[picture_name(table, kind)] = as_file(lines(curves, title, "seconds into the clip", y_label))
    return files


def embedded(table: Table) -> list[tuple[str, str, str]]:
    """(title, file name, what to say below it) of every picture of a table, for its page."""
    out = []
    for kind, curves in _by_kind(table).items():
        title = f"Error over time, {READINGS[kind]}"
        out.append((title, picture_name(table, kind), f"{title}.{rest_text(curves)}"))
    return out

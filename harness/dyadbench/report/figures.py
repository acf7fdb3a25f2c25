"""Which pictures a benchmark or method page gets, each with the same numbers as text; data that is not there gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from dyadbench.leaderboard import over_time as errors_over_time
from dyadbench.leaderboard.charts import Bar, Point, bars, histogram, lines, scatter
from dyadbench.leaderboard.drawing import both, plain
from dyadbench.leaderboard.rows import Row, Value
from dyadbench.leaderboard.stats import defined_means
from dyadbench.leaderboard.tables import Table, TableColumn
from dyadbench.leaderboard.tokenizers import corpora, drawing
from dyadbench.records.comparable import per_clip
from dyadbench.records.record import Record

# Suite -> (how appropriate: smaller is better, how diverse).
PLANES = {"react2024": ("FRDist", "FRDiv"), "react2024-official": ("FRDist", "FRDiv"), "l2l": ("P-FD.expression", "variation.expression")}  # fmt: skip
HEADS = {"react2024": "FRDist", "l2l": "P-FD.expression"}  # what ablations are shown in, where the suite has it
MOST = 60  # rows that a picture has room for; the table beside it has all
ROLES_IN_PLANE = ("floor", "ceiling", "copy")  # references that the plane shows; truth, means and noise are far outside
Records = Mapping[str, Sequence[Record]]  # method -> its seeds


def figure(name: str, title: str, caption: str, picture: Any, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:  # fmt: skip
    """A picture and the table that says the same."""
    text = [[plain(v) if isinstance(v, float) else "" if v is None else str(v) for v in row] for row in rows]
    return {"name": name, "title": title, "caption": caption, "svg": picture, "header": list(header), "rows": text}


def _bars(rows: Sequence[Bar], title: str, axis: str) -> Markup:
    return both(lambda size: bars(rows, title, axis, size))


def _kind(row: Row) -> str:
    if row.facts.get("sees_truth"):
        return "oracle"
    return "calibration" if row.calibration else "ranked" if row.rank is not None else "other"


def plane(table: Table) -> dict[str, Any] | None:
    """Methods, floor and ceiling by how appropriate and how diverse they are; the true listeners' diversity as a level.

    In the metrics that papers use where the suite has them and they pass on these data; else by skill and by how diverse next to real listeners.
    """
    columns = {c.id: c for c in table.columns if c.passes is not False}
    rows = [row for row in table.rows if row.kind in ("method", "ablation") or row.role in ROLES_IN_PLANE]
    if table.suite in PLANES and set(PLANES[table.suite]) <= columns.keys():
        x, y = PLANES[table.suite]
        places = [(row, row.cells[x].value, row.cells[y].value) for row in rows]
        labels = (f"{x}: less is more appropriate", f"{y}: diversity of the samples")
        target = table.rows[0].cells[columns[y].target].value if columns[y].target and table.rows else None
    else:
        x, y = "skill", "diversity"
        places = [(row, row.skill.value if row.skill else None, _log2(row.families.get("diversity"))) for row in rows]
        labels = ("skill: more is more appropriate", "diversity: factors of two from real")
        target = 0.0
    points = [Point(row.method, a, b, _kind(row)) for row, a, b in places if a is not None and b is not None]
    if len(points) < 2:
        return None
    title, level = f"Appropriate and diverse: {y} against {x}", "as diverse as real listeners"
    few, rest = first_rows(points)
    picture = both(lambda size: scatter(few, title, *labels, size, target=target, target_label=level, named=True))
    text = [[point.label, point.x, point.y] for point in points]
    caption = (
        "Squares are references: floor, ceiling, copies of the speaker. Green-blue points are methods without a rank. A point that "
        "is far from all others stands at the frame as an arrow, with its value. A number stands for a name below the picture; "
        "a dot there for a point that has no room for a number."
    )
    return figure("plane", "Appropriate and diverse", caption + rest, picture, ["method", x, y], text)


def first_rows(rows: Sequence[Any]) -> tuple[Sequence[Any], str]:
    """The rows that a picture draws, and what its caption says where these are not all."""
    return rows[:MOST], f" Of {len(rows)} rows the first {MOST} are drawn." if len(rows) > MOST else ""


def _log2(value: Value | None) -> float | None:
    return None if value is None or value.value is None else value.value / float(np.log(2))


def _tokens(records: Sequence[Record], name: str) -> float | None:
    """A token column, mean over seeds."""
    scores = [record.suites["tokens"].scores[name].value for record in records if "tokens" in record.suites and name in record.suites["tokens"].scores]  # fmt: skip
    return _mean(scores)


def rate_distortion(records: Records) -> dict[str, Any] | None:
    """Reconstruction error against bits per second for every tokenizer; residual layers of one tokenizer are joined."""
    corpora_of_all = corpora([record for group in records.values() for record in group])
    chart = drawing(corpora_of_all[0], "motion-rmse", named=True) if corpora_of_all else None
    if chart is None:
        return None
    draw, points = chart
    rows = [[p.number or "", p.label, round(p.x), p.y] for p in points]
    return figure(
        "rate", "Rate and distortion", "What each tokenizer costs and what it keeps of the test listeners; lower left is better. "
        "Lines join the residual layers of one tokenizer; for sparse tokens the positions are paid for.",
        both(draw), ["", "tokenizer of", "bit/s", "motion RMSE"], rows,
    )  # fmt: skip


def codebooks(records: Records) -> dict[str, Any] | None:
    """How much of its codebook each tokenizer uses."""
    rows = []
    for method, runs in records.items():
        use, perplexity = _tokens(runs, "utilisation"), _tokens(runs, "perplexity")
        if use is not None:
            rows.append((method, use, perplexity, tokens["codes"] if (tokens := runs[0].measured.tokens) else None))
    if not rows:
        return None
    few, rest = first_rows(rows)
    picture = _bars(
        [Bar(name, use, strong=True) for name, use, _, _ in few], "Use of codebooks", "share of codes that occur"
    )
    return figure(
        "codes", "Use of codebooks", "Share of each book's codes that occur on the test listeners, mean over books." + rest,
        picture, ["tokenizer of", "used", "perplexity", "codes in a book"], rows,
    )  # fmt: skip


def over_time(table: Table, records: Records) -> dict[str, Any] | None:
    """Error in consecutive parts of the clips, all samples; the rows in the order of the table."""
    series: errors_over_time.Series = {}
    for method, runs in ((row.method, records[row.method]) for row in table.rows):
        suite = next((name for name in errors_over_time.SUITES if all(name in record.suites for record in runs)), None)
        if suite is None or not errors_over_time.has_curve(method, runs[0].calibration):
            continue
        scores = [record.suites[suite].scores for record in runs]
        values = {name: _mean([score[name].value for score in scores]) for name in scores[0]}
        line = errors_over_time.points(values, "mean")
        if len(line[0]) > 1:
            series[method] = line
    if not series:
        return None
    series = errors_over_time.ordered(series)
    few, rest = first_rows(list(series.items()))
    axes = ("seconds into the clip", "root mean square error")
    picture = both(lambda size: lines(dict(few), "Error over time", *axes, size))
    times = max((xs for xs, _ in series.values()), key=len)
    rows = [[name, *ys] for name, (_, ys) in series.items()]
    return figure(
        "time", "Error over time", "A method that feeds on its own output may drift: distance of all samples from the appropriate "
        "listener that is nearest to each over the whole clip, by time into the clip." + errors_over_time.rest_text(dict(few)) + rest,
        picture, ["method", *(f"{t:g} s" for t in times)], rows,
    )  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers and len(numbers) == len(values) else None


def ablations(table: Table) -> list[dict[str, Any]]:
    """Every method that has ablations beside them, in one column with intervals."""
    passing = {c.id: c.ranked for c in table.columns if c.passes is not False}
    column = HEADS.get(table.suite)
    column = column if column in passing else next((name for name, ranked in passing.items() if ranked), None)
    if column is None:
        return []
    figures: list[dict[str, Any]] = []
    for base in sorted({row.of for row in table.rows if row.kind == "ablation"}):
        family = [row for row in table.rows if row.method == base or (row.kind == "ablation" and row.of == base)]
        family.sort(key=lambda row: (row.method != base, row.method))
        family = [row for row in family if row.cells[column].value is not None]
        if len(family) < 2:
            continue
        entries = [Bar(r.method, r.cells[column].value or 0.0, r.cells[column].low, r.cells[column].high, r.method == base) for r in family]  # fmt: skip
        rows = [[b.label, b.value, b.low, b.high] for b in entries]
        figures.append(figure(
            f"ablation-{len(figures)}", f"Ablations of {base}", f"{column} with 95 % intervals; the first row is {base} itself.",
            _bars(entries, f"Ablations of {base}", column), ["variant", column, "low", "high"], rows,
        ))  # fmt: skip
    return figures


def benchmark_figures(table: Table, records: Records) -> list[dict[str, Any]]:
    """All pictures there is data for, in order."""
    figures = [rate_distortion(records), codebooks(records), over_time(table, records)]
    return [one for one in [*figures, *ablations(table)] if one is not None]


# --- method pages -------------------------------------------------------------------------------------------


def distribution(record_group: Sequence[Record], suite: str, column: TableColumn) -> dict[str, Any] | None:
    """How one column's per-clip values are spread, seeds averaged."""
    mean = defined_means(np.stack([per_clip(r.suites[suite], [column.id])[:, 0] for r in record_group]))
    finite = mean[np.isfinite(mean)]
    if len(finite) < 8 or np.ptp(finite) < 1e-12:
        return None
    quantiles = [float(q) for q in np.quantile(finite, [0, 0.25, 0.5, 0.75, 1])]
    name = column.id
    return figure(
        f"spread-{suite}-{name}", name, column.summary, histogram(finite, f"{name} by clip", name),
        ["clips", "least", "quarter", "median", "three quarters", "most"], [[len(finite), *quantiles]],
    )  # fmt: skip


def group_errors(records: Sequence[Record]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Errors of channel groups: columns named after a group, and what reconstruction kept of each."""
    rows_of_errors: list[tuple[str, list[tuple[str, float]]]] = []
    for suite in records[0].suites:
        groups: dict[str, list[tuple[str, float]]] = {}
        for name in records[0].suites[suite].scores:
            head, dot, tail = name.partition(".")
            values = [
                r.suites[suite].scores[name].value
                for r in records
                if suite in r.suites and name in r.suites[suite].scores
            ]
            if dot and tail in ("expression", "rotation", "translation", "jaw") and None not in values:
                groups.setdefault(head, []).append((tail, float(np.mean([v for v in values if v is not None]))))
        rows_of_errors += [(f"{suite} {head}", values) for head, values in groups.items()]
    for column in ("motion-rmse", "reconstruction"):
        details = [r.suites["tokens"].scores[column].detail for r in records if "tokens" in r.suites and column in r.suites["tokens"].scores]  # fmt: skip
        if details and details[0]:
            means = [(name, float(np.mean([d[name] for d in details]))) for name in details[0]]
            rows_of_errors.append((f"tokenizer {column}", means))
    return rows_of_errors

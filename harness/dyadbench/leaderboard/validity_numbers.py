"""The numbers behind the signs of the validity page: what every metric gave on one corpus, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dyadbench.leaderboard.text import ROUNDING, direction_sign, escape, grid
from dyadbench.leaderboard.validity import Corpus, Validity
from dyadbench.leaderboard.validity_page import QUESTIONS, arrow, corpus_text, moved_text
from dyadbench.leaderboard.validity_rule import SIGN, Falls, Pair

HEAD = """Made by `dyadbench leaderboard` from the JSON file beside it. [The validity page](../validity.md) says what the
conditions and signs are, what a metric must order to pass, and why one fails.

- **Values** are means over clips and over the draws of a condition.
- **Paired differences**: the loss of the worse condition less that of the better one, on the same clips, with its 95 %
  interval over sessions and draws. Above 0 the order is right. Loss is the value where less is better (↓), its negative
  where more is better (↑), and its distance from the number of real listeners where that is the target (→).
  A sign counts how many questions were put to the suite, so = may stand beside an interval without 0.
- **Degraded truth**: the loss of the truth and after each step, then by how much it grows with each step, and from the truth to
  the last one, with the same intervals. Steps are a delay of 0.2, 1 and 3 seconds; noise of 0.25, 0.5 and 1 deviations; smoothing over 0.2, 1
  and 3 seconds; 10, 30 and 60 % of the frames dropped; 10, 30 and 100 % of the clips swapped. The arrow is that of the page.
- **What should not matter**: by how much the value of a mismatched listener moves, in distances from true to mismatched, and
  whether the true listener is still told from a mismatched one. All of this is of the first draw, which is shown as it is, too.
"""
Columns = Mapping[str, Validity]


def numbers_page(corpus: Corpus) -> str:
    """leaderboards/validity/CORPUS.md."""
    parts = [f"# Validity on {escape(corpus.benchmark)}, in numbers\n", corpus_text(corpus), HEAD]
    for suite, columns in corpus.suites.items():
        parts += [
            f"## {escape(suite)}\n",
            "### Values\n",
            _values(columns, corpus.conditions),
            "### Paired differences\n",
        ]
        parts += [
            table
            for better in dict.fromkeys(better for better, _ in QUESTIONS)
            if (table := _differences(columns, better))
        ]
        parts += ["### Degraded truth\n", *_degraded(columns), "### What should not matter\n", _shifts(columns)]
    return "\n".join(parts)


def _values(columns: Columns, conditions: Sequence[str]) -> str:
    rows = [
        [
            _name(name),
            direction_sign(one.direction, one.passes is not None),
            *(_number(one.values.get(condition)) for condition in conditions),
        ]
        for name, one in columns.items()
    ]
    return grid(["metric", "", *conditions], rows)


def _differences(columns: Columns, better: str) -> str:
    """What is asked of one condition against all that are worse; "" where that was not drawn."""
    conditions = [worse for left, among in QUESTIONS if left == better for worse in among]
    pairs = {name: {p.worse: p for p in one.pairs if p.better == better} for name, one in columns.items()}
    worse = [each for each in conditions if any(each in of for of in pairs.values())]
    if not worse:
        return ""
    rows = [[_name(name), *(_difference(of.get(each)) for each in worse)] for name, of in pairs.items()]
    return grid(["metric", *(f"{better} > {each}" for each in worse)], rows)


def _difference(pair: Pair | None) -> str:
    if pair is None or pair.gap is None:
        return "-"
    return f"{_number(pair.gap)} [{_number(pair.low)}, {_number(pair.high)}] {SIGN[pair.reading]}"


def _degraded(columns: Columns) -> list[str]:
    """One table for each way of degrading the truth."""
    tables = []
    for kind in dict.fromkeys(fall.kind for one in columns.values() for fall in one.falls):
        falls = {name: fall for name, one in columns.items() for fall in one.falls if fall.kind == kind}
        pairs = next((fall.steps for fall in falls.values() if fall.steps), ())
        rows = [[_name(name), _losses(fall), *map(_difference, fall.steps)] for name, fall in falls.items()]
        tables.append(grid(["metric", f"{kind}: losses", *(f"{p.better} > {p.worse}" for p in pairs)], rows))
    return tables


def _losses(fall: Falls) -> str:
    return f"{', '.join(map(_number, fall.losses))} {arrow(fall)}"


def _shifts(columns: Columns) -> str:
    what = list(dict.fromkeys(name for one in columns.values() for name in one.shifts))
    rows = [[_name(name), *(moved_text(one.shifts.get(each)) for each in what)] for name, one in columns.items()]
    return grid(["metric", *what], rows)


def _name(metric: str) -> str:
    return f"`{metric}`"


def _number(value: float | None) -> str:
    """Four significant digits, without an exponent where few zeros do; what is 0 but for rounding is 0."""
    if value is None:
        return "n/a"
    return "0" if abs(value) < ROUNDING else f"{value:.4g}"

"""Which metrics can be trusted: the page that is made of the results of `dyadbench validity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dyadbench.errors import number_of
from dyadbench.leaderboard.text import escape, grid
from dyadbench.leaderboard.validity import FOLDER, Corpus, Validity
from dyadbench.leaderboard.validity_rule import (
    SHOULD_NOT_MATTER,
    SIGN,
    Falls,
    Shift,
    demands,
    exemptions,
    indifferences,
)
from dyadbench.records.record import slug

UNITS_RULE = (
    "action units are 0 or 1 by thresholds that give the scored reactions the rates of the split's own listeners (those of a "
    "method are fitted on its reactions to training clips)"
)
QUESTIONS = (  # what is asked of each better condition, in the columns of the page
    ("true", ("fresh", "mismatched", "same person")),
    ("fresh", ("same person", "mismatched", "averaged mismatched", "averaged fresh")),
    ("mismatched", ("reversed", "shuffled")),
    ("mismatched", ("averaged mismatched", "noise", "constant")),
    ("same person", ("shuffled", "noise", "constant")),
)


def _list(lines: Sequence[str]) -> str:
    return "".join(f"- {line}.\n" for line in lines)


HEAD = f"""# Validity: does a metric order what everybody knows?

Made by `dyadbench leaderboard` from `validity/`, which `dyadbench validity` writes. Every metric of the suites of these
benchmarks is given reactions whose
order is known: the **true** listener; a **fresh** one, another person who hears the same speaker (only a simulation can
draw one); the **same person** at another time (only where a dataset says who listens); a **mismatched** one, a real listener of
another session; the mismatched one played backwards (**reversed**) or with its frames **shuffled**; the mean of eight fresh
or of eight mismatched ones (**averaged**), which a regression approaches; **noise** with each channel's mean and deviation;
a **constant** mean face.

- ✓: the better one is better. The 95 % interval of the paired difference excludes 0, and so it does among all questions put
  to a suite, at most 5 % false ones by Benjamini-Hochberg, also with other random numbers. =: the metric cannot tell them
  apart. ✗: it prefers the worse one. Everything that is drawn is drawn five times, the degraded truth, too, and the intervals
  count the draws beside the sessions.
- The truth is degraded in three steps: ↘ it gets worse, and no step is better than the one before; (↘) it gets worse on the
  whole, but one step is better, which may be chance; → it does not notice; ↗ one step is surely better.
- The last column is by how much the value of a mismatched listener moves when clips are in another order, when one channel is
  constant everywhere, or when clips are half as long, in distances from true to mismatched, and whether the true listener is still told
  from a mismatched one; of the first draw alone.
- Not judged: a metric of no family, for which nobody knows whether a better listener has more of it or less, such as the growth
  of an error over a clip and the difference between the samples of a clip. Nor is a metric that has no value on these data.
- Below the name of each corpus a link leads to the values and to every paired difference with its interval.

**What a metric must order to pass** depends on its family:

{_list(demands())}
What a metric does not notice is listed below each table, and is a fault only where it must notice it. A metric fails, too, where
it prefers what is worse, by however little, or where one step of degrading the truth is surely better. **These preferences are
shown and are no fault:**

{_list(exemptions())}
What should not matter:

{_list(indifferences())}
**A metric that fails on a corpus is shown on the leaderboards of that corpus and is no part of their headline.**
"""
SURPRISING = "[Five surprising rows](../docs/validity.md) are explained.\n"


def validity_page(corpora: Sequence[Corpus], explained: bool = False) -> str:
    """leaderboards/validity.md; `explained`: beside it lies the page of this project that it refers to."""
    parts = [HEAD, *([SURPRISING] if explained else [])]
    for corpus in corpora:
        parts.append(f"## {escape(corpus.benchmark)}{' (simulated)' if corpus.simulated else ' (real people)'}\n")
        parts.append(corpus_text(corpus))
        parts.append(f"[Values, and paired differences with intervals]({FOLDER}/{slug(corpus.benchmark)}.md).\n")
        for suite, columns in corpus.suites.items():
            parts += [f"### {escape(suite)}\n", _table(columns)]
            failed = [
                f"- `{name}`: {escape(', '.join(one.why))}\n" for name, one in columns.items() if one.passes is False
            ]
            if failed:
                parts.append("Why they fail:\n\n" + "".join(failed))
            if unnoticed := _unnoticed(columns):
                parts.append("What they do not notice:\n\n" + unnoticed)
    return "\n".join(parts)


def corpus_text(corpus: Corpus) -> str:
    """What was looked at."""
    rule = f"; {UNITS_RULE}" if corpus.action_units else ""
    return (
        f"{number_of(corpus.clips, 'clip')} of {number_of(corpus.sessions, 'session')}, {number_of(corpus.samples, 'sample')}, "
        f"{number_of(corpus.draws, 'draw')}{rule}.\n"
    )


def _table(columns: Mapping[str, Validity]) -> str:
    orders = {(pair.better, pair.worse) for one in columns.values() for pair in one.pairs}
    questions = [(better, [each for each in worse if (better, each) in orders]) for better, worse in QUESTIONS]
    questions = [(better, worse) for better, worse in questions if worse]  # nobody is fresh, or known, on some corpora
    degradations = list(dict.fromkeys(fall.kind for one in columns.values() for fall in one.falls))
    header = ["metric", "passes", *(f"{better} > {', '.join(worse)}" for better, worse in questions), ", ".join(degradations),
              ", ".join(SHOULD_NOT_MATTER)]  # fmt: skip
    rows = []
    for name, one in columns.items():
        sign = {(pair.better, pair.worse): SIGN[pair.reading] for pair in one.pairs}
        rows.append(
            [
                f"`{name}`" + _headline(one),
                {True: "**yes**", False: "no", None: "not judged"}[one.passes],
                *(" ".join(sign.get((better, each), "-") for each in worse) for better, worse in questions),
                " ".join(arrow(fall) for fall in one.falls),
                ", ".join(moved_text(one.shifts.get(what)) for what in SHOULD_NOT_MATTER),
            ]
        )
    return grid(header, rows)


def _headline(one: Validity) -> str:
    if not one.headline:
        return ""
    return " (not in the headline here)" if one.passes is False else " (headline)"


def arrow(fall: Falls) -> str:
    if fall.reading == "falls":
        return "↘" if fall.every_step else "(↘)"
    return "→" if fall.reading == "flat" else "↗"


def _unnoticed(columns: Mapping[str, Validity]) -> str:
    """For each way of degrading the truth, the metrics of a family that it does not move for the worse."""
    blind: dict[str, list[str]] = {}
    for name, one in columns.items():
        for fall in one.falls if one.family else ():
            if fall.reading == "flat":
                blind.setdefault(fall.kind, []).append(f"`{name}`")
    return "".join(f"- {kind}: {', '.join(names)}\n" for kind, names in blind.items())


def moved_text(shift: Shift | None) -> str:
    if shift is None or shift.moved is None:
        return "-"
    return (f"{shift.moved:.2f}" if shift.moved < 10 else f"{shift.moved:.0f}") + f" {SIGN[shift.reading]}"

"""A check's report as text of 80 columns: a summary, then groups of findings with three examples each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from dyadbench.datasets.check.finding import CheckReport, Finding

WIDTH, EXAMPLES = 80, 3


def lines(report: CheckReport, *, everything: bool = False) -> Iterator[str]:
    """The report's lines; with `everything`, every finding by itself."""
    summary = report.summary()
    yield from _wrapped("", f"{report.name} in {report.root}: {summary}")
    yield ""
    for group in report.groups():
        if not everything and not group[0].meaning and all(finding.what in summary for finding in group):
            continue  # said already
        for part in [[finding] for finding in group] if everything else [group]:
            yield from _group(part)
    if not everything and any(len(group) > EXAMPLES for group in report.groups()):
        yield "(every finding: --all)"


def _group(group: list[Finding]) -> Iterator[str]:
    first, many = group[0], len(group) > 1
    alike = all(finding.of_many == first.of_many for finding in group)
    times = f" ({len(group)} times{'' if alike else '; the numbers are of the first'})"
    yield from _wrapped(f"{first.level:5}  ", first.of_many + times if many else first.what)
    if where := [finding.where for finding in group if many or finding.where not in finding.what]:
        more = f" and {len(where) - EXAMPLES} more" if len(where) > EXAMPLES else ""
        yield from _wrapped(" " * 7, ", ".join(where[:EXAMPLES]) + more)
    if advice := "; ".join(filter(None, (first.meaning, first.remedy and f"to do: {first.remedy}"))):
        yield from _wrapped(" " * 7, advice)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    ) or [head.rstrip()]  # fmt: skip

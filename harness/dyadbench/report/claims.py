"""Claims as a forest plot by paper: one line per finding, from the other way round to as claimed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dyadbench.leaderboard.claims import Contrast, Evidence, Judged
from dyadbench.leaderboard.verdicts import SEEDS
from dyadbench.leaderboard.verdicts_page import command, evidence
from dyadbench.report.pages import compare_link, page_name

REACH = 0.6  # of the larger side: the ends of the axis; what is longer gets an arrow


def by_paper(board: Sequence[Judged], methods: Collection[str], compared: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:  # fmt: skip
    """Papers with their claims; `methods` have pages, `compared` are on the comparison page, by benchmark."""
    papers: dict[str, list[dict[str, Any]]] = {}
    for one in board:
        if not one.claim.demonstration:
            paper = one.claim.source.partition(":")[0].partition(", ")[0].strip()  # without the table or the section
            papers.setdefault(paper, []).append(claim_view(one, methods, compared))
    parts = [(paper, *_apart(claims)) for paper, claims in papers.items()]
    parts.sort(key=lambda part: not part[1])  # papers of which something was tested come first
    return [{"paper": paper, "claims": tested, "untested": untested} for paper, tested, untested in parts]


def _apart(claims: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Those with a result, or of which it is said why there can be none; and those that only lack records."""
    untested = [claim for claim in claims if claim["verdict"] == "untested"]
    return [claim for claim in claims if claim["verdict"] != "untested"], untested


def corrections(board: Sequence[Judged]) -> list[dict[str, Any]]:
    return [claim_view(one, (), {}) for one in board if one.claim.demonstration]


def claim_view(one: Judged, methods: Collection[str], compared: Mapping[str, Collection[str]]) -> dict[str, Any]:
    lines = [_line(part, result, methods, compared) for part, result in zip(one.claim.part, one.evidence, strict=False)]
    return {
        "said": one.claim,
        "verdict": one.verdict,
        "command": command(one) if one.claim.matrix else "",
        "lines": lines,
    }


def _line(part: Contrast, result: Evidence, methods: Collection[str], compared: Mapping[str, Collection[str]]) -> dict[str, Any]:  # fmt: skip
    """One finding: its picture in per cent of the axis, and where the two methods can be compared."""
    names = list(result.methods)
    link = compare_link(part.benchmark, *names[:2]) if len(names) == 2 and set(names) <= set(compared.get(part.benchmark, ())) else ""  # fmt: skip
    return {
        "short": _short(part), "on": part.benchmark, "real": not result.simulated and result.verdict != "untested", "text": result.text, "verdict": result.verdict, "says": evidence(result), "compare": link,
        "why": f"{result.seeds} of {SEEDS} seeds" if result.few and result.verdict == "undecided" else "",
        "methods": [(name, page_name("method", name)) for name in names if name in methods], "bar": _bar(result),
    }  # fmt: skip


def _short(part: Contrast) -> str:
    (a, first), (b, second) = part.sides
    if part.closer:
        return f"{part.column}: {a} nearer to its target than {b}"
    if first == second:
        return f"{first}: {a} below {b}"
    return f"{first} of {a} below {second} of {b}" if a != b else f"{a}: {first} below {second}"


def _bar(evidence: Evidence) -> dict[str, Any] | None:
    """Difference and interval as shares of the larger side, on an axis from -REACH to REACH; None without a number."""
    size = max(abs(evidence.less or 0.0), abs(evidence.more or 0.0))
    if evidence.difference is None or size == 0:
        return None

    def place(value: float) -> float:
        return round(50 + 50 * min(max(value / size / REACH, -1), 1), 1)

    low, high = (evidence.difference if end is None else end for end in (evidence.low, evidence.high))
    return {
        "left": place(low), "width": max(round(place(high) - place(low), 1), 0.8), "dot": place(evidence.difference),
        "off": "right" if evidence.difference / size > REACH else "left" if evidence.difference / size < -REACH else "",
        "share": f"{100 * evidence.difference / size:+.0f} %",
    }  # fmt: skip

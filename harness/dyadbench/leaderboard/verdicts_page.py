"""The claims board as text, for Markdown and for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dyadbench.errors import number_of
from dyadbench.leaderboard.claims import MEANING, Evidence, Judged
from dyadbench.leaderboard.stats import FALSE_DISCOVERIES, chance_of_draws, sure
from dyadbench.leaderboard.text import escape
from dyadbench.leaderboard.verdicts import SEEDS


def counted(board: Sequence[Judged]) -> str:
    """`Of papers' claims: 3 reproduced, ...; of this project's own: 1 reproduced` in the order of MEANING, and how many
    corrections a test demonstrates."""

    def verdicts(some: Sequence[Judged]) -> str:
        counts = Counter(one.verdict for one in some)
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in MEANING if counts[verdict])

    claims = [one for one in board if not one.claim.demonstration]
    theirs, own = (verdicts([one for one in claims if one.claim.ours == ours]) for ours in (False, True))
    text = f"Of papers' claims: {theirs or 'none'}; of this project's own: {own}" if own else theirs
    if corrections := len(board) - len(claims):
        text += f"; {number_of(corrections, 'correction')} of releases and papers demonstrated by a test"
    return text


def command(one: Judged) -> str:
    return f"dyadbench run leaderboards/matrices/{one.claim.matrix}"


def _few(finding: Evidence) -> str:
    return f" ({number_of(finding.seeds, 'seed')})" if finding.few else ""


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def evidence(finding: Evidence) -> str:
    """Sentences with the numbers of one part, and what could have been seen."""
    if finding.missing:
        return f"No records yet of {', '.join(finding.missing)} that hold it."
    if finding.difference is None:
        return "" if finding.verdict == "untested" else "It is undefined."
    side = "as claimed" if finding.difference > 0 else "the other way round"
    span = f" [{_short(finding.low)}, {_short(finding.high)}]" if finding.low is not None else ", without an interval"
    seeds = number_of(finding.seeds, "seed")
    beyond = f" beyond the margin of {abs(finding.margin):.0%}" if finding.margin else ""
    text = ("" if finding.simulated else "Real people: ") + (
        f"{_short(finding.less)} against {_short(finding.more)}: a difference of {_short(finding.difference)}{beyond}{span}, {side}, "
        f"over {number_of(finding.clips, 'clip')} and {seeds}{_share(finding)}."
    )
    if finding.detectable is not None and finding.more:
        part = abs(finding.detectable / finding.more)
        share = (
            f" ({part:.2g} of the {_short(finding.more)})" if part < 1 else ""
        )  # where a side is about 0, a share of it says nothing
        text += f" Alone and at this budget, a true difference of {_short(finding.detectable)}{share} would have been found four times in five."
    elif finding.few:
        text += " What difference could have been found, one seed does not tell." if finding.seeds == 1 else ""
    if finding.unequal:
        text += f" The sides were treated otherwise: {'; '.join(finding.unequal)}."
    if finding.fails:
        text += f" {', '.join(finding.fails)} fails its validity tests on these data."
    return text + _budgets(finding)


def _excludes(finding: Evidence) -> bool:
    """Whether the interval alone has one answer."""
    return finding.low is not None and finding.high is not None and not finding.low <= 0 <= finding.high


def _share(finding: Evidence) -> str:
    """The share of false verdicts, where the interval alone would give another answer."""
    if finding.p is None or finding.q is None or sure(finding.p, finding.q) or not _excludes(finding):
        return ""
    error = chance_of_draws(finding.p, finding.q)
    edge = f", {error:.3f} more or less with other random draws" if abs(finding.q - FALSE_DISCOVERIES) < error else ""
    return f"; among all parts of this page it is not sure (q {finding.q:.3f}{edge})"


def _budgets(finding: Evidence) -> str:
    if finding.stepless:
        return " Neither side is trained by steps."
    if finding.shorter is None:
        return f" {_trained(finding)} At one budget: nothing says what more training does."
    shorter = finding.shorter
    span = f" [{_short(shorter.low)}, {_short(shorter.high)}]" if shorter.low is not None else ""
    moves = {
        "towards": "with more training it moves towards the claim",
        "away": "with more training it moves away from the claim",
    }
    alone = sure(finding.p, finding.q) and _excludes(finding)
    neither = "; the two budgets together decide nothing" if alone and finding.verdict == "undecided" else ""
    return (
        f" {_trained(finding)} Trained a quarter as long ({', '.join(shorter.methods)}): a difference of {_short(shorter.difference)}{span}{_share(shorter)}, {shorter.verdict}; "
        f"{moves.get(finding.trend, 'no trend can be told')}{neither}."
    )


def _trained(finding: Evidence) -> str:
    """`Steps of training: sfms tokenizer 1000, predictor 1000; lfi flow 1000.`"""
    return f"Steps of training: {'; '.join(f'{method} {steps}' for method, steps in finding.treatment.items())}."


def _two_budgets(board: Sequence[Judged]) -> str:
    tested = [one for one in board if any(f.verdict != "untested" and not f.stepless for f in one.evidence)]
    if not tested:
        return "No claim on a method that is trained by steps has records yet."
    both = sum(all(f.shorter is not None for f in one.evidence) for one in tested)
    return f"{both} of the {len(tested)} claims on trained methods with records were tested at two training budgets."


def _mark(one: Judged) -> str:
    """† where some part is measured by a column that fails its validity tests there."""
    return "†" if one.verdict != "untested" and any(finding.fails for finding in one.evidence) else ""


def summary(board: Sequence[Judged]) -> str:
    """One row per claim, those with an answer first; each leads to its section."""
    order = list(MEANING)
    rows = sorted(enumerate(board, 1), key=lambda row: (order.index(row[1].verdict), row[0]))
    lines = [
        f"| {one.verdict}{_mark(one)} | [{escape(one.claim.says)}](#{one.claim.id}) | {'this project, on ' if one.claim.ours else ''}{escape(one.claim.source.split(',')[0])} |"
        for _, one in rows
    ]
    return "\n".join(["| verdict | claim | source |", "|---|---|---|", *lines]) + "\n"


def claims_page(board: Sequence[Judged]) -> str:
    """leaderboards/claims.md."""
    parts = [
        "# Claims, checked\n",
        "Made by `dyadbench leaderboard` from `claims/checked/` and `records/`; do not edit. Differences are paired, intervals "
        f"are 95 % over sessions and the seeds of random methods, which need two for an interval and {SEEDS} for a verdict, and at most 5 % of the "
        "verdicts of this page are expected to be false (Benjamini-Hochberg over all parts that could be tested, at both budgets, and by themselves over what more training changes; a part that two claims name "
        "counts once); what other random draws could bring above 5 % is not called. **Settings of one kind of tokenizer or predictor must be equal on both sides**, but for what the claim is about; of two kinds each "
        "has its own recipe, and the steps of both are printed. A part marked † (in the table: a claim with such a part) is measured by a column that "
        "[fails its validity tests](validity.md) on those data: its verdict says what that number does, and not which reactions are better. The errors of "
        "tokenizers are distances to the truth itself, which those tests do not judge. Where a part does not say *real people*, it was measured on simulated data at "
        "small presets: a claim that fails here may hold on real data at full size, and one that holds here may fail there.\n",
        f"{counted(board)}. {_two_budgets(board)}\n",
        "".join(f"- **{verdict}**: {meaning}\n" for verdict, meaning in MEANING.items()),
    ]
    parts.append(summary(board))
    for one in board:
        claim = one.claim
        parts.append(f'<a id="{claim.id}"></a>\n\n## {escape(claim.says)}\n')
        lines = [f"- **{one.verdict}** (`{claim.id}`)", f"- source: {escape(claim.origin)}"]
        if claim.matrix:
            second = "" if all(f.stepless for f in one.evidence) else "; with `--quarter` at a second budget"
            lines.append(f"- tested by: `{command(one)}`{second}")
        if claim.not_comparable:
            lines.append(f"- not comparable: {escape(claim.not_comparable)}")
        if claim.untestable:
            lines.append(f"- why not: {escape(claim.untestable)}")
        if claim.demonstration:
            lines.append(f"- shown by: `pytest {claim.demonstration}`")
        lines += [
            f"- {finding.verdict}{'†' if finding.fails and finding.verdict != 'untested' else ''}{_few(finding)}: {escape(finding.text)}. {escape(evidence(finding))}".rstrip()
            for finding in one.evidence
        ]
        if claim.note:
            lines.append(f"- {escape(claim.note)}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)

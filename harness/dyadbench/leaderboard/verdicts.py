"""The claims board: what papers say, tested on committed records, and the corrections that tests demonstrate.

Verdicts are computed: the draws are the leaderboards' own (sessions, and seeds where they are the same, shared by the methods),
at least five seeds are needed of a method that is random, and over the whole board at most 5 % of the verdicts are
expected to be false (Benjamini-Hochberg over all parts that could be tested, one that two claims name once). Sides that were
treated otherwise than the claim says decide nothing. A column that fails its validity tests on these data keeps its verdict, since
the paper's sentence is about that number, and is marked: it does not say which reactions are better. Where
the rows were also trained for a quarter of the steps, the verdict has to be the same there, or to become clearer with more
training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.api import TARGET_SUFFIX
from dyadbench.leaderboard.claims import Claim, Contrast, Evidence, Judged, Verdict, describe
from dyadbench.leaderboard.fairness import shorter_names, takes_steps, training, trend, unequal, unlike_emotion
from dyadbench.leaderboard.paired import on_shared_clips
from dyadbench.leaderboard.stats import (
    DRAWS_OF_DECISIONS,
    Floats,
    benjamini_hochberg,
    bootstrap,
    interval,
    loss_draws,
    p_value,
    sure,
)
from dyadbench.leaderboard.tokenizers import SUITE as TOKENS
from dyadbench.leaderboard.tokenizers import token_values
from dyadbench.leaderboard.validity import Corpus, judged_on
from dyadbench.records.comparable import of_newest_data, per_clip, seeds_of, setting_of
from dyadbench.records.record import Record

SEEDS = 5  # of a random method, for a verdict
POWER = 1 + 0.8416 / 1.96  # half intervals of a true difference that four tests in five would find


def judge(claims: Sequence[Claim], records: Sequence[Record], corpora: Sequence[Corpus] = ()) -> list[Judged]:
    """Every claim with its verdict; corpora: what the validity tests found, by data."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in of_newest_data(records)[0]:
        groups.setdefault((record.benchmark, record.method), []).append(record)
    evidences = {
        _key(part, claim): _with_validity(_at_both_budgets(part, claim, groups), part, groups, corpora)
        for claim in claims
        for part in claim.part
    }
    tests: dict[tuple[str, bool], float] = {}  # a part at one budget -> its p
    # Trends by themselves: many are plain, and among them doubtful differences would pass.
    changes: dict[str, float] = {}
    for (part, *_), evidence in evidences.items():
        for one, whole in ((evidence, True), (evidence.shorter, False)):
            if one is not None and (p := _p(one)) is not None:
                tests[part, whole] = p
        if (p := _trend_p(evidence)) is not None:
            changes[part] = p
    shares = dict(zip(tests, benjamini_hochberg([*tests.values()]), strict=True))
    q_of_trends = dict(zip(changes, benjamini_hochberg([*changes.values()]), strict=True))
    decided = {
        key: _decided_at_both(
            evidence, (shares.get((key[0], True)), shares.get((key[0], False))), q_of_trends.get(key[0])
        )
        for key, evidence in evidences.items()
    }
    judged = []
    for claim in claims:
        parts = tuple(decided[_key(part, claim)] for part in claim.part)
        judged.append(Judged(claim=claim, verdict=_verdict(claim, parts), evidence=parts))
    return judged


def _p(one: Evidence) -> float | None:
    """Its p where it can give a verdict."""
    return None if one.few or one.unequal or not one.decides else one.p


def _trend_p(evidence: Evidence) -> float | None:
    """The p of its change with training where both budgets can give a verdict."""
    both = evidence.shorter is not None and _p(evidence) is not None and _p(evidence.shorter) is not None
    return evidence.trend_p if both else None


def _key(part: Contrast, claim: Claim) -> tuple[str, tuple[str, ...], bool]:
    """What two claims share where they name the same part."""
    return part.model_dump_json(), claim.varies, bool(claim.not_comparable)


def _with_validity(
    evidence: Evidence, part: Contrast, groups: Mapping[tuple[str, str], Sequence[Record]], corpora: Sequence[Corpus]
) -> Evidence:
    records = [record for name in evidence.methods for record in groups.get((part.benchmark, name), ())]
    judged = judged_on(corpora, records, part.suite)
    return evidence.model_copy(update={"fails": tuple(name for name in _columns(part) if judged.get(name))})


def _at_both_budgets(part: Contrast, claim: Claim, groups: Mapping[tuple[str, str], Sequence[Record]]) -> Evidence:
    first, draws = find(part, groups, claim.varies)
    first = first.model_copy(update={"decides": not claim.not_comparable})
    names = shorter_names(first.methods, part.benchmark, groups)
    if first.missing or len(names) < len(first.methods) or all(name == row for name, row in names.items()):
        return first
    sides = {field: names[name] for field in ("less", "more", "closer", "than") if (name := getattr(part, field))}
    shorter, drawn_shorter = find(part.model_copy(update=sides), groups, claim.varies)
    shorter = shorter.model_copy(update={"decides": first.decides})
    if draws is None or drawn_shorter is None:
        return first.model_copy(update={"shorter": shorter})
    return first.model_copy(
        update={"shorter": shorter, "trend": trend(drawn_shorter, draws), "trend_p": p_value(draws - drawn_shorter)}
    )


def _decided_at_both(evidence: Evidence, q: tuple[float | None, float | None], trend_q: float | None) -> Evidence:
    """Decided at its budget, and where there is a second one, alike at both; `q` of the first and of the second.

    A quarter of the training that decides nothing does no harm if more training moves the difference to where the verdict is:
    a method that has hardly learnt says little of a paper's.
    """
    first = _decided(evidence, q[0])
    if evidence.shorter is None:
        return first
    shorter = _decided(evidence.shorter, q[1])
    trend_of = evidence.trend if sure(evidence.trend_p, trend_q) else "level" if evidence.trend else ""
    clearer = trend_of == {"reproduced": "towards", "contradicted": "away"}.get(first.verdict)
    holds = first.verdict == shorter.verdict or (clearer and shorter.verdict == "undecided")
    verdict = first.verdict if holds else "undecided"
    return first.model_copy(update={"shorter": shorter, "verdict": verdict, "trend": trend_of})


def _decided(evidence: Evidence, q: float | None) -> Evidence:
    """The evidence with its verdict, now that all other parts of the board are known."""
    if evidence.verdict == "untested" or evidence.difference is None or evidence.low is None or evidence.high is None:
        return evidence
    verdict: Verdict = "not comparable" if evidence.unequal or not evidence.decides else "undecided"
    if _p(evidence) is not None and sure(evidence.p, q):
        verdict = "reproduced" if evidence.low > 0 else "contradicted" if evidence.high < 0 else "undecided"
    return evidence.model_copy(update={"verdict": verdict, "q": q})


def _verdict(claim: Claim, evidence: Sequence[Evidence]) -> Verdict:
    if claim.untestable:
        return "untestable"
    if claim.demonstration:
        return "demonstrated"
    verdict = together([each.verdict for each in evidence])
    return "not comparable" if claim.not_comparable and verdict != "untested" else verdict


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for all parts; nothing is reproduced, or contradicted, until every part is."""
    kinds = set(verdicts)
    if len(kinds) == 1:
        return verdicts[0]
    return "mixed" if {"reproduced", "contradicted"} <= kinds else "undecided"


# --- one part -----------------------------------------------------------------------------------------------


def find(
    part: Contrast, groups: Mapping[tuple[str, str], Sequence[Record]], varies: Sequence[str] = ()
) -> tuple[Evidence, Floats | None]:
    """The bootstrap of one part and its draws (R,), or why there is none."""
    methods = tuple(dict.fromkeys(method for method, _ in part.sides))
    records_of = {method: _usable(part, method, groups) for method in methods}
    untested = Evidence(text=describe(part), verdict="untested", methods=methods)
    missing = tuple(method for method, records in records_of.items() if not records)
    if missing:
        return untested.model_copy(update={"missing": missing}), None
    for method, records in records_of.items():
        if len({str(record.method_config) for record in records}) > 1:
            why = f"the seeds of {method} have different configurations"
            return untested.model_copy(update={"text": f"{untested.text} ({why})"}), None
    both = [record for records in records_of.values() for record in records]
    setups = {(record.dataset.digest, tuple(record.clips), setting_of(record)) for record in both}
    versions = {str(sorted(_versions(part, record).items())) for record in both}
    if len(setups) > 1 or len(versions) > 1:
        why = "measured on different data, under different settings or by different versions"
        return untested.model_copy(update={"text": f"{untested.text} ({why})", "missing": methods}), None
    return _evidence(part, records_of, varies)


def _evidence(
    part: Contrast, records_of: Mapping[str, Sequence[Record]], varies: Sequence[str]
) -> tuple[Evidence, Floats]:
    """The evidence of records that can be compared, less its verdict, and its draws (R,)."""
    methods, columns = tuple(records_of), _columns(part)
    firsts = [records[0] for records in records_of.values()]
    shared = on_shared_clips(
        [np.stack([_values(r, part.suite, columns) for r in records]) for records in records_of.values()]
    )
    boot = bootstrap(
        shared,
        firsts[0].sessions,
        DRAWS_OF_DECISIONS,
        streams=[seeds_of(records) for records in records_of.values()],
    )
    point = float(_contrast(part, columns, methods, boot.point, boot.point[None])[0])
    draws = _contrast(part, columns, methods, boot.point, boot.draws)
    less, more = (_side(boot.point[None], columns, methods, side)[0] for side in part.sides)
    span = interval(draws) if boot.informative and np.isfinite(point) else None
    seeds = [len(records) for records in records_of.values() if not records[0].deterministic]
    honest = span if min(seeds, default=2) > 1 else None  # one seed of a random method: nothing is known of others
    parts = ("tokenizer",) if part.suite == TOKENS else ("predictor", "tokenizer")
    otherwise: tuple[str, ...] = ()
    if len(firsts) == 2:
        a, b = firsts
        otherwise = (*unequal(a, b, varies, parts), *unlike_emotion(a, b, part.suite))
    evidence = Evidence(
        text=describe(part),
        verdict="undecided",
        methods=methods,
        less=_finite(less),
        more=_finite(more),
        difference=_finite(point),
        low=honest.low if honest else None,
        high=honest.high if honest else None,
        p=p_value(draws) if span else None,
        detectable=POWER * (honest.high - honest.low) / 2 if honest else None,
        margin=part.by,
        treatment={m: steps for m, r in zip(methods, firsts, strict=True) if (steps := training(r, parts))},
        clips=int(np.isfinite(shared[0]).all((0, 2)).sum()),
        seeds=min(seeds, default=1),
        few=bool(seeds) and min(seeds) < SEEDS,
        simulated=firsts[0].dataset.simulated,
        stepless=not any(map(takes_steps, firsts)),
        unequal=otherwise,
    )
    return evidence, draws


def _terms(column: str) -> list[tuple[float, str]]:
    """`a - b` as [(1, a), (-1, b)]."""
    head, *rest = column.split(" - ")
    return [(1.0, head), *((-1.0, name) for name in rest)]


def _columns(part: Contrast) -> list[str]:
    names = [name for _, column in part.sides for _, name in _terms(column)]
    if part.closer:
        names.append(part.column + TARGET_SUFFIX)
    return list(dict.fromkeys(names))


def _usable(part: Contrast, method: str, groups: Mapping[tuple[str, str], Sequence[Record]]) -> list[Record]:
    columns = set(_columns(part))
    return [
        record
        for record in groups.get((part.benchmark, method), ())
        if not record.limit and not record.scored_from
        if part.suite in record.suites and columns <= record.suites[part.suite].per_clip.keys()
    ]


def _versions(part: Contrast, record: Record) -> dict[str, int]:
    return {name: record.suites[part.suite].versions.get(name, 0) for name in _columns(part)}


def _values(record: Record, suite: str, columns: Sequence[str]) -> Floats:
    """(N, C), NaN where undefined."""
    if suite == TOKENS:
        return token_values(record, columns)
    return per_clip(record.suites[suite], columns)


def _side(draws: np.ndarray, columns: Sequence[str], methods: Sequence[str], side: tuple[str, str]) -> np.ndarray:
    """(R,) of (R, M, C)."""
    method, column = side
    place = methods.index(method)
    terms = (weight * draws[:, place, columns.index(name)] for weight, name in _terms(column))
    values: np.ndarray = sum(terms, np.zeros(len(draws)))
    return values


def _contrast(part: Contrast, columns: Sequence[str], methods: Sequence[str], point: Floats, draws: Floats) -> Any:
    """(R,) of (R, M, C) draws around a point (M, C): above 0 where the claim holds."""
    less, more = (_side(draws, columns, methods, side) for side in part.sides)
    if not part.closer:
        return (1 - part.by) * more - less
    at = columns.index(part.column + TARGET_SUFFIX)
    own = [_side(point[None], columns, methods, side)[0] for side in part.sides]
    off = [loss_draws(p, d, point[0, at], draws[:, 0, at], "match") for p, d in zip(own, (less, more), strict=True)]
    return off[1] - off[0]


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None

"""Does a metric order reactions whose order is known? Every column of every suite on one split, with paired intervals.

Asked of each column: is the true listener better than a mismatched one, a fresh one better than a mismatched one, a
mismatched one better than shuffled frames, noise and a constant face; does it get worse as the truth is degraded; is it
blind to what should not matter: the order of clips, their length, one more constant channel. What the answers mean for a
column of a family is in leaderboard/validity_rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import ACTION_UNITS, TARGET_SUFFIX, Column, Evaluation, Result, Suite
from dyadbench.cell.score import evaluate
from dyadbench.cell.split import Split
from dyadbench.conformance.known_order import AT_RANDOM, DEGRADATIONS, FIXED, KnownOrder, Reactions
from dyadbench.datasets.readout import UNITS_VERSION, fit_thresholds, with_binary_units
from dyadbench.leaderboard.stats import (
    DRAWS_OF_DECISIONS,
    Bootstrap,
    Floats,
    benjamini_hochberg,
    bootstrap,
    interval,
    loss,
    loss_draws,
    p_value,
    sure,
    target_of,
)
from dyadbench.leaderboard.validity import Corpus, Validity
from dyadbench.leaderboard.validity_rule import (
    AS_IT_IS,
    CONSTANT_CHANNEL,
    HALF_LENGTH,
    ORDER_OF_CLIPS,
    Falls,
    Pair,
    Reading,
    Shift,
    Trend,
)
from dyadbench.registry.host import Host

PAIRS = (  # (better, worse)
    ("true", "fresh"), ("true", "mismatched"), ("fresh", "mismatched"), ("true", "same person"), ("fresh", "same person"),
    ("fresh", "averaged fresh"), ("fresh", "averaged mismatched"), ("mismatched", "averaged mismatched"),
    ("mismatched", "reversed"), ("mismatched", "shuffled"), ("mismatched", "noise"), ("mismatched", "constant"),
    ("same person", "shuffled"), ("same person", "noise"), ("same person", "constant"),
)  # fmt: skip
DRAWS = 5  # independent draws of each condition that is drawn, as many as a verdict on a random method needs seeds
Report = Callable[[str, int, int], None]
DrawResults = Mapping[str, Sequence[Mapping[str, Result]]]  # condition -> what each draw of it scored


class _Scores:
    """The losses of all conditions in all columns of one suite: smaller is better, 0 at the target where there is one."""

    def __init__(self, columns: Sequence[Column], results: DrawResults, sessions: Sequence[str]):
        self.columns, self.names = columns, list(results)
        values = [
            np.stack([np.stack([one[c.id].per_clip for c in columns], -1) for one in results[name]])  # (S, N, C)
            for name in self.names
        ]
        # Two conditions are not paired by draw, which makes the intervals of their differences wider, never too narrow.
        self.boot: Bootstrap = bootstrap(values, sessions, DRAWS_OF_DECISIONS, streams=self.names)
        # Pooled columns are what the suite says they are; their per-clip values only carry the spread.
        exact = [[[one[c.id].value for c in columns] for one in results[n]] for n in self.names]
        self.point = np.array([np.array(draws, np.float64).mean(0) for draws in exact])  # None is NaN

    def value(self, condition: str, column: int) -> float:
        return float(self.point[self.names.index(condition), column])

    def loss(self, condition: str, column: int) -> float:
        point = self.point[self.names.index(condition)]
        return float(loss(point[column], point[target_of(self.columns, column)], self.columns[column].direction))

    def _loss_draws(self, condition: str, column: int) -> Floats:
        """(R,) draws of the loss."""
        row, at = self.names.index(condition), target_of(self.columns, column)
        point, draws = self.point[row], self.boot.draws[:, row]
        return loss_draws(point[column], draws[:, column], point[at], draws[:, at], self.columns[column].direction)

    def gap(self, better: str, worse: str, column: int) -> Pair:
        """By how much `worse` is worse, and what that says."""
        difference = self.loss(worse, column) - self.loss(better, column)
        draws = self._loss_draws(worse, column) - self._loss_draws(better, column)
        span = interval(draws) if self.boot.informative else None
        if span is None or not np.isfinite(difference):
            return Pair(better=better, worse=worse, gap=None, reading="undefined")
        return Pair(better=better, worse=worse, gap=difference, low=span.low, high=span.high, p=p_value(draws), reading="blind")  # fmt: skip


def examine(
    split: Split, suites: Mapping[str, Suite], benchmark: str, host: Host, *, samples: int = 2, draws: int = DRAWS, threads: int = 1,
    data: str = "", settings: Mapping[str, Any] | None = None, binary_units: bool = True, report: Report,
) -> Corpus:  # fmt: skip
    """The validity of every column of `suites` on one split. `data`: the digest that records of these data hold, and
    `settings` how they were read, as a benchmark says it. Raises PluginError where a suite breaks or gives what is no result."""
    steps = [(kind, amount) for kind, amounts in DEGRADATIONS.items() for amount in amounts]
    results: dict[str, dict[str, list[Mapping[str, Result]]]] = {name: {} for name in suites}
    shifted: dict[str, dict[str, list[Mapping[str, Result]]]] = {name: {} for name in suites}
    done = total = 0
    ladder: tuple[str, ...] = ()

    def score(data: Evaluation, into: Mapping[str, dict[str, list[Mapping[str, Result]]]], name: str) -> None:
        nonlocal done
        for suite_name, suite in suites.items():
            into[suite_name].setdefault(name, []).append(evaluate(host, suite_name, suite, data, None))
        done += 1
        report(f"validity {name}", min(done, total), total)

    rule = _Rule(split, binary_units)
    for seed in range(draws):
        order = KnownOrder(split, samples, seed)
        rungs = order.ladder()
        if seed == 0:
            ladder = tuple(rungs)
            again = sum(name not in FIXED for name in ladder)  # conditions that every draw makes anew
            random = sum(kind in AT_RANDOM for kind, _ in steps)
            total = len(ladder) + len(steps) + (draws - 1) * (again + random) + 2 * len(BLIND)
        for name, reactions in rungs.items():
            if seed == 0 or name not in FIXED:
                data_of = rule.evaluation(reactions, threads)
                score(data_of, results, name)
                if seed == 0 and name in ("true", "mismatched"):
                    for suite_name in suites:
                        shifted[suite_name][f"{name}, {AS_IT_IS}"] = results[suite_name][name][:1]
                    for what, change in BLIND.items():
                        score(change(data_of), shifted, f"{name}, {what}")
        for kind, amount in steps:
            if seed == 0 or kind in AT_RANDOM:
                score(rule.evaluation(order.degraded(kind, amount), threads), results, f"{kind} {amount:g}")
    sessions = [clip.session for clip in split.clips]
    return Corpus(
        benchmark=benchmark, simulated=split.dataset.simulated, digest=split.dataset.digest, data=data, dataset_config=settings, clips=len(split.clips),
        sessions=len(set(sessions)), samples=samples, draws=draws, conditions=ladder, action_units=UNITS_VERSION if rule.applies else 0,
        suites={name: _judged(suite.columns, results[name], shifted[name], sessions, ladder) for name, suite in suites.items()},
    )  # fmt: skip


class _Rule:
    """Conditions as they are scored: action units by the rule of datasets/readout, to the rates of the split's listeners."""

    def __init__(self, split: Split, binary_units: bool):
        self.split, truth = split, split.listeners()[1]
        self.applies = binary_units and truth is not None
        self.rates = (
            np.concatenate(truth)[:, ACTION_UNITS].mean(0) if truth is not None else np.zeros(ACTION_UNITS.stop)
        )

    def evaluation(self, reactions: Reactions, threads: int) -> Evaluation:
        emotion = reactions.emotion
        if self.applies and emotion is not None:
            units = emotion[..., ACTION_UNITS]
            frames = [
                units[n, :, :length].reshape(-1, ACTION_UNITS.stop) for n, length in enumerate(self.split.lengths)
            ]
            emotion = with_binary_units(emotion, fit_thresholds(np.concatenate(frames), self.rates))
        return self.split.evaluation(reactions.motion, emotion, threads, "cpu")


def _judged(
    columns: Sequence[Column], results: DrawResults, shifted: DrawResults,
    sessions: Sequence[str], ladder: Sequence[str],
) -> dict[str, Validity]:  # fmt: skip
    scores, changed = _Scores(columns, results, sessions), _Scores(columns, shifted, sessions)
    pairs_due = [*((a, b) for a, b in PAIRS if a in ladder and b in ladder), *(step for kind in DEGRADATIONS for step in _steps(kind))]  # fmt: skip
    judged = [j for j, column in enumerate(columns) if not column.id.endswith(TARGET_SUFFIX)]
    answers = _called([scores.gap(a, b, j) for j in judged for a, b in pairs_due])
    out = {}
    for j in judged:
        column = columns[j]
        mine = {(one.better, one.worse): one for one in answers[: len(pairs_due)]}
        answers = answers[len(pairs_due) :]
        pairs = tuple(mine[pair] for pair in PAIRS if pair in mine)
        falls = tuple(_falling(scores, mine, kind, j) for kind in DEGRADATIONS)
        shifts = {what: _shift(scores, changed, what, j) for what in (AS_IT_IS, *BLIND)}
        out[column.id] = Validity(
            version=column.version, direction=column.direction, family=column.family, headline=column.headline,
            values={name: _finite(scores.value(name, j)) for name in ladder}, pairs=pairs, falls=falls, shifts=shifts,
        )  # fmt: skip
    return out


def _called(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with what they say, at most 5 % of it by chance (Benjamini-Hochberg over all that were asked together)."""
    shares = benjamini_hochberg([pair.p for pair in pairs])
    out = []
    for pair, q in zip(pairs, shares, strict=True):
        reading: Reading = pair.reading
        if sure(pair.p, q) and pair.low is not None and pair.high is not None:
            reading = "yes" if (pair.low or 0) > 0 else "wrong" if (pair.high or 0) < 0 else "blind"
        out.append(pair.model_copy(update={"reading": reading}))
    return out


def _steps(kind: str) -> list[tuple[str, str]]:
    """Each step of a degradation, and the whole of it."""
    names = ["true", *(f"{kind} {amount:g}" for amount in DEGRADATIONS[kind])]
    return [*pairwise(names), (names[0], names[-1])]


def _falling(scores: _Scores, answers: Mapping[tuple[str, str], Pair], kind: str, column: int) -> Falls:
    """Whether the loss grows from the truth on, step by step."""
    *steps, whole = (answers[pair] for pair in _steps(kind))
    losses = tuple(_finite(scores.loss(name, column)) for name in ("true", *(step.worse for step in steps)))
    rises = any(step.reading == "wrong" for step in steps)
    reading: Trend = "rises" if rises else "falls" if whole.reading == "yes" else "flat"
    return Falls(kind=kind, losses=losses, steps=(*steps, whole), reading=reading)


def _shift(scores: _Scores, changed: _Scores, what: str, j: int) -> Shift:
    """How far a mismatched listener's value moves, and whether the true one is still told from it."""
    value, was = changed.value(f"mismatched, {what}", j), changed.value(f"mismatched, {AS_IT_IS}", j)
    room = abs(was - scores.value("true", j))
    moved = float(abs(value - was) / room) if np.isfinite(value - was) and room > 0 else None
    return Shift(moved=moved, reading=_called([changed.gap(f"true, {what}", f"mismatched, {what}", j)])[0].reading)


# --- what should not matter ---------------------------------------------------------------------------------


def _reordered(data: Evaluation) -> Evaluation:
    order = np.random.default_rng(0).permutation(len(data.clips))
    moved: dict[str, Any] = {name: _rows(getattr(data, name), order) for name in ARRAYS}
    appropriate = None if data.appropriate is None else data.appropriate[np.ix_(order, order)]
    clips = tuple(data.clips[n] for n in order)
    return dataclasses.replace(
        data, clips=clips, lengths=data.lengths[order], appropriate=appropriate, ragged=None, memo={}, **moved
    )


def _shortened(data: Evaluation) -> Evaluation:
    return dataclasses.replace(data, lengths=np.maximum(2, data.lengths // 2), ragged=None, memo={})


def _with_constant(data: Evaluation) -> Evaluation:
    """One channel of every side replaced by its mean over the true listeners, as a camera does that sees no such movement.

    It is the last channel of the widest group, so that every group keeps one that moves.
    """
    _, stop = max(data.space.groups.values(), key=lambda at: at[1] - at[0])
    out: dict[str, Any] = {}
    for name in ARRAYS:
        value = getattr(data, name)
        if value is None:
            continue
        what = name.rpartition("_")[2]
        channel = stop - 1 if what == "motion" else value.shape[-1] - 1
        out[name] = np.array(value)
        out[name][..., channel] = np.asarray(getattr(data, f"listener_{what}"))[..., channel].mean()
    return dataclasses.replace(data, ragged=None, memo={}, **out)


ARRAYS = ("predicted_motion", "predicted_emotion", "listener_motion", "speaker_motion", "listener_emotion", "speaker_emotion")  # fmt: skip
BLIND: Mapping[str, Callable[[Evaluation], Evaluation]] = {
    ORDER_OF_CLIPS: _reordered,
    HALF_LENGTH: _shortened,
    CONSTANT_CHANNEL: _with_constant,
}


def _rows(value: Any, order: NDArray[np.int64]) -> Any:
    return None if value is None else np.asarray(value)[order]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

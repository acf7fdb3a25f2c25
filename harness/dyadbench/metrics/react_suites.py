"""The two REACT suites: `react2024-official`, the challenge's numbers as its code gives them, and `react2024`, ours.

| | official | react2024 |
|---|---|---|
| FRCorr | sum over K of the best CCC, constant channels 0 | mean over K, channels constant on both sides left out |
| FRDist | sum over K | mean over K |
| FRSyn | first sample only; a constant channel gives 49 | all samples, undefined channels left out, matched with real listeners |
| FRDiv, FRVar, FRDvs | more is better, so noise wins | matched with real listeners |

Clips are read one at a time; beside them a suite keeps a few clip-sized sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from dyadbench.api import Column, Config, Evaluation, Progress, Result
from dyadbench.metrics import react
from dyadbench.metrics.frdist import Packed, frdist_clip

ClipScores = dict[str, float]


class References:
    """The real listeners, packed once for all clips that they are appropriate to."""

    def __init__(self, data: Evaluation):
        assert data.appropriate is not None and data.listener_emotion is not None
        self.data = data
        self._packed: dict[int, Packed] = {}

    def of(self, clip: int) -> list[int]:
        return [int(j) for j in np.flatnonzero(self.data.appropriate[clip])]  # type: ignore[index]

    def listener(self, j: int) -> np.ndarray:
        return np.asarray(self.data.listener_emotion[j])[: self.data.lengths[j]]

    def packed(self, clip: int) -> list[Packed]:
        for j in self.of(clip):
            if j not in self._packed:
                self._packed[j] = Packed(self.listener(j), rows=False)
        return [self._packed[j] for j in self.of(clip)]


def _over_clips(
    count: int, threads: int, work: Callable[[int], ClipScores], progress: Progress | None
) -> list[ClipScores]:
    """`work` on every clip, on `threads` threads (the kernels release the interpreter)."""
    found: list[ClipScores] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for done, scores in enumerate(pool.map(work, range(count)), 1):
            found.append(scores)
            if progress:
                progress(done, count)
    return found


def _result(values: Sequence[float], undefined: int = 0) -> Result:
    """The mean over clips; a clip without a value makes an official number NaN, here it is left out and counted."""
    per_clip = np.asarray(values, np.float64)
    missing = int(np.isnan(per_clip).sum())
    value = float(np.nanmean(per_clip)) if missing < len(per_clip) else None
    return Result(value, per_clip, undefined or missing)


class _Spread:
    """FRDvs in one pass: sum_k sum_{n,m} ||p_nk - p_mk||^2 / (N (N-1) K T C), and jackknife values per clip (second pass)."""

    def __init__(self) -> None:
        self.count = 0
        self.total: np.ndarray | None = None  # (K, T, C) sum over clips of p - origin
        self.square: list[float] = []

    def add(self, pred: np.ndarray, origin: np.ndarray) -> None:
        shifted = pred.astype(np.float64) - origin  # a common origin keeps large offsets out of the squares
        self.total = shifted.copy() if self.total is None else self.total + shifted
        self.square.append(float((shifted**2).sum()))
        self.count += 1

    def value(self) -> float:
        if self.count < 2 or self.total is None:
            return float("nan")
        n = self.count
        whole = 2 * n * sum(self.square) - 2 * float((self.total**2).sum())
        return (whole if np.isnan(whole) else max(0.0, whole)) / (n * (n - 1) * self.total.size)

    def pseudo(self, read: Callable[[int], np.ndarray], origin: np.ndarray) -> np.ndarray:
        """Re-centred jackknife pseudo-values n D - (n - 1) D_without_i: their mean is the value, by linearity of pairs."""
        assert self.total is not None
        n, squares, whole = self.count, np.array(self.square), self.value()
        if n < 3:
            return np.full(n, whole)
        cross = np.array([float(((read(i).astype(np.float64) - origin) * self.total).sum()) for i in range(n)])
        distance = n * squares + squares.sum() - 2 * cross  # sum over m of ||p_i - p_m||^2
        without = (whole * n * (n - 1) - 2 * distance / self.total.size) / ((n - 1) * (n - 2))
        pseudo = n * whole - (n - 1) * without
        return pseudo - pseudo.mean() + whole


def _sub(data: Evaluation) -> Callable[[int], np.ndarray]:
    return lambda n: np.asarray(data.emotion[n])[:, : data.lengths[n]]


def _spread_of(count: int, read: Callable[[int], np.ndarray]) -> tuple[float, np.ndarray]:
    """FRDvs and its pseudo-values over clips cut to the shortest one."""
    shortest = min(read(i).shape[1] for i in range(count))
    cut = lambda i: read(i)[:, :shortest]  # noqa: E731  # a name for one expression
    spread, origin = _Spread(), cut(0).astype(np.float64)
    for i in range(count):
        spread.add(cut(i), origin)
    value = spread.value()
    return value, np.full(count, value) if np.isnan(value) else spread.pseudo(cut, origin)


def official_arrays(pred: Any, listener: np.ndarray, speaker: np.ndarray, rows: Sequence[Sequence[int]],
                    threads: int = 1, progress: Progress | None = None) -> dict[str, np.ndarray]:  # fmt: skip
    """Per-clip official values of FRCorr, FRDist (sums over K), FRDiv, FRVar, FRSyn (first sample); NaN propagates."""
    packed: dict[int, Packed] = {}
    for j in sorted({j for row in rows for j in row}):
        packed[j] = Packed(listener[j], rows=False)

    def work(n: int) -> ClipScores:
        values = np.asarray(pred[n])
        refs = np.stack([listener[j] for j in rows[n]])
        found = react.ccc(values, refs).mean(2)  # (K, J)
        return {
            "FRCorr": float(found.max(1).sum()),
            "FRDist": float(frdist_clip(values, [packed[j] for j in rows[n]]).sum()),
            "FRDiv": react.diversity(values),
            "FRVar": react.variance(values),
            "FRSyn": float(react.official_offset(values[0], speaker[n])),
        }

    scores = _over_clips(len(rows), threads, work, progress)
    return {name: np.array([clip[name] for clip in scores]) for name in scores[0]}


class ReactOfficialSuite:
    """The challenge's numbers, convention for convention; nothing here is ranked by its own suite's columns."""

    space = "emotion"
    columns = (
        Column("FRCorr", "max", digits=4, summary="sum over samples of the best mean CCC with an appropriate listener; a constant channel counts 0"),
        Column("FRDist", "min", digits=2, summary="sum over samples of the nearest appropriate listener's weighted DTW distance"),
        Column("FRDiv", "max", ranked=False, digits=4, summary="mean squared difference between samples (S-MSE)"),
        Column("FRVar", "max", ranked=False, digits=4, summary="unbiased variance over time"),
        Column("FRDvs", "max", ranked=False, digits=4, summary="mean squared difference between clips"),
        Column("FRSyn", "min", ranked=False, unit="frames", digits=2, summary="lag of the first sample; 49 wherever a channel is constant"),
    )  # fmt: skip

    def __init__(self, config: Config | None = None):
        pass

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        references = References(data)
        read = _sub(data)
        rows = [references.of(n) for n in range(len(data.clips))]
        listener = [references.listener(n) for n in range(len(data.clips))]
        speaker = [np.asarray(data.speaker_emotion[n])[: data.lengths[n]] for n in range(len(data.clips))]
        whole = _Reader(read)
        found = official_arrays(whole, listener, speaker, rows, data.threads, progress)  # type: ignore[arg-type]
        value, pseudo = _spread_of(len(data.clips), read)
        results = {name: _result(values.tolist()) for name, values in found.items()}
        results["FRDvs"] = Result(None if np.isnan(value) else value, pseudo)
        return {column.id: results[column.id] for column in self.columns}


class _Reader:
    """Clip n of the predictions, cut to its length."""

    def __init__(self, read: Callable[[int], np.ndarray]):
        self._read = read

    def __getitem__(self, n: int) -> np.ndarray:
        return self._read(n)


class ReactSuite:
    """The corrected suite, which is ranked."""

    space = "emotion"
    columns = (
        Column("FRCorr", "max", digits=4, summary="mean CCC with the best appropriate listener, in [-1, 1]; channels constant on both sides are left out"),
        Column("FRDist", "min", digits=3, summary="weighted DTW distance to the nearest appropriate listener, mean over samples"),
        Column("FRDiv", "match", digits=4, target="FRDiv_target", summary="mean squared difference between samples"),
        Column("FRVar", "match", digits=4, target="FRVar_target", summary="unbiased variance over time"),
        Column("FRDvs", "match", digits=4, target="FRDvs_target", summary="mean squared difference between clips"),
        Column("FRSyn", "match", unit="frames", digits=2, target="FRSyn_target", summary="lag of the strongest correlation with the speaker, all samples"),
        Column("FRDiv_target", "match", ranked=False, digits=4, target="FRDiv_target", summary="of the appropriate real listeners"),
        Column("FRVar_target", "match", ranked=False, digits=4, target="FRVar_target", summary="of the real listeners"),
        Column("FRDvs_target", "match", ranked=False, digits=4, target="FRDvs_target", summary="of the real listeners"),
        Column("FRSyn_target", "match", ranked=False, unit="frames", digits=2, target="FRSyn_target", summary="of the real listeners"),
    )  # fmt: skip

    def __init__(self, config: Config | None = None):
        pass

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        references, read = References(data), _sub(data)
        for n in range(len(data.clips)):
            references.packed(n)  # before the threads start

        def work(n: int) -> ClipScores:
            pred, speaker = read(n), np.asarray(data.speaker_emotion[n])[: data.lengths[n]]
            refs = [references.listener(j) for j in references.of(n)]
            lags = np.array([react.best_lag(sample, speaker) for sample in pred])
            return {
                "FRCorr": corrected_frcorr(pred, refs),
                "FRDist": float(frdist_clip(pred, references.packed(n)).mean()),
                "FRDiv": react.diversity(pred),
                "FRVar": react.variance(pred),
                "FRSyn": float(np.nanmean(lags)) if np.isfinite(lags).any() else float("nan"),
                "no lag": float(np.isnan(lags).sum()),
                "FRDiv_target": _set_diversity(refs),
                "FRVar_target": react.variance(references.listener(n)[None]),
                "FRSyn_target": react.best_lag(references.listener(n), speaker),
            }

        scores = _over_clips(len(data.clips), data.threads, work, progress)
        found = {name: [clip[name] for clip in scores] for name in scores[0]}
        results = {name: _result(values) for name, values in found.items() if name != "no lag"}
        results["FRSyn"] = _result(found["FRSyn"], int(sum(found["no lag"])))
        for name, reader in (("FRDvs", read), ("FRDvs_target", lambda n: references.listener(n)[None])):
            value, pseudo = _spread_of(len(data.clips), reader)
            results[name] = Result(None if np.isnan(value) else value, pseudo)
        return {column.id: results[column.id] for column in self.columns}


def corrected_frcorr(pred: np.ndarray, listeners: Sequence[np.ndarray]) -> float:
    """Mean over samples of the best mean CCC; a channel constant on both sides is no evidence and is left out.

    Constant on one side only is a real failure to follow and counts 0. Listeners of another length are compared over
    the frames that both have. NaN where every channel of every pair is constant on both sides.
    """
    best = np.full(len(pred), -np.inf)
    for listener in listeners:
        frames = min(pred.shape[1], len(listener))
        x, y = pred[:, :frames], listener[:frames]
        values = react.ccc(x, y[None])[:, 0]  # (K, C)
        silent = react.constant(x) & react.constant(y)[None]
        with np.errstate(invalid="ignore"):
            mean = np.where(silent, 0.0, values).sum(1) / (~silent).sum(1)
        best = np.fmax(best, mean)
    return float("nan") if not np.isfinite(best).all() else float(best.mean())


def _set_diversity(listeners: Sequence[np.ndarray]) -> float:
    """Diversity within the appropriate set, over the frames that all have; NaN for a set of one."""
    if len(listeners) < 2:
        return float("nan")
    frames = min(map(len, listeners))
    return react.diversity(np.stack([listener[:frames] for listener in listeners]))

"""The two REACT suites: `react2024-official`, the challenge's numbers as its code gives them, and `react2024`, ours.

| | official | react2024 |
|---|---|---|
| FRCorr | sum over K of the best CCC, constant channels 0 | mean over K, channels constant on both sides left out |
| FRDist | sum over K | mean over K |
| FRSyn | first sample only; a constant channel gives 49 | all samples, undefined channels left out, matched with true listeners |
| FRDiv, FRVar, FRDvs | more is better, so noise wins | matched with true listeners |

Clips are read one at a time; beside them a suite keeps a few clip-sized sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from dyadbench.api import Column, Config, DyadbenchError, Evaluation, Progress, Result
from dyadbench.metrics.clips import Clips
from dyadbench.metrics.react import closed_form, frsyn, frsyn_kernels
from dyadbench.metrics.react.frdist import frdist
from dyadbench.metrics.react.frdvs import spread_of
from dyadbench.metrics.resample import clip_mean

HERE = "dyadbench.metrics.react"
ClipScores = dict[str, float]
T = TypeVar("T")


class References:
    """The true listeners."""

    def __init__(self, data: Evaluation):
        if data.appropriate is None:
            raise ValueError("the REACT suites score against every appropriate listener: give the matrix `appropriate`")
        assert data.listener_emotion is not None
        self.data = data
        self.listeners: Any = data.ragged.listeners if data.ragged else Clips(data.listener_emotion, data.lengths)
        self.appropriate: Any = data.ragged.appropriate if data.ragged else data.appropriate

    def of(self, clip: int) -> list[int]:
        return [int(j) for j in np.flatnonzero(self.appropriate[clip])]

    def listener(self, j: int) -> np.ndarray:
        listener: np.ndarray = self.listeners[j]
        return listener


def over_clips(count: int, threads: int, work: Callable[[int], T], progress: Progress | None = None) -> list[T]:
    """`work` on every clip, on `threads` threads (the kernels release the interpreter)."""
    results: list[T] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for done, scores in enumerate(pool.map(work, range(count)), 1):
            results.append(scores)
            if progress:
                progress(done, count)
    return results


def _on_gpu(data: Evaluation) -> bool:
    """Whether `gpu_suites` does the work; imported where it does, for it takes torch along."""
    return data.device.startswith("cuda") and data.ragged is None


def distinct(pred: np.ndarray) -> np.ndarray:
    """(K,) for each sample the first one equal to it: copies need not be scored twice."""
    first = np.arange(len(pred))
    for k in range(1, len(pred)):
        for j in range(k):
            if first[j] == j and np.array_equal(pred[j, 0], pred[k, 0]) and np.array_equal(pred[j], pred[k]):
                first[k] = j
                break
    return first


def frdist_of(data: Evaluation, references: References, progress: Progress | None) -> np.ndarray:
    """(N, K) distances, computed once for both suites."""
    if "frdist" not in data.memo and _on_gpu(data):
        from dyadbench.metrics.react import gpu_suites

        data.memo["frdist"] = gpu_suites.frdist(data, progress)
    if "frdist" not in data.memo:
        read = _sub(data)

        def work(n: int) -> np.ndarray:
            pred = read(n)
            first = distinct(pred)
            own = np.unique(first)
            out = np.empty(len(pred))
            out[own] = frdist(pred[own], [references.listener(j) for j in references.of(n)])
            return out[first]

        data.memo["frdist"] = np.stack(over_clips(len(data.clips), data.threads, work, progress))
    return np.asarray(data.memo["frdist"])


def _sub(data: Evaluation) -> Callable[[int], np.ndarray]:
    return Clips(data.predicted_emotion, data.lengths).__getitem__


def official_clip(pred: np.ndarray, listeners: np.ndarray, speaker: np.ndarray) -> ClipScores:
    """The official values of one clip that are not FRDist: FRCorr a sum over K, FRSyn of the first sample; NaN propagates.

    pred (K, T, 25), listeners (J, T, 25), speaker (T, 25).
    """
    diversity, variance = closed_form.moments(pred)
    return {
        "FRCorr": closed_form.frcorr(pred, listeners),
        "FRDiv": diversity,
        "FRVar": variance,
        "FRSyn": float(frsyn.official_offset(pred[0], speaker)),
    }


class ReactOfficialSuite:
    """The challenge's numbers, convention for convention; nothing here is ranked by its own suite's columns."""

    space = "emotion"
    columns = (
        Column("FRCorr", "max", formula=f"{HERE}.closed_form:frcorr", digits=4, family="appropriateness", summary="sum over samples of the best mean CCC with an appropriate listener; a constant channel counts 0"),
        Column("FRDist", "min", formula=f"{HERE}.frdist:frdist", digits=2, family="appropriateness", low=0.0, summary="sum over samples of the nearest appropriate listener's weighted DTW distance"),
        Column("FRDiv", "max", formula=f"{HERE}.closed_form:frdiv", ranked=False, digits=4, family="diversity", low=0.0, summary="mean squared difference between samples (S-MSE)"),
        Column("FRVar", "max", formula=f"{HERE}.closed_form:frvar", ranked=False, digits=4, family="diversity", low=0.0, summary="unbiased variance over time"),
        Column("FRDvs", "max", formula=f"{HERE}.frdvs:frdvs", ranked=False, digits=4, family="diversity", low=0.0, summary="mean squared difference between clips"),
        Column("FRSyn", "min", formula=f"{HERE}.frsyn:frsyn", ranked=False, unit="frames", digits=2, family="synchrony", low=0.0, high=49.0, summary="lag of the first sample; 49 wherever a channel is constant"),
    )  # fmt: skip

    def __init__(self, config: Config | None = None):
        pass

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        if data.ragged:
            raise DyadbenchError(
                "react2024-official compares clips of one length, and speakers and listeners of this dataset differ in length; "
                "score it with react2025 or react2026"
            )
        references, read = References(data), _sub(data)
        distances = frdist_of(data, references, progress)

        def work(n: int) -> ClipScores:
            closed_form.demand_one_length(n, int(data.lengths[n]), {j: int(data.lengths[j]) for j in references.of(n)})
            refs = np.stack([references.listener(j) for j in references.of(n)])
            speaker = Clips(data.speaker_emotion, data.lengths)[n]
            return {**official_clip(read(n), refs, speaker), "FRDist": float(distances[n].sum())}

        if _on_gpu(data):
            from dyadbench.metrics.react import gpu_suites

            per_clip = {**gpu_suites.official(data), "FRDist": distances.sum(1)}
            value, per_clip["FRDvs"] = gpu_suites.spread(data, target=False)
        else:
            scores = over_clips(len(data.clips), data.threads, work)
            per_clip = {name: np.array([clip[name] for clip in scores]) for name in scores[0]}
            value, per_clip["FRDvs"] = spread_of(len(data.clips), read)
        means = {name: float(values.mean()) for name, values in per_clip.items()} | {"FRDvs": value}
        return {c.id: _official_result(means[c.id], per_clip[c.id]) for c in self.columns}


def _official_result(mean: float, per_clip: np.ndarray) -> Result:
    """One clip without a value leaves the published mean without one, and then no clip has one by itself."""
    undefined = int(np.isnan(per_clip).sum())
    return (
        Result(mean, per_clip, undefined)
        if np.isfinite(mean)
        else Result(None, np.full(len(per_clip), np.nan), undefined)
    )


class ReactSuite:
    """The corrected suite, which is ranked."""

    space = "emotion"
    columns = (
        Column("FRCorr", "max", formula=f"{HERE}.closed_form:frcorr", digits=4, family="appropriateness", headline=True, perfect=1.0, low=-1.0, high=1.0, summary="mean CCC with the best appropriate listener, in [-1, 1]; channels constant on both sides are left out"),
        Column("FRDist", "min", formula=f"{HERE}.frdist:frdist", digits=3, family="appropriateness", headline=True, perfect=0.0, low=0.0, summary="weighted DTW distance to the nearest appropriate listener, mean over samples"),
        Column("FRDiv", "match", formula=f"{HERE}.closed_form:frdiv", digits=4, family="diversity", low=0.0, target="FRDiv_target", summary="mean squared difference between samples"),
        Column("FRVar", "match", formula=f"{HERE}.closed_form:frvar", digits=4, family="diversity", low=0.0, target="FRVar_target", summary="unbiased variance over time"),
        Column("FRDvs", "match", formula=f"{HERE}.frdvs:frdvs", digits=4, family="diversity", low=0.0, target="FRDvs_target", summary="mean squared difference between clips"),
        Column("FRSyn", "match", formula=f"{HERE}.frsyn:frsyn", unit="frames", digits=2, family="synchrony", low=0.0, high=49.0, target="FRSyn_target", summary="lag of the strongest correlation with the speaker, all samples"),
        Column("FRDiv_target", "match", ranked=False, digits=4, target="FRDiv_target", summary="of the appropriate listeners"),
        Column("FRVar_target", "match", ranked=False, digits=4, target="FRVar_target", summary="of the true listeners"),
        Column("FRDvs_target", "match", ranked=False, digits=4, target="FRDvs_target", summary="of the true listeners"),
        Column("FRSyn_target", "match", ranked=False, unit="frames", digits=2, target="FRSyn_target", summary="of the true listeners"),
    )  # fmt: skip

    def __init__(self, config: Config | None = None):
        pass

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        references, read = References(data), _sub(data)
        distances = frdist_of(data, references, progress)

        def work(n: int) -> ClipScores:
            pred, speaker = read(n), Clips(data.speaker_emotion, data.lengths)[n]
            refs = [references.listener(j) for j in references.of(n)]
            first, speaker_standard = distinct(pred), frsyn_kernels.standard(speaker)
            own = [
                frsyn.best_lag(pred[k], speaker, speaker_standard) if first[k] == k else 0.0 for k in range(len(pred))
            ]
            lags = np.array(own)[first]
            diversity, variance = closed_form.moments(pred)
            return {
                "FRCorr": closed_form.frcorr(pred, refs, corrected=True),
                "FRDist": float(distances[n].mean()),
                "FRDiv": diversity,
                "FRVar": variance,
                "FRSyn": float(np.nanmean(lags)) if np.isfinite(lags).any() else float("nan"),
                "no lag": float(np.isnan(lags).sum()),
                "FRDiv_target": _set_diversity(refs),
                "FRVar_target": closed_form.moments(references.listener(n)[None])[1],
                "FRSyn_target": frsyn.best_lag(references.listener(n)[: len(speaker)], speaker),
            }

        if _on_gpu(data):
            from dyadbench.metrics.react import gpu_suites

            per_clip = {**gpu_suites.corrected(data), "FRDist": distances.mean(1)}
            spreads = [gpu_suites.spread(data, target=target) for target in (False, True)]
        else:
            scores = over_clips(len(data.clips), data.threads, work)
            per_clip = {name: np.array([clip[name] for clip in scores]) for name in scores[0]}
            spreads = [spread_of(len(data.clips), of) for of in (read, lambda n: references.listener(n)[None])]
        results = {name: clip_mean(values) for name, values in per_clip.items() if name != "no lag"}
        results["FRSyn"] = clip_mean(per_clip["FRSyn"], int(per_clip["no lag"].sum()))
        for name, (value, pseudo) in zip(("FRDvs", "FRDvs_target"), spreads, strict=True):
            results[name] = Result(None if np.isnan(value) else value, pseudo)
        return {column.id: results[column.id] for column in self.columns}


def _set_diversity(listeners: Sequence[np.ndarray]) -> float:
    """Diversity within the appropriate set, over the frames that all have; NaN for a set of one."""
    if len(listeners) < 2:
        return float("nan")
    frames = min(map(len, listeners))
    return closed_form.moments(np.stack([listener[:frames] for listener in listeners]))[0]

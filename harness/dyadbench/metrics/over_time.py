"""How far reactions are from an appropriate listener as a clip goes on, and how much they tremble. Never ranked.

For a clip with samples p_k and appropriate listeners l_j, all (T, C), let e_kj(A) be the root mean square of p_k - l_j
over the channels and over those frames of the set A that both have. Every sample is compared with one listener, its
nearest over the whole clip: j(k) = argmin_j e_kj(all). In a bin A of five seconds

- `mean` is the mean over k of e_k,j(k)(A);
- `best` is e of the one sample that is nearest over the whole clip, k* = argmin_k e_k,j(k)(all).

A bin counts where a whole second of it is compared. `growth` is the slope of the line through the clip's bins by least
squares, in ten seconds, for a method that feeds on its own output may drift. `jitter` is the root mean square, over
frames and channels, of the second difference of a sample, mean over samples, as a multiple of the mean over clips of the
same of the true listeners: 1 is as steady as people, above 1 trembles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column, Config, Evaluation, Progress, Result
from dyadbench.metrics.clips import Clips
from dyadbench.metrics.resample import clip_mean
from dyadbench.metrics.tokens import jitter

Floats = NDArray[np.float64]
SECONDS, BINS = 5, 6  # of the first thirty seconds; later frames are in no bin
KINDS = ("best", "mean")
NAMES = tuple(f"{SECONDS * b}-{SECONDS * (b + 1)}s" for b in range(BINS))


def _columns() -> tuple[Column, ...]:
    whose = {"best": "the sample nearest to an appropriate listener", "mean": "all samples"}
    out = [Column("jitter", "match", ranked=False, family="realism", low=0.0, summary="second difference over that of true listeners", target="jitter_target"),
           Column("jitter_target", "match", ranked=False, summary="1: as steady as the true listeners", target="jitter_target")]  # fmt: skip
    for kind in KINDS:
        summary = f"change of the error in ten seconds, {whose[kind]}"
        out.append(Column(f"growth.{kind}", "min", ranked=False, summary=summary))
        out += [
            Column(f"{kind}.{name}", "min", ranked=False, family="appropriateness", low=0.0, summary=f"root mean square error in that part of the clip, {whose[kind]}")
            for name in NAMES
        ]  # fmt: skip
    return tuple(out)


def bin_starts(fps: float) -> NDArray[np.int64]:
    """First frame of every bin, and the frame after the last: (BINS + 1,)."""
    return np.rint(np.arange(BINS + 1) * SECONDS * fps).astype(np.int64)


def squared_errors(pred: Floats, listener: Floats, starts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Squared error summed over channels, by bin, and how many frames were compared: pred (K, T, C), listener (T', C).

    -> (K, BINS + 1), (BINS + 1,); the last place is for frames after the bins.
    """
    frames = min(pred.shape[1], len(listener))
    error = ((pred[:, :frames] - listener[:frames]) ** 2).sum(2)  # (K, T)
    total = np.concatenate([np.zeros((len(pred), 1)), np.cumsum(error, 1)], 1)
    edges = np.minimum(np.append(starts, frames), frames)
    return np.diff(total[:, edges], axis=1), np.diff(edges)


def clip_over_time(pred: Floats, listeners: list[Floats], fps: float) -> tuple[Floats, Floats]:
    """Errors of one clip by bin, (BINS,) of the best sample and of the mean of all; NaN where a bin does not count.

    pred (K, T, C), listeners: each (T', C). See the module for the definition.
    """
    starts, channels = bin_starts(fps), pred.shape[2]
    parts = [squared_errors(pred, listener, starts) for listener in listeners]
    sums = np.stack([by_bin for by_bin, _ in parts])  # (J, K, BINS + 1)
    counts = np.stack([count for _, count in parts])  # (J, BINS + 1)
    whole = sums.sum(2) / counts.sum(1)[:, None]  # (J, K)
    nearest, samples = whole.argmin(0), np.arange(len(pred))
    chosen, frames = sums[nearest, samples, :BINS], counts[nearest, :BINS]  # (K, BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(frames >= fps, np.sqrt(np.maximum(chosen, 0) / (frames * channels)), np.nan)
    counted = np.isfinite(error)
    mean = np.where(counted.any(0), np.where(counted, error, 0).sum(0) / np.maximum(counted.sum(0), 1), np.nan)
    return error[whole.min(0).argmin()], mean


def growth(errors: Floats) -> float:
    """Least-squares slope through the bins that count, per ten seconds; NaN where fewer than two do. errors (BINS,)."""
    bins = np.flatnonzero(np.isfinite(errors))
    if len(bins) < 2:
        return float("nan")
    time = (bins - bins.mean()) * SECONDS / 10
    return float(time @ errors[bins] / (time @ time))


class OverTimeSuite:
    """See the module. `evaluate` makes one pass over the clips."""

    columns = _columns()
    space: Literal["emotion", "motion"] = "emotion"

    def __init__(self, config: Config | None = None):
        pass

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        """data.predicted_emotion (or motion) (N, K, T, C). Without `appropriate` a clip's own listener is the only one.

        Raises ValueError where predictions are missing or a clip has no appropriate listener.
        """
        pred, truth = self._sides(data)
        lengths, count = np.asarray(data.lengths), len(data.clips)
        listeners = [listener.astype(np.float64) for listener in Clips(truth, lengths)]
        own = np.array([jitter(listener) for listener in listeners[:count]])
        steady = float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")
        values_of: dict[str, list[float]] = {column.id: [] for column in self.columns}
        for n in range(count):
            samples = Clips(pred, lengths)[n].astype(np.float64)
            near = [n] if data.appropriate is None else [int(j) for j in np.flatnonzero(data.appropriate[n])]
            if not near:
                raise ValueError(f"clip {data.clips[n]} has no appropriate listener; every clip needs at least one")
            errors = clip_over_time(samples, [listeners[j] for j in near], data.space.fps)
            for kind, values in zip(KINDS, errors, strict=True):
                values_of[f"growth.{kind}"].append(growth(values))
                for name, value in zip(NAMES, values, strict=True):
                    values_of[f"{kind}.{name}"].append(float(value))
            trembling = np.mean([jitter(sample) for sample in samples])
            values_of["jitter"].append(float(trembling) / steady if steady > 0 else float("nan"))
            values_of["jitter_target"].append(1.0)
            if progress:
                progress(n + 1, count)
        return {name: clip_mean(values) for name, values in values_of.items()}

    def _sides(self, data: Evaluation) -> tuple[Any, Any]:
        pred, truth = getattr(data, f"predicted_{self.space}"), getattr(data, f"listener_{self.space}")
        if pred is None or truth is None:
            raise ValueError(f"error over time is of {self.space}, which these predictions or this dataset lack")
        return pred, truth


class MotionOverTimeSuite(OverTimeSuite):
    """The same of motion coefficients."""

    space: Literal["emotion", "motion"] = "motion"

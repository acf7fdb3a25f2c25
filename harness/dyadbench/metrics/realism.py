"""Realism of motion: do generated listeners move as people do, whatever they react to?

- `FMD` (Frechet motion distance): Frechet distance of windows of motion, pooled over clips and samples, in the space of
  the leading principal components of the true listeners' windows. A window is one second at about 12.5 frames per second
  (every second frame of 25 or 30, every fourth of 50, every fifth of 60): the positions of all channels and their
  velocities, every channel in units of its deviation over the true listeners (of position, and of velocity, so that both
  weigh alike). Windows overlap by half. The components, 32 at most, are those of the true listeners of the split that is
  scored, as the centroids of Learning2Listen's Shannon index are: one space for all methods, which no method can learn,
  and which needs no training data.
- `HD.velocity`, `HD.acceleration`, `HD.jerk`: Hellinger distance between the histograms of the size of the first, second
  and third difference, mean over groups of channels; 50 bins up to the true listeners' 99th percentile and one beyond. As in
  the evaluation of co-speech gestures (Kucherenko et al., GENEA 2022, arXiv 2208.10441), there for speed alone.

All are pooled, because within one clip of real people a Frechet distance prefers noise to another person. Their values
per clip are jackknife pseudo-values. A clip shorter than a window has no part in FMD. Version 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import EMOTION_GROUPS, Column, Config, Evaluation, Progress, Result
from dyadbench.metrics.l2l.frechet import frechet_distance, leave_one_out, pooled
from dyadbench.metrics.resample import jackknife

Floats = NDArray[np.float64]
RATE, SECONDS, COMPONENTS, BINS = 12.5, 1.0, 32, 50
ORDERS = {"velocity": 1, "acceleration": 2, "jerk": 3}


def columns_of() -> tuple[Column, ...]:
    close: dict[str, Any] = {"family": "realism", "perfect": 0.0, "low": 0.0}
    summary = "Hellinger distance of the histogram of {} to that of real listeners, mean over groups"
    return (
        Column("FMD", "min", digits=3, summary="Frechet distance of one-second windows of motion", **close),
        *(Column(f"HD.{name}", "min", high=1.0, summary=summary.format(name), **close) for name in ORDERS),
    )


@dataclass(frozen=True)
class Space:
    """What windows are projected to: fixed by the true listeners."""

    step: int  # frames from one frame of a window to the next
    frames: int  # of a window
    position: Floats  # (D,) deviations
    velocity: Floats
    mean: Floats  # (F,)
    axes: Floats  # (F, P)

    def project(self, motion: Floats) -> Floats:
        """(T, D) -> (windows, P)."""
        return (windows(motion, self) - self.mean) @ self.axes


def windows(motion: Floats, space: Space) -> Floats:
    """Positions and velocities of the windows of (T, D), flattened: (windows, F); none where T is shorter than one."""
    x = motion[:: space.step]
    starts = range(0, len(x) - space.frames + 1, max(1, space.frames // 2))
    position, velocity = x / space.position, np.diff(x, axis=0) / space.velocity
    rows = [
        np.concatenate([position[s : s + space.frames].ravel(), velocity[s : s + space.frames - 1].ravel()])
        for s in starts
    ]
    size = motion.shape[1] * (2 * space.frames - 1)
    return np.array(rows, np.float64).reshape(-1, size)


def space_of(truth: Sequence[Floats], fps: float) -> Space:
    """The space of the true listeners (T, D) each. A channel that never moves keeps unit deviation."""
    step = max(1, round(fps / RATE))
    frames = max(2, round(SECONDS * fps / step))
    slow = [motion[::step] for motion in truth]
    position = np.concatenate(slow).std(0)
    velocity = np.concatenate([np.diff(x, axis=0) for x in slow]).std(0)
    position, velocity = (np.where(s > 1e-8, s, 1.0) for s in (position, velocity))
    bare = Space(step, frames, position, velocity, mean=np.zeros(1), axes=np.zeros((1, 1)))
    rows = np.concatenate([windows(motion, bare) for motion in truth])
    mean = rows.mean(0) if len(rows) else np.zeros(rows.shape[1])
    values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean))  # ascending
    count = int(min(COMPONENTS, (values > values[-1] * 1e-10).sum()))
    return Space(step, frames, bare.position, bare.velocity, mean, np.ascontiguousarray(vectors[:, ::-1][:, :count]))


def sizes(motion: Floats, order: int) -> Floats:
    """Euclidean norm of the difference of that order, frame by frame: (..., T, D) -> (..., T - order)."""
    out: Floats = np.linalg.norm(np.diff(motion, n=order, axis=-2), axis=-1)
    return out


def hellinger(first: Floats, second: Floats) -> Floats:
    """Of histograms (..., bins), normalised here: 0 alike, 1 nowhere in common; NaN where one is empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = (x / x.sum(-1, keepdims=True) for x in (first, second))
    out: Floats = np.sqrt(np.maximum(0.0, 1.0 - np.sqrt(p * q).sum(-1)))
    return out


class RealismSuite:
    """The suite for motion, or for the 25 channels of emotion."""

    columns = columns_of()

    def __init__(self, space: Literal["motion", "emotion"]) -> None:
        self.space: Literal["motion", "emotion"] = space

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        """Predictions (N, K, T, C). Raises ValueError where there are none, or where they are not finite."""
        data = data.with_own_listeners()
        predicted, true = getattr(data, f"predicted_{self.space}"), getattr(data, f"listener_{self.space}")
        if predicted is None or true is None:
            raise ValueError(f"the realism suite scores {self.space}, and there is none here")
        groups = data.space.groups if self.space == "motion" else EMOTION_GROUPS
        lengths = [int(n) for n in data.lengths]
        truth = [np.asarray(true[n][:length], np.float64) for n, length in enumerate(lengths)]
        space = space_of(truth, data.space.fps)
        edges = {(g, o): _edges(truth, slice(*at), o) for g, at in groups.items() for o in ORDERS.values()}
        moments, counts = [], []
        for n, length in enumerate(lengths):
            pred = np.asarray(predicted[n], np.float64)[:, :length]
            if not np.isfinite(pred).all():
                raise ValueError(f"{self.space} of clip {data.clips[n]!r} holds NaN or infinity: write finite values")
            moments.append([_moments(side, space) for side in (pred, truth[n][None])])
            counts.append([[_histogram(side[..., slice(*groups[g])], o, bins) for (g, o), bins in edges.items()] for side in (pred, truth[n][None])])  # fmt: skip
            if progress:
                progress(n + 1, len(lengths))
        scores = {"FMD": _frechet(moments)}
        table = np.array(counts)  # (N, 2, groups * orders, bins)
        for name, order in ORDERS.items():
            scores[f"HD.{name}"] = _hellinger(table[:, :, [i for i, (_, o) in enumerate(edges) if o == order]])
        return scores


def _moments(motion: Floats, space: Space) -> tuple[int, Floats, Floats]:
    """Windows, sum and outer products of one clip's (K, T, C); a sample weighs 1/K, so that K copies are one."""
    rows = [space.project(x) for x in motion]
    flat = np.concatenate(rows)
    return len(rows[0]), flat.sum(0) / len(motion), flat.T @ flat / len(motion)


def _frechet(moments: Sequence[Sequence[tuple[int, Floats, Floats]]]) -> Result:
    counts = np.array([clip[0][0] for clip in moments], np.int64)
    if counts.sum() < 2 or (counts.sum() - counts).min() < 2:
        return Result(None, np.full(len(counts), np.nan), len(counts))
    sides = [(np.stack([clip[i][1] for clip in moments]), np.stack([clip[i][2] for clip in moments])) for i in (0, 1)]
    other, truth = (pooled(counts, *side) for side in sides)
    without, without_truth = (leave_one_out(counts, *side) for side in sides)
    return jackknife(float(frechet_distance(truth, other)), frechet_distance(without_truth, without))


def _edges(truth: Sequence[Floats], at: slice, order: int) -> Floats:
    """(BINS + 2,) edges: even up to the 99th percentile of the true listeners, and one bin beyond."""
    every = np.concatenate([sizes(motion[:, at], order) for motion in truth])
    top = float(np.quantile(every, 0.99)) if len(every) else 0.0
    return np.append(np.linspace(0.0, top if top > 0 else 1.0, BINS + 1), np.inf)


def _histogram(motion: Floats, order: int, edges: Floats) -> Floats:
    """(BINS + 1,) of (K, T, C), each sample weighing 1/K."""
    return np.histogram(sizes(motion, order), edges)[0] / len(motion)


def _hellinger(counts: Floats) -> Result:
    """(N, 2, groups, bins) to the mean over groups, pooled over clips."""
    total = counts.sum(0)
    value = hellinger(total[0], total[1]).mean()
    if not np.isfinite(value):
        return Result(None, np.full(len(counts), np.nan), len(counts))
    left = total - counts
    with np.errstate(invalid="ignore"):
        without = hellinger(left[:, 0], left[:, 1]).mean(-1)
    return jackknife(float(value), np.where(np.isfinite(without), without, value))


def motion(config: Config | None = None) -> RealismSuite:
    return RealismSuite("motion")


def emotion(config: Config | None = None) -> RealismSuite:
    """Of action units, valence, arousal and expressions, where motion is not what a method makes."""
    return RealismSuite("emotion")

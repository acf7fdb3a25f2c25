"""The ranked `l2l` suite: one reading of each Learning2Listen metric, for expression and for rotation apart.

Where the literature leaves a metric open (see l2l for all readings) these were chosen, for the reasons given:

- L2: Euclidean norm of a frame's error, mean over frames, mean over clips: the official formula in coefficient units.
- FD, P-FD: per clip, the reading of lm-listener, DIM and DualTalk; P-FD is the FD of [speaker; listener]. A clip has
  fewer frames than a covariance needs, so these are biased upwards, alike for all methods; `FD-pooled` over all clips
  is shown beside them.
- variation: variance over time, mean over channels and clips; matched, since noise maximises it.
- SI: entropy in nats of the histogram over all frames, k-means centroids of the ground truth (15 and 9); matched.
- RPCC: per clip, flattened over frames and channels. A prediction without any variation correlates with nothing (0);
  only a constant speaker or target leaves it undefined, so that a method cannot avoid the metric by standing still.

The headline is P-FD.expression alone, the one column of appropriateness that orders simulated listeners as everybody knows
(leaderboards/validity.md): L2 prefers a constant face to a real one, RPCC noise and a constant face, SI depends on the order
of clips, and FD compares one Gaussian for each clip, to which the order of frames is nothing: it cannot notice that a listener
is late. P-FD is of the speaker and the listener together, so it can. A per-clip Frechet distance has preferred noise to another
person on real dyads of few channels; where a dyad suite can score the same motion, its concordance is the better headline.

Each of the K samples is scored on its own and the K scores are averaged; FD-pooled alone takes all samples as one set,
each weighing 1/K.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column, Evaluation, Progress, Result
from dyadbench.metrics.clips import Clips
from dyadbench.metrics.config import L2LSuiteConfig
from dyadbench.metrics.l2l.clips import Floats, as_array, pcc, variation
from dyadbench.metrics.l2l.frechet import (
    Moments,
    distance_from_root,
    frechet_distance,
    leave_one_out,
    moments,
    pooled,
    root,
)
from dyadbench.metrics.l2l.shannon import assign, centroids_for, entropy
from dyadbench.metrics.resample import clip_mean, jackknife

GROUPS = ("expression", "rotation")


def _columns() -> tuple[Column, ...]:
    out: list[Column] = []
    digits = {"expression": 4, "rotation": 6}  # of what is squared: rotations are radians and move by hundredths
    for group in GROUPS:
        matched = f"closest to the ground truth's wins ({group})"
        squared: dict[str, Any] = {"unit": "coefficients^2", "digits": digits[group], "low": 0.0}
        near: dict[str, Any] = {"family": "appropriateness", "perfect": 0.0}
        lively: dict[str, Any] = {"family": "diversity"}
        out += [
            Column(f"L2.{group}", "min", unit="coefficients", low=0.0, **near, summary=f"distance of a frame, {group}"),
            Column(f"FD.{group}", "min", **squared, **near, summary=f"Frechet distance per clip, {group}"),
            Column(f"P-FD.{group}", "min", **squared, **near, headline=group == "expression", summary=f"Frechet distance with the speaker, {group}"),
            Column(f"variation.{group}", "match", **squared, **lively, summary=f"variance over time; {matched}",
                   target=f"variation.{group}_target"),
            Column(f"SI.{group}", "match", unit="nats", low=0.0, **lively, summary=f"Shannon index; {matched}", target=f"SI.{group}_target"),
            Column(f"RPCC.{group}", "min", family="synchrony", perfect=0.0, low=0.0, high=2.0, summary=f"residual correlation with the speaker, {group}"),
        ]  # fmt: skip
    for group in GROUPS:
        squared = {"unit": "coefficients^2", "digits": digits[group], "low": 0.0}
        out += [
            Column(f"FD-pooled.{group}", "min", ranked=False, family="realism", perfect=0.0, **squared,
                   summary=f"Frechet distance over all clips and samples, {group}"),
            Column(f"variation.{group}_target", "match", ranked=False, **squared, target=f"variation.{group}_target",
                   summary=f"the true listeners' variation, {group}"),
            Column(f"SI.{group}_target", "match", ranked=False, unit="nats", target=f"SI.{group}_target",
                   summary=f"the true listeners' Shannon index, {group}"),
        ]  # fmt: skip
    return tuple(out)


@dataclass
class _Group:
    """What one pass over the clips gathers for one group of channels of width D."""

    at: slice
    centroids: Floats  # (k, D)
    origin: Floats  # (D,)
    means: dict[str, list[float]] = field(default_factory=dict)  # column -> one value a clip
    labels: list[NDArray[np.int64]] = field(default_factory=list)  # per clip (K, k) of the predictions
    labels_target: list[NDArray[np.int64]] = field(default_factory=list)  # per clip (1, k)
    sums: list[tuple[Floats, Floats]] = field(default_factory=list)  # per clip: predictions', target's (D,)
    products: list[tuple[Floats, Floats]] = field(default_factory=list)  # (D, D)

    def add(self, pred: Floats, target: Floats, speaker: Floats) -> None:
        """One clip: pred (K, T, D), target and speaker (T, D)."""
        p, t, s = pred - self.origin, target - self.origin, speaker
        fd, paired = _clip_frechet(p, t, s)
        values = {
            "L2": float(np.linalg.norm(p - t, axis=-1).mean()),
            "FD": fd,
            "P-FD": paired,
            "variation": float(variation(p).mean()),
            "variation_target": float(variation(t)),
            "RPCC": _clip_rpcc(pred, target, speaker),
        }
        for name, value in values.items():
            self.means.setdefault(name, []).append(value)
        self.labels.append(self.histogram(pred))
        self.labels_target.append(self.histogram(target[None]))
        flat = p.reshape(-1, p.shape[-1])
        self.sums.append((flat.sum(0) / len(p), t.sum(0)))  # a sample weighs 1/K, so that K copies are one
        self.products.append((flat.T @ flat / len(p), t.T @ t))

    def histogram(self, motion: Floats) -> NDArray[np.int64]:
        """(K, T, D) -> (K, k)."""
        k = len(self.centroids)
        labels = assign(motion.reshape(-1, motion.shape[-1]), self.centroids).reshape(motion.shape[:2])
        return np.stack([np.bincount(row, minlength=k) for row in labels])

    def results(self, name: str, frames: NDArray[np.int64]) -> dict[str, Result]:
        out = {}
        for column, values in self.means.items():
            head, _, suffix = column.partition("_")
            out[f"{head}.{name}" + (f"_{suffix}" if suffix else "")] = clip_mean(values)
        out[f"SI.{name}"] = _shannon(np.stack(self.labels))
        out[f"SI.{name}_target"] = _shannon(np.stack(self.labels_target))
        out[f"FD-pooled.{name}"] = self.pooled_frechet(frames)
        return out

    def pooled_frechet(self, frames: NDArray[np.int64]) -> Result:
        if int(frames.sum()) < 2:
            return Result(None, np.full(len(frames), np.nan), len(frames))
        sums = [np.stack(side) for side in zip(*self.sums, strict=True)]
        products = [np.stack(side) for side in zip(*self.products, strict=True)]
        other, truth = (pooled(frames, a, b) for a, b in zip(sums, products, strict=True))
        value = float(frechet_distance(truth, other))
        if int((frames.sum() - frames).min()) < 2:  # a single clip: nothing is left without it
            return Result(value, np.full(len(frames), value))
        other, truth = (leave_one_out(frames, a, b) for a, b in zip(sums, products, strict=True))
        return jackknife(value, frechet_distance(truth, other))


class L2LSuite:
    """See the module. `evaluate` makes one pass over the clips and keeps O(N D^2) beside them."""

    space: Literal["emotion", "motion"] = "motion"
    groups = GROUPS  # of channels that the motion space must have
    columns = _columns()

    def __init__(self, config: L2LSuiteConfig | None = None) -> None:
        self.config = config or L2LSuiteConfig()

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        """data.predicted_motion (N, K, T, D) with the groups "expression" and "rotation". Raises ValueError for NaN or shapes."""
        if data.predicted_motion is None:
            raise ValueError("the l2l suite scores motion, and these predictions have none: choose an emotion suite")
        data = data.with_own_listeners()
        lengths = np.asarray(data.lengths, np.int64)
        listeners, speakers = Clips(data.listener_motion, lengths), Clips(data.speaker_motion, lengths)
        target = [listeners[n] for n in range(len(lengths))]
        groups = {name: self._group(name, data, target) for name in GROUPS}
        for n, frames in enumerate(lengths):
            pred = as_array(data.predicted_motion[n])
            if pred.ndim != 3 or pred.shape[1] < frames or pred.shape[2] != data.space.dim:
                want = f"(K, at least {frames}, {data.space.dim})"
                raise ValueError(f"predicted motion of clip {data.clips[n]!r} is {pred.shape}, but must be {want}")
            sides = (pred[:, :frames], target[n], speakers[n])
            if not all(np.isfinite(side).all() for side in sides):
                raise ValueError(f"motion of clip {data.clips[n]!r} holds NaN or infinity: write finite values")
            for group in groups.values():
                p, t, s = (side[..., group.at].astype(np.float64) for side in sides)
                group.add(p, t, s)
            if progress:
                progress(n + 1, len(lengths))
        results: dict[str, Result] = {}
        for name, group in groups.items():
            results |= group.results(name, lengths)
        return {column.id: results[column.id] for column in self.columns}

    def _group(self, name: str, data: Evaluation, target: list[NDArray[np.float32]]) -> _Group:
        if name not in data.space.groups:
            raise ValueError(f"motion space {data.space.name!r} has no group {name!r}, which the l2l suite scores")
        at = data.space.slice(name)
        frames = np.concatenate([x[:, at] for x in target])
        k = min(self.config.clusters[name], len(frames))
        centroids = centroids_for(frames, k, seed=self.config.seed)
        return _Group(at, centroids, frames.mean(0, dtype=np.float64))


def _shannon(labels: NDArray[np.int64]) -> Result:
    """(N, K, k) counts -> entropy of each sample's histogram over all clips, mean over samples."""
    total = labels.sum(0)
    value = float(entropy(total).mean())
    if len(labels) == 1:
        return Result(value, np.array([value]))
    return jackknife(value, entropy(total - labels).mean(-1))


def _clip_frechet(pred: Floats, target: Floats, speaker: Floats) -> tuple[float, float]:
    """FD and P-FD of one clip, mean over the K samples; NaN where a clip of one frame has no covariance."""
    if len(target) < 2:
        return float("nan"), float("nan")
    d = target.shape[-1]
    truth = moments(np.concatenate([speaker, target], -1))  # (2D,)
    p = moments(pred)  # (K, D)
    s = speaker - truth.mean[:d]
    between = s.T @ (pred - p.mean[:, None]) / (len(target) - 1)  # (K, D, D), the only block not at hand
    cov = np.empty((len(pred), 2 * d, 2 * d))
    cov[:, :d, :d], cov[:, d:, d:] = truth.cov[:d, :d], p.cov
    cov[:, :d, d:], cov[:, d:, :d] = between, between.swapaxes(-1, -2)
    mean = np.concatenate([np.broadcast_to(truth.mean[:d], p.mean.shape), p.mean], -1)
    alone = frechet_distance(truth.part(d, 2 * d), p)
    paired = distance_from_root(truth, root(truth.cov), Moments(mean, cov))
    return float(alone.mean()), float(paired.mean())


def _clip_rpcc(pred: Floats, target: Floats, speaker: Floats) -> float:
    truth = pcc(target, speaker)
    if np.isnan(truth):
        return float("nan")
    return float(np.mean([abs(truth - np.nan_to_num(pcc(p, speaker))) for p in pred]))

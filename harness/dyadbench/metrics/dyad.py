"""The `dyad` suites: metrics for any motion space, by its groups of channels. Which groups there are is all that differs.

For every clip with samples x_k, its true listener y and its speaker s, (T, D) each, and every group g of channels:

    CCC.g         concordance correlation with the true listener, mean over channels and samples, in [-1, 1]
    PCC.g         the same of Pearson's correlation, which asks for the shape of a movement and not for its size
    L2.g          Euclidean norm of a frame's error, mean over frames and samples
    FD-pooled.g   Frechet distance of all frames of all clips, and P-FD-pooled.g that of [speaker; listener] together
    variation.g   variance over time, mean over channels and samples
    diversity.g   mean squared difference between the reactions to different clips
    sync.g, lag.g the strongest correlation with the speaker over lags of up to 49 frames (mean over channels), and its |lag|
    samples.g     mean squared difference between the samples of one clip

`CCC` is the mean over all channels. Variation, diversity and synchrony are matched to those of the true listeners, since
noise, and a copy of the speaker, would win if more were better.

A channel that is constant on both sides is no evidence for CCC and is left out; constant on one side it counts 0. A
constant true listener says nothing about PCC; a constant prediction correlates with nothing (0). In `sync` a reaction that
stands still in all channels counts 0, and of one that moves the channels that stand still are left out.
Pooled distances and diversity are not means over clips, so their values per clip are jackknife pseudo-values. Frechet
distances are pooled because within a clip of real people they prefer noise to another real listener.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column, Config, Evaluation, Progress, Result
from dyadbench.metrics.config import DyadSuiteConfig
from dyadbench.metrics.l2l.clips import Floats, as_array, variation
from dyadbench.metrics.l2l.frechet import frechet_distance, leave_one_out, pooled
from dyadbench.metrics.react import closed_form, frsyn
from dyadbench.metrics.react.frdvs import spread_of
from dyadbench.metrics.react.suites import distinct
from dyadbench.metrics.resample import clip_mean, jackknife

TARGETS = ("variation", "diversity", "sync", "lag")  # of the true listeners, too


def columns_of(groups: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a suite for these groups: ranked ones first."""
    ranked, unranked = (
        [],
        [
            Column(
                "CCC",
                "max",
                ranked=False,
                low=-1.0,
                high=1.0,
                family="appropriateness",
                summary="concordance with the true listener, all channels",
            )
        ],
    )
    for group in groups:
        near: dict[str, Any] = {"family": "appropriateness"}
        matched = f"closest to true listeners' wins, {group}"
        ranked += [
            Column(f"CCC.{group}", "max", **near, headline=True, perfect=1.0, low=-1.0, high=1.0, summary=f"concordance with the true listener, {group}"),
            Column(f"L2.{group}", "min", **near, perfect=0.0, low=0.0, summary=f"distance from the true listener, {group}"),
            Column(f"FD-pooled.{group}", "min", family="realism", perfect=0.0, low=0.0, summary=f"Frechet distance over all clips, {group}"),
            Column(f"P-FD-pooled.{group}", "min", family="realism", perfect=0.0, low=0.0, summary=f"Frechet distance with the speaker over all clips, {group}"),
            Column(f"variation.{group}", "match", family="diversity", low=0.0, summary=f"variance over time; {matched}", target=f"variation.{group}_target"),
            Column(f"diversity.{group}", "match", family="diversity", low=0.0, summary=f"difference between clips; {matched}", target=f"diversity.{group}_target"),
            Column(f"sync.{group}", "match", family="synchrony", low=-1.0, high=1.0, summary=f"strongest correlation with the speaker; {matched}", target=f"sync.{group}_target"),
            Column(f"lag.{group}", "match", unit="s", family="synchrony", low=0.0, summary=f"time by which that comes later or earlier; {matched}", target=f"lag.{group}_target"),
        ]  # fmt: skip
        unranked += [
            Column(f"PCC.{group}", "max", ranked=False, low=-1.0, high=1.0, **near, summary=f"correlation with the true listener, {group}"),
            Column(f"samples.{group}", "max", ranked=False, summary=f"difference between samples of a clip, {group}"),
            *(
                Column(f"{name}.{group}_target", "match", ranked=False, unit="s" if name == "lag" else "",
                       summary=f"of the true listeners, {group}", target=f"{name}.{group}_target")
                for name in TARGETS
            ),
        ]  # fmt: skip
    return (*ranked, *unranked)


@dataclass
class _Group:
    """What one pass over the clips gathers for one group of D channels."""

    at: slice
    fps: float
    origin: Floats  # (2 D,) subtracted from [speaker, listener] before squares are summed
    values: dict[str, list[float]] = field(default_factory=dict)  # metric -> a value per clip
    sums: list[Floats] = field(default_factory=list)  # per clip (2, 2 D): of the prediction, of the truth
    products: list[Floats] = field(default_factory=list)  # per clip (2, 2 D, 2 D)

    def add(self, pred: NDArray[Any], target: NDArray[Any], speaker: NDArray[Any], first: NDArray[np.int64]) -> None:
        """One clip: pred (K, T, D), target and speaker (T, D); `first` as `distinct` gives it."""
        p, t, s = (side.astype(np.float64) for side in (pred, target, speaker))
        diversity, _ = closed_form.moments(p)
        scores = {
            "PCC": _correlation(p, t),
            "L2": float(np.linalg.norm(p - t, axis=-1).mean()),
            "variation": float(variation(p).mean()),
            "variation_target": float(variation(t)),
            "samples": diversity,
        }
        scores["sync"], scores["lag"] = self._synchrony(pred, speaker, first)
        scores["sync_target"], scores["lag_target"] = self._synchrony(target[None], speaker, np.zeros(1, np.int64))
        for name, value in scores.items():
            self.values.setdefault(name, []).append(value)
        sums, products = zip(*(self._moments(x, s) for x in (p, t[None])), strict=True)
        self.sums.append(np.stack(sums))
        self.products.append(np.stack(products))

    def _synchrony(self, pred: NDArray[Any], speaker: NDArray[Any], first: NDArray[np.int64]) -> tuple[float, float]:
        """Mean over samples of the strength, 0 for one that stands still, and of the |lag| in seconds where there is one."""
        speaker_array = np.ascontiguousarray(speaker)
        each = {k: frsyn.strongest(np.ascontiguousarray(pred[k]), speaker_array) for k in np.unique(first).tolist()}
        lags = np.array([abs(each[int(k)][0]) for k in first])
        strengths = np.array([each[int(k)][1] for k in first])
        still = np.array([not np.ptp(pred[int(k)], axis=0).any() for k in first])
        strengths[still] = 0.0
        mean = lambda x: float(np.nanmean(x)) if np.isfinite(x).any() else float("nan")  # noqa: E731  # a name for one expression
        return mean(strengths), mean(lags) / self.fps

    def _moments(self, x: Floats, speaker: Floats) -> tuple[Floats, Floats]:
        """Sums (2 D,) and products (2 D, 2 D) of [speaker, x] over frames; a sample of (K, T, D) weighs 1/K."""
        joined = np.concatenate([np.broadcast_to(speaker, x.shape), x], -1) - self.origin  # (K, T, 2 D)
        flat = joined.reshape(-1, joined.shape[-1])
        return flat.sum(0) / len(x), flat.T @ flat / len(x)

    def results(self, frames: NDArray[np.int64]) -> dict[str, Result]:
        by_name = {name: clip_mean(values) for name, values in self.values.items()}
        size = len(self.origin) // 2
        by_name["FD-pooled"] = self._frechet(frames, slice(size, 2 * size))
        by_name["P-FD-pooled"] = self._frechet(frames, slice(0, 2 * size))
        return by_name

    def _frechet(self, frames: NDArray[np.int64], at: slice) -> Result:
        sums, products = np.stack(self.sums)[..., at], np.stack(self.products)[..., at, at]
        if int(frames.sum()) < 2:
            return Result(None, np.full(len(frames), np.nan), len(frames))
        other, truth = (pooled(frames, sums[:, side], products[:, side]) for side in (0, 1))
        value = float(frechet_distance(truth, other))
        if int((frames.sum() - frames).min()) < 2:  # a single clip: nothing is left without it
            return Result(value, np.full(len(frames), value))
        other, truth = (leave_one_out(frames, sums[:, side], products[:, side]) for side in (0, 1))
        return jackknife(value, frechet_distance(truth, other))


class DyadSuite:
    """The suite for a motion space with `groups`. `evaluate` makes one pass over the clips, and one more for diversity."""

    space: Literal["emotion", "motion"] = "motion"

    def __init__(self, groups: Sequence[str], *, metrics: Sequence[str] = (), all_groups: bool = True) -> None:
        """`metrics`: by the names before the dot (CCC, L2, ...), all if none is named; CCC over all channels is always there.
        `all_groups`: a space that lacks one is refused; otherwise what is said of that group is undefined.

        Raises ValueError for a metric that there is not.
        """
        self.groups, self.all_groups = tuple(groups), all_groups
        every = columns_of(groups)
        available = dict.fromkeys(_metric(column.id) for column in columns_of(("any",)))
        if strange := [name for name in metrics if name not in available]:
            raise ValueError(f"there is no metric {strange[0]!r}; there are {', '.join(available)}")
        self.columns = tuple(c for c in every if not metrics or c.id == "CCC" or _metric(c.id) in metrics)

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        """data.predicted_motion (N, K, T, D). Raises ValueError for a missing group, wrong shapes and NaN."""
        if data.predicted_motion is None:
            raise ValueError("a dyad suite scores motion, and these predictions have none: choose an emotion suite")
        present = [name for name in self.groups if name in data.space.groups]
        missing = [name for name in self.groups if name not in present]
        if missing and (self.all_groups or not present):
            raise ValueError(f"motion space {data.space.name!r} has no group {missing[0]!r}, which this suite scores")
        data = data.with_own_listeners()
        lengths = np.asarray(data.lengths, np.int64)
        means = [_mean(side, lengths) for side in (data.speaker_motion, data.listener_motion)]
        slices = {name: data.space.slice(name) for name in present}
        groups = {
            name: _Group(at, data.space.fps, np.concatenate([mean[at] for mean in means]))
            for name, at in slices.items()
        }
        concordance: dict[str, list[float]] = {name: [] for name in ("CCC", *(f"CCC.{name}" for name in present))}
        for n, frames in enumerate(lengths.tolist()):
            pred, target, speaker = self._clip(data, n, frames)
            first = distinct(pred)
            channels = _concordance(pred, target)  # (D,)
            concordance["CCC"].append(_known_mean(channels))
            for name, group in groups.items():
                concordance[f"CCC.{name}"].append(_known_mean(channels[group.at]))
                group.add(pred[..., group.at], target[..., group.at], speaker[..., group.at], first)
            if progress:
                progress(n + 1, len(lengths))
        by_name = {name: clip_mean(values) for name, values in concordance.items()}
        for name, group in groups.items():
            for metric, result in (group.results(lengths) | self._diversity(data, group.at)).items():
                head, _, suffix = metric.partition("_")
                by_name[f"{head}.{name}" + (f"_{suffix}" if suffix else "")] = result
        nothing = Result(None, np.full(len(lengths), np.nan), len(lengths))
        return {column.id: by_name.get(column.id, nothing) for column in self.columns}

    def _clip(self, data: Evaluation, n: int, frames: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Prediction (K, T, D), listener and speaker (T, D) of one clip, checked."""
        pred = as_array(data.predicted_motion[n])
        if pred.ndim != 3 or pred.shape[1] < frames or pred.shape[2] != data.space.dim:
            want = f"(K, at least {frames}, {data.space.dim})"
            raise ValueError(f"predicted motion of clip {data.clips[n]!r} is {pred.shape}, but must be {want}")
        sides = [pred[:, :frames], *(as_array(x[n])[:frames] for x in (data.listener_motion, data.speaker_motion))]
        if not all(np.isfinite(side).all() for side in sides):
            raise ValueError(f"motion of clip {data.clips[n]!r} holds NaN or infinity: write finite values")
        pred, target, speaker = (np.ascontiguousarray(side) for side in sides)
        return pred, target, speaker

    def _diversity(self, data: Evaluation, at: slice) -> dict[str, Result]:
        count = len(data.clips)
        reads = {
            "diversity": lambda n: as_array(data.predicted_motion[n])[:, : data.lengths[n], at],
            "diversity_target": lambda n: as_array(data.listener_motion[n])[None, : data.lengths[n], at],
        }
        spreads = {name: spread_of(count, read) for name, read in reads.items()}
        return {name: Result(None if np.isnan(v) else v, pseudo) for name, (v, pseudo) in spreads.items()}


def _mean(motion: Any, lengths: NDArray[np.int64]) -> Floats:
    """(D,) over all frames."""
    total = sum(as_array(motion[n])[:t].sum(0, dtype=np.float64) for n, t in enumerate(lengths.tolist()))
    return np.asarray(total / lengths.sum())


def _known_mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _concordance(pred: NDArray[Any], target: NDArray[Any]) -> Floats:
    """(D,) mean over samples; NaN where a channel is constant on both sides in every sample."""
    values, silent = closed_form.ccc(pred, target[None])  # (K, 1, D)
    defined = ~silent[:, 0]
    total = np.where(defined, values[:, 0], 0).sum(0)
    return np.where(defined.any(0), total / np.maximum(defined.sum(0), 1), np.nan)


def _correlation(pred: Floats, target: Floats) -> float:
    """Mean over samples and channels of (K, T, D) with (T, D); a target's constant channel is left out, NaN if all are."""
    moving = np.ptp(target, axis=0) > 0
    if not moving.any():
        return float("nan")
    p, t = pred[..., moving], target[:, moving]
    p, t = p - p.mean(1, keepdims=True), t - t.mean(0)
    size = np.sqrt((p**2).sum(1) * (t**2).sum(0))  # (K, D)
    still = np.ptp(pred[..., moving], axis=1) == 0
    return float(np.where(still, 0, (p * t).sum(1) / np.where(still, 1, size)).mean())


def _metric(column: str) -> str:
    return column.partition(".")[0]


def of_groups(config: DyadSuiteConfig) -> DyadSuite:
    """For any motion space; a benchmark says which groups: "dyad[smile,gaze]"."""
    return DyadSuite(config.groups, metrics=config.metrics)


def vc_dyads(config: Config | None = None) -> DyadSuite:
    """For dyadbench.datasets.vc_dyads."""
    return DyadSuite(("smile", "movement", "gaze"))


def openface(config: Config | None = None) -> DyadSuite:
    """For dyadbench.datasets.openface, whichever of its groups are read."""
    return DyadSuite(("au", "blink", "rotation", "translation", "gaze"), all_groups=False)


def flame(config: Config | None = None) -> DyadSuite:
    """For spaces of expression, head rotation and jaw: deca-56 and flame-56."""
    return DyadSuite(("expression", "rotation", "jaw"))


def seamless(config: Config | None = None) -> DyadSuite:
    """For seamless-fau."""
    return DyadSuite(("expression", "rotation"))


def faceverse(config: Config | None = None) -> DyadSuite:
    """For faceverse-58."""
    return DyadSuite(("expression", "rotation", "translation"))

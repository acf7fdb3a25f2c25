"""Every reading of the Learning2Listen metrics in the literature, each under its own id.

Papers print "FD" or "variation" and mean different things. `score_l2l` computes them all from the same arrays:

    lm.*        lm-listener, `evaluate_listener.py`: 56 channels jointly, per clip, mean over clips
    dim.*       Dyadic-Interaction-Modeling, `mymetrics.py`: expression 50 and pose 6 apart (and `full`)
    dualtalk.*  DualTalk: expression 50, rotation 3, jaw 3 apart, everything per clip
    l2l.*       learning2listen itself (see official)
    the rest    readings that papers leave open: pooled or per-clip FD, four L2s, variation, Shannon index

`<id>_target` is the same quantity of the ground truth. Motion is 50 expression, 3 rotation, 3 jaw channels, in that
order, in coefficient units. Everything is float64 here, but for the means inside FD of float32 files, where the codes
above are float32 and it shows; elsewhere they are float32 too and differ by about 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.metrics.l2l.clips import (
    Clips,
    Floats,
    as_array,
    as_clips,
    frame_spread,
    frechet_pair,
    per_clip,
    rpcc,
    sts,
)
from dyadbench.metrics.l2l.official import PARTS, WINDOW, official_l2
from dyadbench.metrics.l2l.shannon import centroids_for, entropy, histograms, kmeans

Cluster = Callable[[Floats, int], Floats | None]
Fit = Literal["own", "sklearn"]

GROUPS = {
    "full": slice(0, 56),
    "expression": slice(0, 50),
    "pose": slice(50, 56),
    "rotation": slice(50, 53),
    "jaw": slice(53, 56),
}
CLUSTERS = {"dim.SI.expression": 40, "dim.SI.pose": 20, "SI.expression": 15, "SI.rotation": 9}
DUALTALK_CLUSTERS = {"expression": 40, "rotation": 10, "jaw": 10}
DIM_EPS = 1e-6  # inside the logarithm of DIM's and DualTalk's entropy
LOG2 = float(np.log(2.0))


def score_l2l(
    pred: Any,
    listener: Any,
    speaker: Any,
    lengths: Any = None,
    *,
    centroids: Mapping[str, Any] | None = None,
    train: Any = None,
    fit: Fit = "own",
    seed: int = 0,
) -> dict[str, float]:
    """Every variant by id; see the module for what the ids mean.

    Args:
        pred, listener, speaker: numpy arrays or tensors, either clips one after another (sum(lengths), 56) or padded
            (N, T, 56), in coefficient units. `listener` is the true listener's motion, the target;
            `speaker` the other person's.
        lengths: (N,) frames of each clip; needed in the first case.
        centroids: ground-truth cluster centres (k, D) for any of "dim.SI.expression" (40, 50), "dim.SI.pose" (20, 6),
            "SI.expression" (15, 50), "SI.rotation" (9, 3). What is not given is fitted on `listener`.
        train: (M, T, 56) target windows of the training split, for the official L2 alone; without them, or with clips
            under 64 frames, `l2l.*` is undefined.
        fit: "own" k-means, or "sklearn" with random_state=0 as the published codes call it; their values move by up
            to a few per cent between scikit-learn versions.
        seed: of lm-listener's random frame pairs, which its code leaves unseeded (the target is drawn before the
            prediction, clip by clip), and of our k-means.

    Returns one float an id; NaN means undefined (a constant in a correlation, a clip too short). Raises ValueError for
    shapes that do not fit, for lengths that do not add up and for values that are not finite.
    """
    p, t, s = as_clips(pred, listener, speaker, lengths)
    single = all(as_array(x).dtype == np.float32 for x in (pred, listener, speaker))
    groups = {name: tuple([x[:, at] for x in side] for side in (p, t, s)) for name, at in GROUPS.items()}
    each = {name: per_clip(*sides, single=single) for name, sides in groups.items()}
    cluster = clusterer(fit, seed)
    fixed_centres = _checked_centroids(centroids or {})
    out = _lm(each["full"], p, t, seed)
    for name in ("expression", "pose", "full"):
        out |= _dim(name, each[name], *groups[name])
    for name in ("expression", "rotation", "jaw"):
        out |= _dualtalk(name, each[name], groups[name][0], groups[name][1], cluster)
    for name in ("expression", "rotation", "pose"):
        out |= _readings(name, each[name], *groups[name], single=single)
    for name, k in CLUSTERS.items():
        group = name.rsplit(".", 1)[1]
        pooled_target = np.concatenate(groups[group][1])
        centres = fixed_centres.get(name)
        if centres is None:
            own = fit == "own" and len(pooled_target) >= k
            centres = centroids_for(pooled_target, k, seed=seed) if own else cluster(pooled_target, k)
        out |= _index(name, centres, groups[group][0], groups[group][1])
    return out | _official(p, t, train)


def _lm(each: dict[str, Floats], pred: Clips, target: Clips, seed: int) -> dict[str, float]:
    rng = np.random.RandomState(seed)  # the legacy stream, as numpy.random.seed sets it
    spread = np.array([[frame_spread(t, rng), frame_spread(p, rng)] for p, t in zip(pred, target, strict=True)])
    names = ("L2", "FD", "P-FD", "variation", "variation_target")
    means = {f"lm.{name}": float(each[name].mean()) for name in names}
    return means | {"lm.diversity": float(spread[:, 1].mean()), "lm.diversity_target": float(spread[:, 0].mean())}


def _dim(group: str, each: dict[str, Floats], pred: Clips, target: Clips, speaker: Clips) -> dict[str, float]:
    """DIM flattens frames and channels of *all* clips for variation, RPCC and STS: a clip's end steps to the next."""
    p, t, s = np.concatenate(pred), np.concatenate(target), np.concatenate(speaker)
    out = {f"dim.{name}.{group}": float(each[name].mean()) for name in ("L2", "FD", "P-FD")}
    out |= {f"dim.variation.{group}": float(p.var()), f"dim.variation.{group}_target": float(t.var())}
    if group != "full":
        out |= {f"dim.RPCC.{group}": rpcc(p, t, s), f"dim.STS.{group}": sts(p, t)}
    return out


def _dualtalk(group: str, each: dict[str, Floats], pred: Clips, target: Clips, cluster: Cluster) -> dict[str, float]:
    """DualTalk swaps the arguments of its Shannon index: clusters of the prediction, histogram of the target."""
    out = {
        f"dualtalk.{name}.{group}": float(each[name].mean())
        for name in ("L2", "FD", "P-FD", "variation", "RPCC", "STS")
    }
    out[f"dualtalk.variation.{group}_target"] = float(each["variation_target"].mean())
    index = []
    for p, t in zip(pred, target, strict=True):
        centres = cluster(p, DUALTALK_CLUSTERS[group])
        index.append(np.nan if centres is None else _sid(histograms([t], centres)))
    return out | {f"dualtalk.SI.{group}": float(np.mean(index))}


def _readings(
    group: str, each: dict[str, Floats], pred: Clips, target: Clips, speaker: Clips, *, single: bool
) -> dict[str, float]:
    p, t, s = np.concatenate(pred), np.concatenate(target), np.concatenate(speaker)
    norm = np.linalg.norm(p - t, axis=1)
    fd, paired = frechet_pair(p, t, s, single=single)
    out = {
        "FD.per-clip": each["FD"].mean(),
        "FD.pooled": fd,
        "P-FD.pooled": paired,
        "L2.mse": each["L2"].mean(),
        "L2.frame-norm": norm.mean(),
        "L2.frame-sqnorm": (norm**2).mean(),
        "L2.clip-norm": each["L2.clip-norm"].mean(),
        "variation.time-mean": each["variation"].mean(),
        "variation.time-sum": each["variation"].mean() * p.shape[1],
    }
    truth = each["variation_target"].mean()
    out_target = {"variation.time-mean": truth, "variation.time-sum": truth * p.shape[1]}
    named = {f"{name}.{group}": float(value) for name, value in out.items()}
    return named | {f"{name}.{group}_target": float(value) for name, value in out_target.items()}


def _sid(histograms: NDArray[np.int64]) -> float:
    """DIM's and DualTalk's index: bits of the histogram of all clips (N, k), an epsilon inside the logarithm."""
    return float(entropy(histograms.sum(0), bits=True, eps=DIM_EPS))


def _index(name: str, centres: Floats | None, pred: Clips, target: Clips) -> dict[str, float]:
    """DIM's index under its own id, or the readings of `SI.<group>`; `centres` None: undefined."""
    out: dict[str, float] = {}
    head, _, group = name.partition(".")
    for suffix, clips in (("", pred), ("_target", target)):
        h = None if centres is None else histograms(clips, centres)
        if head == "dim":
            out[name + suffix] = float("nan") if h is None else _sid(h)
            continue
        nats, each, eps = (np.nan,) * 3 if h is None else (float(entropy(h.sum(0))), float(entropy(h).mean()), _sid(h))
        readings = {"global-nats": nats, "global-bits": nats / LOG2, "global-bits-eps": eps}
        readings |= {"clip-nats": each, "clip-bits": each / LOG2}
        out |= {f"SI.{reading}.{group}{suffix}": value for reading, value in readings.items()}
    return out


def clusterer(fit: Fit, seed: int) -> Cluster:
    """k-means as (frames, k) -> centres (k, D), or None where there are fewer frames than clusters."""
    if fit not in ("own", "sklearn"):
        raise ValueError(f"fit must be 'own' or 'sklearn', got {fit!r}")

    def own(x: Floats, k: int) -> Floats | None:
        return kmeans(x, k, seed=seed) if len(x) >= k else None

    def published(x: Floats, k: int) -> Floats | None:
        from sklearn.cluster import KMeans

        single = x.astype(np.float32)  # the files are float32, and so is the published fit
        return KMeans(k, random_state=0, n_init="auto").fit(single).cluster_centers_ if len(x) >= k else None

    return own if fit == "own" else published


def _checked_centroids(centroids: Mapping[str, Any]) -> dict[str, Floats]:
    out = {}
    for name, value in centroids.items():
        if name not in CLUSTERS:
            raise ValueError(f"no clusters are called {name!r}: centroids may be given for {', '.join(CLUSTERS)}")
        at = GROUPS[name.rsplit(".", 1)[1]]
        centres = as_array(value).astype(np.float64)
        if (
            centres.ndim != 2
            or centres.shape[1] != at.stop - at.start
            or len(centres) == 0
            or not np.isfinite(centres).all()
        ):
            raise ValueError(
                f"centroids {name!r} must be finite numbers (k, {at.stop - at.start}), got {centres.shape}"
            )
        out[name] = centres
    return out


def _official(pred: Clips, target: Clips, train: Any) -> dict[str, float]:
    if train is None or min(len(x) for x in target) < WINDOW:
        return {f"l2l.L2{part}": float("nan") for part in (*PARTS, ".raw")}
    return official_l2(np.stack([x[:WINDOW] for x in pred]), np.stack([x[:WINDOW] for x in target]), as_array(train))

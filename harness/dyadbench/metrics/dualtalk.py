"""The `dualtalk` suite: the metrics of DualTalk (Peng et al., CVPR 2025), as its script computes them and corrected.

For each of the groups expression (50), rotation (3) and jaw (3), per clip and sample, mean over both. With truth y,
prediction x and partner s, all (T, D), cov and FD of the frames of this one clip:

    FD, P-FD    Frechet distance of x and y; of [s, x] and [s, y]
    MSE         mean squared error
    STS         sqrt(sum over channels and frames of (dy - dx)^2 / 0.1), d the step from frame to frame
    variance    mean over channels of the variance over time
    diversity   mean distance of 100 pairs of frames of one clip
    RPCC        |pcc(y, s) - pcc(x, s)| over all channels and frames flattened
    SID         bits of the histogram of frames over k-means clusters (40, 10, 10), 1e-6 inside the logarithm

What is corrected, and ranked instead:

- the script hands SID its arguments in the wrong order: clusters of the prediction, histogram of the truth. That is
  `SID-official`; `SID` has the clusters of the truth and the histogram of the prediction, and `SID_target` that of the truth;
- STS grows with the length of a clip, and its 0.1 is no frame's time. `velocity` is the root mean square of dy - dx per second;
- diversity draws its pairs from a generator without a seed. Here a clip's pairs depend on its id alone, and are the
  same for truth and prediction;
- a prediction that stands still correlates with nothing, which is 0 and not undefined, so that standing still does not avoid RPCC;
- variance and diversity are matched to those of the truth, since noise maximises them.

The script's k-means is scikit-learn's; `fit = "sklearn"` uses it, the default is this package's own. Both are seeded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column, Evaluation, Progress, Result
from dyadbench.metrics.config import DualTalkSuiteConfig
from dyadbench.metrics.l2l.clips import Floats, as_array, frechet_pair, pcc, sts, variation
from dyadbench.metrics.l2l.readings import DIM_EPS, DUALTALK_CLUSTERS, Cluster, clusterer
from dyadbench.metrics.l2l.shannon import entropy, histograms
from dyadbench.metrics.react.suites import distinct
from dyadbench.metrics.resample import clip_mean

PAIRS = 100  # of frames, for diversity; a clip of no more frames has none
GROUPS = tuple(DUALTALK_CLUSTERS)


def _columns() -> tuple[Column, ...]:
    ranked, unranked = [], []
    for group in GROUPS:
        matched = f"closest to the ground truth's wins ({group})"
        near: dict[str, Any] = {"family": "appropriateness", "perfect": 0.0}
        lively: dict[str, Any] = {"family": "diversity"}
        ranked += [
            Column(f"FD.{group}", "min", digits=6, **near, summary=f"Frechet distance within a clip, {group}"),
            Column(f"P-FD.{group}", "min", digits=6, **near, headline=group == "expression", summary=f"Frechet distance with the partner, {group}"),
            Column(f"MSE.{group}", "min", **near, summary=f"mean squared error, {group}"),
            Column(f"SID.{group}", "match", unit="bits", **lively, summary=f"Shannon index in the clusters of the truth; {matched}", target=f"SID.{group}_target"),
            Column(f"velocity.{group}", "min", unit="per second", **near, summary=f"root mean square error of velocity, {group}"),
            Column(f"diversity.{group}", "match", **lively, summary=f"distance of frames of a clip; {matched}", target=f"diversity.{group}_target"),
            Column(f"variance.{group}", "match", digits=6, **lively, summary=f"variance over time; {matched}", target=f"variance.{group}_target"),
            Column(f"RPCC.{group}", "min", family="synchrony", perfect=0.0, high=2.0, summary=f"residual correlation with the partner, {group}"),
        ]  # fmt: skip
        unranked += [
            Column(f"SID-official.{group}", "match", ranked=False, unit="bits", **lively, summary=f"clusters of the prediction, histogram of the truth, {group}", target=f"SID.{group}_target"),
            Column(f"STS.{group}", "min", ranked=False, **near, summary=f"the script's error of velocity, which grows with a clip's length, {group}"),
            *(
                Column(f"{name}.{group}_target", "match", ranked=False, summary=f"of the ground truth, {group}", target=f"{name}.{group}_target")
                for name in ("SID", "diversity", "variance")
            ),
        ]  # fmt: skip
    return tuple(
        replace(column, low=0.0) for column in (*ranked, *unranked)
    )  # distances, spreads, entropies: none is below 0


class DualTalkSuite:
    """See the module. A motion space with the groups expression, rotation and jaw is needed."""

    space: Literal["emotion", "motion"] = "motion"
    columns = _columns()
    groups = GROUPS

    def __init__(self, config: DualTalkSuiteConfig | None = None) -> None:
        self.config = config or DualTalkSuiteConfig()

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]:
        """data.predicted_motion (N, K, T, D). Raises ValueError for a missing group, wrong shapes and NaN."""
        if data.predicted_motion is None:
            raise ValueError(
                "the dualtalk suite scores motion, and these predictions have none: choose an emotion suite"
            )
        if missing := [name for name in GROUPS if name not in data.space.groups]:
            raise ValueError(
                f"motion space {data.space.name!r} has no group {missing[0]!r}, which the dualtalk suite scores"
            )
        data = data.with_own_listeners()
        cluster = clusterer(self.config.fit, self.config.seed)
        values_of: dict[str, list[float]] = {column.id: [] for column in self.columns}
        for n, frames in enumerate(int(t) for t in data.lengths):
            pred = as_array(data.predicted_motion[n])[:, :frames]
            sides = (pred, as_array(data.listener_motion[n])[:frames], as_array(data.speaker_motion[n])[:frames])
            if not all(np.isfinite(side).all() for side in sides):
                raise ValueError(f"motion of clip {data.clips[n]!r} holds NaN or infinity: write finite values")
            first = distinct(np.ascontiguousarray(pred))
            pairs = frame_pairs(data.clips[n], frames)
            for group in GROUPS:
                at = data.space.slice(group)
                p, t, s = (side[..., at].astype(np.float64) for side in sides)
                scored = {
                    k: clip_scores(
                        p[k], t, s, k_means=(cluster, DUALTALK_CLUSTERS[group]), pairs=pairs, fps=data.space.fps
                    )
                    for k in np.unique(first).tolist()
                }
                for name in scored[0]:
                    head, _, suffix = name.partition("_")
                    value = float(np.mean([scored[int(k)][name] for k in first]))
                    values_of[f"{head}.{group}" + (f"_{suffix}" if suffix else "")].append(value)
            if progress:
                progress(n + 1, len(data.lengths))
        return {name: clip_mean(values) for name, values in values_of.items()}


def frame_pairs(clip: str, frames: int) -> NDArray[np.int64] | None:
    """(2, 100) frames to compare, as the script draws them (no frame twice on one side) but by the clip's id; None: too few."""
    if frames <= PAIRS:
        return None
    key = int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "little")
    draws = np.random.Generator(np.random.Philox(key=key))
    return np.stack([draws.choice(frames, PAIRS, replace=False) for _ in range(2)])


def clip_scores(
    pred: Floats, target: Floats, partner: Floats, *,
    k_means: tuple[Cluster, int], pairs: NDArray[np.int64] | None, fps: float,
) -> dict[str, float]:  # fmt: skip
    """All values of one sample in one group, (T, D) each; NaN where one is undefined (too few frames, a constant)."""
    fd, paired = frechet_pair(pred, target, partner)
    cluster, k = k_means
    of_target, of_pred = cluster(target, k), cluster(pred, k)
    steps = np.diff(target - pred, axis=0)
    return {
        "FD": fd,
        "P-FD": paired,
        "MSE": float(((pred - target) ** 2).mean()),
        "SID": _bits(pred, of_target),
        "SID_target": _bits(target, of_target),
        "SID-official": _bits(target, of_pred),
        "STS": sts(pred, target),
        "velocity": float(np.sqrt((steps**2).mean()) * fps) if len(steps) else float("nan"),
        "diversity": _spread(pred, pairs),
        "diversity_target": _spread(target, pairs),
        "variance": float(variation(pred)),
        "variance_target": float(variation(target)),
        "RPCC": abs(pcc(target, partner) - float(np.nan_to_num(pcc(pred, partner)))),
    }


def _bits(frames: Floats, centres: Floats | None) -> float:
    if centres is None:
        return float("nan")
    return float(entropy(histograms([frames], centres)[0], bits=True, eps=DIM_EPS))


def _spread(x: Floats, pairs: NDArray[np.int64] | None) -> float:
    return float("nan") if pairs is None else float(np.linalg.norm(x[pairs[0]] - x[pairs[1]], axis=1).mean())

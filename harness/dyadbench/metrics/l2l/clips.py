"""What the Learning2Listen metrics are made of: the values of one clip, and arrays cut into clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.files.arrays import floats
from dyadbench.metrics.l2l.frechet import frechet_distance, moments

Floats = NDArray[np.float64]
Clips = list[Floats]  # each (T, D)


def as_clips(
    pred: Any, listener: Any, speaker: Any, lengths: Any = None, *, dim: int = 56
) -> tuple[Clips, Clips, Clips]:
    """Three sets of clips in float64 from arrays or tensors, concatenated (sum(lengths), dim) or padded (N, T, dim).

    Raises ValueError for shapes that do not fit, lengths that do not add up and values that are not finite.
    """
    sides = {"pred": as_array(pred), "listener": as_array(listener), "speaker": as_array(speaker)}
    shape = sides["listener"].shape
    for name, x in sides.items():
        if x.shape != shape or x.ndim not in (2, 3) or x.shape[-1] != dim or x.size == 0:
            raise ValueError(
                f"{name} is {x.shape} and listener {shape}: both must be (sum(lengths), {dim}) or (N, T, {dim}), not empty"
            )
    cuts = _cuts(shape, lengths)
    out = []
    for name, x in sides.items():
        flat = x.reshape(-1, dim)
        clips = [flat[a:b].astype(np.float64) for a, b in cuts]
        bad = [n for n, clip in enumerate(clips) if not np.isfinite(clip).all()]
        if bad:
            raise ValueError(
                f"{name} holds NaN or infinity in clip {bad[0]} ({len(bad)} of {len(clips)} clips): replace them"
            )
        out.append(clips)
    return out[0], out[1], out[2]


def as_array(x: Any) -> NDArray[Any]:
    """float32 or float64 of an array or a tensor of any number type, on any device; see `files.arrays.floats`."""
    return floats(x, "motion")


def _cuts(shape: tuple[int, ...], lengths: Any) -> list[tuple[int, int]]:
    """Start and stop of each clip among all frames, padding included."""
    if lengths is None:
        if len(shape) == 2:
            raise ValueError(f"motion {shape} is concatenated clips: give lengths, the number of frames of each clip")
        lengths = np.full(shape[0], shape[1])
    n = np.asarray(lengths.detach().cpu() if hasattr(lengths, "detach") else lengths)
    if n.ndim != 1 or n.dtype.kind not in "iu" or n.size == 0 or n.min() < 1:
        raise ValueError(f"lengths must be whole numbers of at least 1, one a clip, got {n.dtype} {n.shape}")
    if len(shape) == 2:
        if int(n.sum()) != shape[0]:
            raise ValueError(f"lengths add up to {int(n.sum())} frames, but motion has {shape[0]}")
        stops = np.cumsum(n)
        return [(int(b - a), int(b)) for a, b in zip(n, stops, strict=True)]
    if len(n) != shape[0] or int(n.max()) > shape[1]:
        raise ValueError(f"lengths {n.shape} up to {int(n.max())} do not fit motion (N, T, D) = {shape}")
    return [(i * shape[1], i * shape[1] + int(a)) for i, a in enumerate(n)]


def variation(x: Floats) -> Floats:
    """Mean over channels of the variance over time (divided by T): (..., T, D) -> (...). Squared units; match."""
    out: Floats = x.var(-2).mean(-1)
    return out


def pcc(a: Floats, b: Floats) -> float:
    """Pearson correlation of two arrays flattened over frames and channels; NaN where either is constant."""
    a, b = a.ravel(), b.ravel()
    if a.size == 0 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def rpcc(pred: Floats, target: Floats, speaker: Floats) -> float:
    """Residual correlation |pcc(target, speaker) - pcc(pred, speaker)|, in [0, 2]; min."""
    return abs(pcc(target, speaker) - pcc(pred, speaker))


def sts(pred: Floats, target: Floats) -> float:
    """sqrt(sum over frames and channels of the squared difference in frame-to-frame steps / 0.1); min; grows with T."""
    return float(np.sqrt((np.diff(target - pred, axis=0) ** 2).sum() / 0.1))


def frame_spread(x: Floats, rng: np.random.RandomState) -> float:
    """Mean distance of 30 random frame pairs (10 where T <= 30), lm-listener's "diversity"; NaN where T < 10."""
    n = 30 if len(x) > 30 else 10
    if len(x) < n:
        return float("nan")
    first, second = rng.choice(len(x), n, replace=False), rng.choice(len(x), n, replace=False)
    return float(np.linalg.norm(x[first] - x[second], axis=1).mean())


def frechet_pair(pred: Floats, target: Floats, speaker: Floats, *, single: bool = False) -> tuple[float, float]:
    """FD of prediction and target, and of both joined with the speaker, over the frames of (T, D) each."""
    if len(target) < 2:
        return float("nan"), float("nan")
    alone = frechet_distance(moments(target, single=single), moments(pred, single=single))
    truth, other = (moments(np.concatenate([speaker, x], 1), single=single) for x in (target, pred))
    return float(alone), float(frechet_distance(truth, other))


def per_clip(pred: Clips, target: Clips, speaker: Clips, *, single: bool = False) -> dict[str, Floats]:
    """Each clip's values (N,) of the metrics that are means over clips, for one group of channels; `single` as moments."""
    rows: list[dict[str, float]] = []
    for p, t, s in zip(pred, target, speaker, strict=True):
        fd, pfd = frechet_pair(p, t, s, single=single)
        rows.append(
            {
                "L2": float(((p - t) ** 2).mean()),
                "FD": fd,
                "P-FD": pfd,
                "variation": float(variation(p)),
                "variation_target": float(variation(t)),
                "RPCC": rpcc(p, t, s),
                "STS": sts(p, t),
                "L2.clip-norm": float(np.linalg.norm(p - t)),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}

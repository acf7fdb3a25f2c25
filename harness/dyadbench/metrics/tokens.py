"""What a tokenizer costs and keeps: reconstruction, use of its books, bits, steadiness, clusters.

Papers on motion tokens name these quantities without formulas, or cite formulas elsewhere. Where that is so the
definition below is this project's own, says so, and is not comparable with a printed number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column, Result, TokenSpec
from dyadbench.metrics.l2l.clips import Clips, Floats, as_array
from dyadbench.metrics.l2l.shannon import assign, centroids_for, entropy
from dyadbench.metrics.resample import clip_mean, jackknife

COLUMNS = (
    Column("motion-rmse", "min", unit="coefficients", low=0.0, summary="root mean square error of a clip's motion, mean over clips"),
    Column("constant-motion-rmse", "min", ranked=False, unit="coefficients", summary="the same of a constant mean frame"),
    Column("reconstruction", "min", unit="coefficients^2", low=0.0, summary="mean squared error of decode(encode(x))"),
    Column("reconstruction_mean", "min", ranked=False, unit="coefficients^2", summary="the error of a constant mean frame"),
    Column("utilisation", "max", low=0.0, high=1.0, by_clip=False, summary="share of each book's codes that occur, mean over books"),
    Column("perplexity", "max", unit="codes", low=1.0, by_clip=False, summary="exp of the entropy of a book's codes, mean over books"),
    Column("bits-per-second", "min", ranked=False, unit="bit/s", digits=1, summary="cost of the ids of one second"),
    Column("motion-stability", "match", unit="", low=0.0, summary="jitter of the truth over jitter of the reconstruction", target="motion-stability_target"),
    Column("motion-stability_target", "match", ranked=False, summary="1: as steady as the truth"),
    Column("cluster-integrity", "max", low=0.0, high=1.0, summary="share of frames that stay in their cluster of the truth"),
)  # fmt: skip
FURTHER = (  # what `score_tokenizer` finds beside COLUMNS
    Column("emotion-rmse", "min", low=0.0, summary="root mean square error of a clip's 25 emotion channels, where they are decoded"),
    Column("constant-emotion-rmse", "min", ranked=False, summary="the same of a constant mean frame"),
    Column("position-bits-per-second", "min", ranked=False, unit="bit/s", digits=1,
           summary="cost of where keyframes sit: log2 of the ways to place as many in the clip; 0 for dense tokens and places that follow from the length"),
)  # fmt: skip
VERSIONS = {column.id: column.version for column in (*COLUMNS, *FURTHER)}
_BY_ID = {column.id: column for column in (*COLUMNS, *FURTHER)}


def version_of(name: str) -> int:
    """The version of a column; `motion-rmse.layers3` is motion-rmse of what the first three layers decode to."""
    return VERSIONS[name.partition(".")[0]]


def column_of(name: str) -> Column:
    """The column; `motion-rmse.layers3` is motion-rmse, too."""
    return _BY_ID[name.partition(".")[0]]


def squared_error(decoded: Floats, motion: Floats) -> float:
    """Mean squared error over the frames and channels of one clip (T, D); squared units; min; 0 where equal."""
    return float(((decoded - motion) ** 2).mean())


def bits_per_second(
    codes: int, fps: float, *, groups: int = 1, residual: int = 1, frames_per_token: float = 1
) -> float:
    """fps / frames_per_token * groups * residual * log2(codes); min. Source: VQTalker (arXiv 2412.09892), table 3.

    For sparse tokens `frames_per_token` is the mean distance of keyframes, whose positions are not paid for here.
    """
    if codes < 1 or fps <= 0 or groups < 1 or residual < 1 or frames_per_token <= 0:
        raise ValueError(
            f"bits per second need positive sizes, got {codes=}, {fps=}, {groups=}, {residual=}, {frames_per_token=}"
        )
    return float(fps / frames_per_token * groups * residual * np.log2(codes))


def code_counts(ids: Sequence[Any], codes: int) -> NDArray[np.int64]:
    """How often each code occurs: ids of each clip (N,) or (N, G, R) -> (clips, G, R, codes).

    Raises ValueError for ids outside the book or clips whose grids differ.
    """
    grids = [np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for x in ids]
    grids = [x[:, None, None] if x.ndim == 1 else x for x in grids]
    if not grids or any(x.ndim != 3 or x.shape[1:] != grids[0].shape[1:] or x.dtype.kind not in "iu" for x in grids):
        raise ValueError(
            f"ids must be whole numbers, (N,) or (N, G, R) with one G and R, got {[x.shape for x in grids[:3]]}"
        )
    if any(x.size == 0 for x in grids):
        raise ValueError("a clip has no ids at all: a tokenizer must emit at least one token for each clip")
    if any(x.min() < 0 or x.max() >= codes for x in grids):
        raise ValueError(f"an id lies outside the book of {codes} codes: check the tokenizer's TokenSpec")
    g, r = grids[0].shape[1:]
    book = np.arange(g * r).reshape(g, r) * codes
    out = np.stack([np.bincount((x + book).ravel(), minlength=g * r * codes) for x in grids])
    return out.reshape(len(grids), g, r, codes)


def utilisation(counts: NDArray[np.int64]) -> Floats:
    """Share of codes that occur at least once (VQTalker): counts (..., codes) -> (...), in [0, 1]; max."""
    return np.asarray((counts > 0).mean(-1), np.float64)


def perplexity(counts: NDArray[np.int64]) -> Floats:
    """exp(entropy) of the codes: counts (..., codes) -> (...), from 1 (one code) to `codes` (all alike); max."""
    out: Floats = np.exp(entropy(counts))
    return out


def jitter(x: Floats) -> float:
    """Root mean square over frames and channels of the second difference of (T, D); NaN where T < 3."""
    return float(np.sqrt((np.diff(x, n=2, axis=0) ** 2).mean())) if len(x) > 2 else float("nan")


def motion_stability(decoded: Floats, motion: Floats) -> float:
    """jitter(motion) / jitter(decoded) of one clip: 1 as steady as the truth, above 1 smoother, below 1 trembling.

    This project's own definition, after the idea of a motion stability index (higher is steadier); matched with 1, as
    a frozen face is steadiest of all. Scale-free. NaN where either clip does not accelerate.
    """
    truth, ours = jitter(motion), jitter(decoded)
    return truth / ours if truth > 0 and ours > 0 else float("nan")


def cluster_integrity(decoded: Floats, motion: Floats, centroids: Floats) -> float:
    """Share of frames (T, D) whose nearest centroid (k, D) is the same before and after tokenisation; in [0, 1]; max.

    This project's own definition of what "cluster integrity" asks: whether tokenisation keeps apart what is apart.
    """
    return float((assign(decoded, centroids) == assign(motion, centroids)).mean())


def evaluate_tokens(
    motion: Sequence[Any],
    decoded: Sequence[Any],
    ids: Sequence[Any],
    spec: TokenSpec,
    fps: float,
    *,
    mean: Any = None,
    clusters: int = 15,
    seed: int = 0,
    channels: Mapping[str, tuple[int, int]] | None = None,
) -> Mapping[str, Result]:
    """A tokenizer's scores on clips: one Result for each of COLUMNS.

    motion, decoded: per clip (T, D); ids: per clip (N,) or (N, G, R), padding removed; mean: (D,) frame of the training
    split that the constant errors are of (default: of these clips, the strongest constant). `detail` of utilisation and
    perplexity holds every book as g0r0, g0r1, ..., those of motion-rmse and reconstruction the groups of `channels`
    ([start, stop) over D). Raises ValueError for shapes that do not fit and for NaN.
    """
    truth, ours = _clips(motion, "motion"), _clips(decoded, "decoded")
    _demand_alike(truth, ours, ids)
    frames = np.concatenate(truth)
    constant = frames.mean(0) if mean is None else as_array(mean).astype(np.float64)
    centroids = centroids_for(frames, min(clusters, len(frames)), seed=seed)
    pairs = list(zip(ours, truth, strict=True))
    counts = _counts(ids, spec)
    squares = np.array([squared_error(a, b) for a, b in pairs])
    flat = np.array([squared_error(constant, b) for _, b in pairs])
    columns: dict[str, Any] = {
        "motion-rmse": np.sqrt(squares),
        "constant-motion-rmse": np.sqrt(flat),
        "reconstruction": squares,
        "reconstruction_mean": flat,
        "bits-per-second": [_bits(spec, fps, len(x) / len(i)) for x, i in zip(truth, ids, strict=True)],
        "motion-stability": [motion_stability(a, b) for a, b in pairs],
        "motion-stability_target": [1.0] * len(pairs),
        "cluster-integrity": [cluster_integrity(a, b, centroids) for a, b in pairs],
    }
    out = {name: clip_mean(values) for name, values in columns.items()}
    parts = _parts(pairs, channels or {})
    for name, mean_of in (("motion-rmse", np.sqrt), ("reconstruction", np.asarray)):
        detail = {group: float(mean_of(values).mean()) for group, values in parts.items()}
        out[name] = replace(out[name], detail=detail)
    out["utilisation"] = _book(counts, utilisation)
    out["perplexity"] = _book(counts, perplexity)
    return {column.id: out[column.id] for column in COLUMNS}


def _demand_alike(truth: Sequence[Floats], ours: Sequence[Floats], ids: Sequence[Any]) -> None:
    """Raises ValueError unless motion, decoded motion and ids are of the same clips and frames."""
    if (
        len(truth) != len(ours)
        or len(ids) != len(truth)
        or any(a.shape != b.shape for a, b in zip(truth, ours, strict=False))
    ):
        raise ValueError(
            f"motion, decoded and ids must hold the same clips and frames, got {len(truth)}, {len(ours)}, {len(ids)} clips"
        )


def _counts(ids: Sequence[Any], spec: TokenSpec) -> np.ndarray:
    """`code_counts` of ids whose grid is the declared one; ValueError otherwise."""
    counts = code_counts(ids, spec.codes)
    if counts.shape[1:3] != (spec.groups, spec.residual):
        raise ValueError(
            f"ids are a {counts.shape[1]}x{counts.shape[2]} grid, but the tokenizer declares {spec.groups}x{spec.residual}"
        )
    return counts


def _bits(spec: TokenSpec, fps: float, spacing: float) -> float:
    """Bits per second of one clip; `spacing` is its mean number of frames per token, which only sparse tokens need."""
    every = spec.frames_per_token or spacing
    return bits_per_second(spec.codes, fps, groups=spec.groups, residual=spec.residual, frames_per_token=every)


def _parts(pairs: Sequence[tuple[Floats, Floats]], channels: Mapping[str, tuple[int, int]]) -> dict[str, Floats]:
    """Mean squared error of each group of channels, clip by clip."""
    return {
        name: np.array([squared_error(a[:, start:stop], b[:, start:stop]) for a, b in pairs])
        for name, (start, stop) in channels.items()
    }


def layer_counts(residual: int) -> list[int]:
    """The numbers of residual layers whose decoding is scored: one to four, then doublings, and all of them."""
    return [n for n in range(1, residual + 1) if n <= 4 or n & (n - 1) == 0 or n == residual]


def _book(counts: NDArray[np.int64], score: Any) -> Result:
    """A score of the books filled by all clips, mean over books; counts (N, G, R, codes)."""
    total = counts.sum(0)
    each = score(total)  # (G, R)
    detail = {f"g{g}r{r}": float(each[g, r]) for g, r in np.ndindex(each.shape)}
    value = float(each.mean())
    if len(counts) == 1:
        return Result(value, np.array([value]), detail=detail)
    pseudo = jackknife(value, np.array([score(total - one).mean() for one in counts]))
    return Result(value, pseudo.per_clip, detail=detail)


def _clips(clips: Sequence[Any], name: str) -> Clips:
    out = [as_array(x).astype(np.float64) for x in clips]
    if not out or any(x.ndim != 2 or len(x) == 0 or x.shape[1] != out[0].shape[1] for x in out):
        raise ValueError(
            f"{name} must be at least one clip (T, D), all with the same D, got {[x.shape for x in out[:3]]}"
        )
    for n, x in enumerate(out):
        if not np.isfinite(x).all():
            raise ValueError(f"{name} holds NaN or infinity in clip {n}: replace them")
    return out

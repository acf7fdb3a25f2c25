"""The official REACT metrics as plain loops, from their definitions: what the fast paths are tested and timed against.

Shapes: pred (N, K, T, 25), listener (M, T, 25), speaker (N, T, 25), rows: the appropriate listeners of each clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GROUPS = ((0, 15, 1 / 15), (15, 17, 1.0), (17, 25, 1 / 8))
Rows = Sequence[Sequence[int]]


def dtw(x: np.ndarray, y: np.ndarray) -> float:
    """sqrt of the cheapest monotone path's summed squared distances; (n, C) and (m, C), by anti-diagonals in float64."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    n, m = len(a), len(b)
    cost = np.zeros((n, m))
    for c in range(a.shape[1]):  # channel after channel: the order of the sum is part of the definition
        cost += (a[:, None, c] - b[None, :, c]) ** 2
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    flat, step = total.ravel(), m  # one step down and one left is m places on
    for d in range(n + m - 1):
        i = np.arange(max(0, d - m + 1), min(n, d + 1))
        here = (i + 1) * (step + 1) + (d - i + 1)
        above = np.minimum(np.minimum(flat[here - step - 1], flat[here - 1]), flat[here - step - 2])
        flat[here] = cost[i, d - i] + above
    return float(np.sqrt(total[n, m]))


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """d of FRDist; inputs are cast to float32 first."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    return sum(w * dtw(x[:, a:b], y[:, a:b]) for a, b, w in GROUPS)


def concordance(y: np.ndarray, x: np.ndarray) -> float:
    """Mean over channels of the CCC of two (T, C) sequences; the correlation of a constant channel counts 0."""
    values = []
    for c in range(x.shape[1]):
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.nan_to_num(np.corrcoef(y[:, c], x[:, c])[0, 1])
        mx, my, vx, vy = x[:, c].mean(), y[:, c].mean(), x[:, c].var(), y[:, c].var()
        values.append(2 * r * x[:, c].std() * y[:, c].std() / (vx + vy + (mx - my) ** 2 + 1e-8))
    return float(np.mean(values))


def frcorr(pred: np.ndarray, listener: np.ndarray, rows: Rows) -> float:
    """Sum over samples of the best concordance, mean over clips."""
    return float(
        np.mean([sum(max(concordance(listener[j], x) for j in rows[n]) for x in pred[n]) for n in range(len(pred))])
    )


def frdist(pred: np.ndarray, listener: np.ndarray, rows: Rows) -> float:
    """Sum over samples of the least distance, mean over clips."""
    return float(
        np.mean([sum(min(distance(x, listener[j]) for j in rows[n]) for x in pred[n]) for n in range(len(pred))])
    )


def offset(x: np.ndarray, s: np.ndarray) -> int:
    """|lag| of the highest float32 channel-mean correlation, -49..49; the first NaN wins, else the first maximum."""
    curve = []
    x, s = x.astype(np.float32), s.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for lag in range(-49, 50):
            a, b = (x[lag:], s[: len(s) - lag]) if lag >= 0 else (x[:lag], s[-lag:])
            defined = len(a) > 1
            r = [np.corrcoef(a[:, c], b[:, c])[0, 1] if defined else np.nan for c in range(x.shape[1])]
            curve.append(np.mean(np.array(r, np.float32)))
    return abs(int(np.argmax(curve)) - 49)


def frsyn(pred: np.ndarray, speaker: np.ndarray, samples: int = 1) -> float:
    """Mean |lag| over clips and their first `samples` samples."""
    return float(np.mean([offset(x, s) for clip, s in zip(pred, speaker, strict=True) for x in clip[:samples]]))


def frdiv(pred: np.ndarray) -> float:
    """Mean squared difference of ordered pairs of different samples; 0 for one sample."""
    count = pred.shape[1]
    if count == 1:
        return 0.0
    pairs = [
        ((clip[a] - clip[b]) ** 2).mean()
        for clip in pred.astype(np.float64)
        for a in range(count)
        for b in range(count)
    ]
    return float(np.sum(pairs) / (len(pred) * count * (count - 1)))


def frvar(pred: np.ndarray) -> float:
    """Mean unbiased variance over time."""
    return float(np.mean([clip.var(1, ddof=1).mean() for clip in pred.astype(np.float64)]))


def frdvs(pred: np.ndarray) -> float:
    """Mean squared difference of the k-th samples of ordered pairs of different clips."""
    x, count = pred.astype(np.float64), len(pred)
    if count == 1:
        return float("nan")
    return float(np.sum([((a - b) ** 2).mean() for a in x for b in x]) / (count * (count - 1)))

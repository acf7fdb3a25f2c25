"""FRDvs: how much the reactions to different speakers differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dyadbench.metrics.react.closed_form import cross, fold


def frdvs(clips: Sequence[np.ndarray]) -> float:
    """FRDvs: how much reactions to different speakers differ, sample by sample.

        sum_k sum_{n,m} ||p_nk - p_mk||^2 / (N (N - 1) K T C)

    Source: REACT 2024, metric/FRDvs.py. Squared units of the data; NaN for one clip. clips: N of (K, T_n, C), which are cut
    to the shortest.

    >>> frdvs([np.zeros((10, 50, 25)), np.ones((10, 60, 25))])
    1.0
    """
    return spread_of(len(clips), lambda n: clips[n])[0]


def spread_of(count: int, read: Callable[[int], np.ndarray]) -> tuple[float, np.ndarray]:
    """FRDvs of clips read one at a time and its pseudo-values; they are read twice and cut to the shortest one."""
    shortest = min(read(i).shape[1] for i in range(count))
    # A clip is read when it is needed and not kept: a test set does not fit into memory.
    cut = lambda i: np.ascontiguousarray(read(i)[:, :shortest])  # noqa: E731  # a name for one expression
    origin = cut(0)  # (K, T, C)
    total = np.zeros(origin.shape)

    # Four clips per call: `total` is then read once for the four, and memory traffic is what this costs.
    def each(work: Callable[[list[np.ndarray], np.ndarray, np.ndarray], list[float]]) -> np.ndarray:
        fours = [range(i, min(i + 4, count)) for i in range(0, count, 4)]
        return np.array([value for four in fours for value in work([cut(i) for i in four], origin, total)])

    return spread(each(fold), lambda: each(cross), float((total**2).sum()), total.size)


def spread(squares: np.ndarray, cross: Callable[[], np.ndarray], norm: float, size: int) -> tuple[float, np.ndarray]:
    """FRDvs, sum_k sum_{n,m} ||p_nk - p_mk||^2 / (N (N-1) K T C), and jackknife values per clip.

    Those are n D - (n - 1) D_without_i, re-centred: their mean is the value, by linearity of pairs. With d_n the clips
    (K, T, C) less a common origin, which keeps large offsets out of the squares: squares (N,) are their squared norms,
    `norm` is that of their sum, cross() (N,) their inner products with it, size = K T C.
    """
    n = len(squares)
    if n < 2:
        return float("nan"), np.full(n, np.nan)
    # sum_{n,m} |d_n - d_m|^2 = 2 N sum_n |d_n|^2 - 2 |sum_n d_n|^2: pairs in closed form.
    total = 2 * n * sum(squares.tolist()) - 2 * norm
    value = (total if np.isnan(total) else max(0.0, total)) / (n * (n - 1) * size)
    if n < 3 or np.isnan(value):
        return value, np.full(n, value)
    distance = n * squares + squares.sum() - 2 * cross()  # sum over m of ||p_i - p_m||^2
    # FRDvs of the other n - 1 clips: all ordered pairs less the 2 (n - 1) that clip i takes part in.
    without = (value * n * (n - 1) - 2 * distance / size) / ((n - 1) * (n - 2))
    pseudo = n * value - (n - 1) * without
    return value, pseudo - pseudo.mean() + value

"""FRDvs: how much the reactions to different speakers differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def spread(squares: np.ndarray, cross: Callable[[], np.ndarray], norm: float, size: int) -> tuple[float, np.ndarray]:
    """FRDvs, sum_k sum_{n,m} ||p_nk - p_mk||^2 / (N (N-1) K T C), and jackknife values per clip.

    Those are n D - (n - 1) D_without_i, re-centred: their mean is the value, by linearity of pairs. With d_n the clips
    (K, T, C) less a common origin, which keeps large offsets out of the squares: squares (N,) are their squared norms,
    `norm` is that of their sum, cross() (N,) their inner products with it, size = K T C.
    """
    n = len(squares)
    if n < 2:
        return float("nan"), np.full(n, np.nan)
    total = 2 * n * sum(squares.tolist()) - 2 * norm
    value = (total if np.isnan(total) else max(0.0, total)) / (n * (n - 1) * size)
    if n < 3 or np.isnan(value):
        return value, np.full(n, value)
    distance = n * squares + squares.sum() - 2 * cross()  # sum over m of ||p_i - p_m||^2
    without = (value * n * (n - 1) - 2 * distance / size) / ((n - 1) * (n - 2))
    pseudo = n * value - (n - 1) * without
    return value, pseudo - pseudo.mean() + value

"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable


def ramp(warmup: int, *, steps: int | None = None) -> Callable[[int], float]:
    """Factor on the learning rate: linear from 1e-4 over `warmup` steps, then constant, or a cosine to 0.05 at `steps`."""

    def factor(step: int) -> float:
        if step < warmup:
            return 1e-4 + (1 - 1e-4) * step / warmup
        if steps is None:
            return 1.0
        return 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return factor

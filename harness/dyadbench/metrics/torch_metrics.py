"""The suites as torchmetrics classes, for training loops that validate with them.

Predictions are collected by clip, gathered over processes and scored once: a clip that a distributed sampler repeated
counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from dyadbench.metrics.arrays import score_arrays


class SuiteMetric(Metric):
    """`score_arrays(suite, pred=..., **references)` over batches.

    Args:
        suite: "react2024-official", "react2024" or "l2l".
        references: what `score_arrays` takes beside `pred`: `listener`, `speaker` and `appropriate` with one row a clip,
            or `target` and `speaker` of shape (N, T, 56).
        threads: CPU threads; never changes a number.
    """

    full_state_update = False
    clip: list[Tensor]
    pred: list[Tensor]

    def __init__(self, suite: str, references: Mapping[str, Any], threads: int = 1, **settings: Any):
        super().__init__(**settings)
        self.suite, self.references, self.threads = suite, dict(references), threads
        self.add_state("clip", [], dist_reduce_fx="cat")
        self.add_state("pred", [], dist_reduce_fx="cat")

    def update(self, pred: Tensor, clip: Tensor) -> None:
        """pred: (B, K, T, 25), or (B, T, 56) for "l2l"; clip: (B,) row of each in the references."""
        if len(pred) != len(clip):
            raise ValueError(f"{len(pred)} predictions for {len(clip)} clips")
        self.clip.append(clip.detach().long())
        self.pred.append(pred.detach())

    def compute(self) -> dict[str, float]:
        """Metrics by name. Raises ValueError where a clip of the references was not predicted."""
        clip, pred = (torch.cat(x) if isinstance(x, list) else x for x in (self.clip, self.pred))
        count = len(self.references["speaker"])
        rows: dict[int, int] = {}
        for row, number in enumerate(clip.tolist()):
            rows.setdefault(number, row)
        if strange := [n for n in rows if not 0 <= n < count]:
            raise ValueError(f"clip {strange[0]} is not one of the {count} of the references")
        if missing := [n for n in range(count) if n not in rows]:
            raise ValueError(f"{len(missing)} of {count} clips have no prediction, the first is {missing[0]}")
        ordered = pred[torch.tensor([rows[n] for n in range(count)], device=pred.device)]
        more: dict[str, Any] = {} if self.suite == "l2l" else {"threads": self.threads}
        return score_arrays(self.suite, pred=ordered, **self.references, **more)

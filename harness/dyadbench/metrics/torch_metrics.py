"""The suites as torchmetrics classes, for training loops that validate with them.

Predictions are collected by clip, gathered over processes and scored once: a clip that a distributed sampler repeated
counts once. Call `update` for every batch and `compute` once, when all clips were predicted:

    metric = SuiteMetric("react2024", {"listener": listener, "speaker": speaker, "appropriate": matrix})
    for pred, clip in batches:
        metric.update(pred, clip)
    scores = metric.compute()
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
        references: what `score_arrays` takes beside `pred`, one row per clip: `listener`, `speaker` and, for the REACT
            suites, `appropriate`.
        threads: CPU threads; they never change a number.
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
        """pred: (B, K, T, 25), or (B, T, 56) for "l2l", of any number type; clip: (B,) row of each in the references."""
        if len(pred) != len(clip):
            raise ValueError(f"{len(pred)} predictions for {len(clip)} clips")
        self.clip.append(clip.detach().long())
        self.pred.append(pred.detach().to(torch.promote_types(pred.dtype, torch.float32)))

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Refuses: torchmetrics would score the batch by itself, and a suite compares all clips of a split."""
        raise ValueError("a suite has no score per batch: call update(pred, clip) for every batch and compute() once")

    def sync(self, *arguments: Any, **options: Any) -> None:
        """Gathers over processes. One that was given no clip joins in with none, where torchmetrics would hang or abort."""
        if torch.distributed.is_available() and torch.distributed.is_initialized() and not self._is_synced:
            kinds: list[Any] = [None] * torch.distributed.get_world_size(self.process_group)
            own = (tuple(self.pred[0].shape[1:]), self.pred[0].dtype) if self.pred else None
            torch.distributed.all_gather_object(kinds, own, group=self.process_group)
            kind = next((each for each in kinds if each is not None), None)
            if own is None and kind is not None:
                self.clip.append(torch.empty(0, dtype=torch.long, device=self.device))
                self.pred.append(torch.empty(0, *kind[0], dtype=kind[1], device=self.device))
        super().sync(*arguments, **options)

    def compute(self) -> dict[str, float]:
        """Metrics by name. Raises ValueError where a clip of the references was not predicted."""
        count = len(self.references["speaker"])
        if len(self.clip) == 0:
            raise ValueError(f"none of the {count} clips has a prediction; call update(pred, clip) before compute()")
        clip, pred = (torch.cat(x) if isinstance(x, list) else x for x in (self.clip, self.pred))
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

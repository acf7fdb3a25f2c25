"""The suites as torchmetrics classes, for training loops that validate with them.

Predictions are collected by clip, gathered over processes and scored once: a clip that a distributed sampler repeated
counts once. Call `update` for every batch, `compute` once, when all clips were predicted, and then `reset`:

    metric = SuiteMetric("react2024", listener=listener, speaker=speaker, appropriate=matrix)
    for pred, clip in batches:
        metric.update(pred, clip)
    scores = metric.compute()
    metric.reset()  # before the next epoch
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from dyadbench.api import MotionSpace, Suite
from dyadbench.files.arrays import floats
from dyadbench.python.arrays import frames_of, score_arrays


class SuiteMetric(Metric):
    """`score_arrays(suite, pred=..., listener=..., ...)` over batches.

    Args:
        suite, listener, speaker, appropriate, lengths, space, threads: as `score_arrays` takes them, of all the clips that
            are validated on.

    `compute` scores the clips that were predicted. Where these are not all (a sanity check of two batches, `forward`), it
    scores that part among all listeners, and warns: such numbers are not comparable with those of all clips.
    """

    full_state_update = False
    clip: list[Tensor]
    pred: list[Tensor]

    def __init__(
        self, suite: str | Suite, *, listener: Any, speaker: Any, appropriate: Any = None, lengths: Any = None,
        space: MotionSpace | None = None, threads: int = 1, **settings: Any,
    ):  # fmt: skip
        super().__init__(**settings)
        self.suite, self.space, self.threads = suite, space, threads
        self.listener, self.speaker = floats(listener, "listener"), floats(speaker, "speaker")
        self.appropriate = None if appropriate is None else floats(appropriate, "appropriate")
        count = max(len(self.listener), len(self.speaker))
        self.lengths = frames_of(lengths, len(self.speaker), count, self.speaker.shape[1])
        self._alone = False  # whether a batch is scored by itself
        self.add_state("clip", [], dist_reduce_fx="cat")
        self.add_state("pred", [], dist_reduce_fx="cat")

    def __repr__(self) -> str:
        return f"SuiteMetric({self.suite!r}, {len(self.speaker)} clips)"

    def update(self, pred: Any, clip: Any) -> None:
        """pred: (B, K, T, C) or (B, T, C), a tensor or array of any number type; clip: (B,) row of each in the references.

        A batch that is padded to less than the longest clip may have fewer frames than the references. Raises ValueError
        where `clip` is no list of row numbers, or the predictions are of another shape than those before.
        """
        pred, clip = torch.as_tensor(pred).detach(), torch.as_tensor(clip).detach()
        if clip.dim() != 1 or clip.dtype == torch.bool or clip.is_floating_point() or clip.is_complex():
            raise ValueError(
                f"clip is {clip.dtype} of shape {tuple(clip.shape)}; the row number of each prediction is expected"
            )
        if pred.dim() not in (3, 4):
            raise ValueError(f"pred has shape {tuple(pred.shape)}; (clips, samples, frames, channels) is expected")
        if len(pred) != len(clip):
            raise ValueError(f"{len(pred)} predictions for {len(clip)} clips")
        missing = self.speaker.shape[1] - pred.shape[-2]
        rows = [n for n in clip.tolist() if 0 <= n < len(self.lengths)]
        if missing > 0 and all(self.lengths[n] <= pred.shape[-2] for n in rows):
            pred = torch.nn.functional.pad(pred, (0, 0, 0, missing))
        if isinstance(self.pred, list) and self.pred and pred.shape[1:] != self.pred[0].shape[1:]:
            now, before = (tuple(of.shape[1:]) for of in (pred, self.pred[0]))
            raise ValueError(
                f"predictions of shape {now} follow some of {before}; all clips need as many samples, frames and channels"
            )
        self.clip.append(clip.long())
        self.pred.append(pred.to(torch.promote_types(pred.dtype, torch.float32)))

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Collects the batch, and gives its scores by itself (torchmetrics' rule); `update` is faster and gives none."""
        self._alone = True
        try:
            return super().forward(*arguments, **named)
        finally:
            self._alone = False

    def sync(self, *arguments: Any, **options: Any) -> None:
        """Gathers over processes. One that was given no clip joins in with none, where torchmetrics would hang or abort."""
        if self._several_processes() and not self._is_synced:
            kinds: list[Any] = [None] * torch.distributed.get_world_size(self.process_group)
            own = (tuple(self.pred[0].shape[1:]), self.pred[0].dtype) if self.pred else None
            torch.distributed.all_gather_object(kinds, own, group=self.process_group)
            kind = next((each for each in kinds if each is not None), None)
            if own is None and kind is not None:
                self.clip.append(torch.empty(0, dtype=torch.long, device=self.device))
                self.pred.append(torch.empty(0, *kind[0], dtype=kind[1], device=self.device))
        super().sync(*arguments, **options)

    def compute(self) -> dict[str, float]:
        """Metrics by name. Raises ValueError where nothing was predicted, a clip that the references do not have, or, in one
        process, one clip twice and differently."""
        count = len(self.speaker)
        if len(self.clip) == 0:
            raise ValueError(f"none of the {count} clips has a prediction; call update(pred, clip) before compute()")
        clip, pred = (torch.cat(x) if isinstance(x, list) else x for x in (self.clip, self.pred))
        rows: dict[int, int] = {}
        for row, number in enumerate(clip.tolist()):
            first = rows.setdefault(number, row)
            if first != row and not self._several_processes() and not torch.equal(pred[first], pred[row]):
                raise ValueError(f"clip {number} was predicted twice, and differently; call reset() after compute()")
        if strange := [n for n in rows if not 0 <= n < count]:
            raise ValueError(f"clip {strange[0]} is not one of the {count} of the references")
        there = np.array(sorted(rows))
        if len(there) < count and not self._alone:
            warnings.warn(f"{self!r} scores the {len(there)} clips that were predicted, not all {count}", stacklevel=2)
        ordered = pred[torch.tensor([rows[n] for n in there.tolist()], device=pred.device)]
        return score_arrays(self.suite, pred=ordered, space=self.space, threads=self.threads, **self._references(there))

    def _several_processes(self) -> bool:
        """Whether others predict, too; their sampler repeats clips where these cannot be dealt evenly."""
        there = torch.distributed.is_available() and torch.distributed.is_initialized()
        return there and torch.distributed.get_world_size(self.process_group) > 1

    def _references(self, there: NDArray[np.int64]) -> dict[str, Any]:
        """Those of the clips `there`, first; where any listener may be appropriate, the others follow."""
        if self.appropriate is None:
            order = there
            matrix = None
        else:
            rest = np.setdiff1d(np.arange(len(self.listener)), there)
            order = np.concatenate([there, rest])
            matrix = self.appropriate[np.ix_(there, order)]
        return {
            "listener": self.listener[order],
            "speaker": self.speaker[there],
            "appropriate": matrix,
            "lengths": self.lengths[order],
        }

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Every metric as a point (matplotlib): of `val`, one result of `compute` or a list of them over time."""
        values = self.compute() if val is None else val
        as_tensors = lambda each: {name: torch.as_tensor(value) for name, value in each.items()}  # noqa: E731  # a name for one expression
        return self._plot([as_tensors(one) for one in values] if isinstance(values, list) else as_tensors(values), ax)

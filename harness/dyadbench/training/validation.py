"""Validation of one stage over fixed windows, and what the true speaker is worth there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dyadbench.api import DyadbenchError, Stage
from dyadbench.registry.chance import seed_everything
from dyadbench.training.windows import WindowSource

BATCHES = 8  # at most; a validation must not cost more than the training between two of them


@dataclass(frozen=True)
class Validation:
    """The validation windows of one stage. `seed_of` gives the seed of each batch: a loss may draw masks or noise."""

    stage: Stage
    windows: WindowSource
    device: torch.device
    seed_of: Callable[[int], int]

    def means(self, stranger: Sequence[str] = ()) -> dict[str, float]:
        """The mean of each metric over the batches that have it; `stranger` as in `WindowSource.sweep`."""
        values_of: dict[str, list[float]] = {}
        count = 0
        with torch.no_grad():
            for batch in self.windows.sweep(self.stage.windows, self.device, BATCHES, stranger=stranger):
                # The same draws at every validation: their values differ by the weights alone.
                seed_everything(self.seed_of(count))
                if self.stage.validate is not None:
                    values = self.stage.validate(batch)
                else:
                    loss = self.stage.loss(batch)
                    values = {"loss": sum(number(v) for v in loss.total.values()), **loss.log}
                for name, value in values.items():
                    if not math.isfinite(each := number(value)):
                        raise DyadbenchError(
                            f"validation of stage {self.stage.name!r}: {name!r} is {each} on clips {', '.join(batch.clips[:8])}; leave out a "
                            "metric that a batch does not have"
                        )
                    values_of.setdefault(name, []).append(each)
                count += 1
        return {name: sum(values) / len(values) for name, values in values_of.items()}

    def speaker_gain(self, true: Mapping[str, float]) -> dict[str, float]:
        """By how much the validation loss grows if the speaker is one of another session: 0 for a method that is deaf.

        `true`: the `means` with the true speaker. In the unit of the loss that selects the weights, which is each method's own. Also for the face and the sound alone.
        """
        loss = self.stage.select or next(iter(true))
        swaps: dict[str, tuple[str, ...]] = {"speaker_gain": ("face", "sound")}
        if self.stage.windows.audio:
            swaps |= {"speaker_gain.face": ("face",), "speaker_gain.sound": ("sound",)}
        return {name: self.means(swap)[loss] - true[loss] for name, swap in swaps.items()}


def number(value: Any) -> float:
    """A metric as a number, whether it is a tensor or one already."""
    return float(value.detach() if isinstance(value, Tensor) else value)

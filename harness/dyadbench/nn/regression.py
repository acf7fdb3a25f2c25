"""An auxiliary regression from the speaker to the listener, for predictors of tokens.

A predictor that reads its own past learns little of the speaker, because the past tells it the next token. A linear
readout of what it encodes of the speaker, trained on the listener's motion beside the tokens, asks the encoder for what a
linear regression finds there. Sampling does not use it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dyadbench.api import TrainData
from dyadbench.nn.inputs import CLIPS, moments
from dyadbench.nn.losses import masked_mean
from dyadbench.nn.speaker_settings import RegressTo


class SpeakerRegression(nn.Module):
    """Linear, from the encoded speaker (..., dim) to the listener's D coefficients at the same position.

    With target "stranger" it is a placebo: each row is regressed to the listener of another row of the batch, of whom the
    speaker says nothing. What a method gains by that, any second loss gives. A batch of one row has no stranger: its error is 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, channels: int, target: RegressTo = "listener"):
        super().__init__()
        self.target = target
        self.readout = nn.Linear(dim, channels)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def measure(self, data: TrainData) -> None:
        """Takes the mean and the spread of training listeners, in which the error is measured."""
        clips = zip(range(CLIPS), data.dyads("train"), strict=False)
        mean, scale = moments([torch.from_numpy(dyad.listener.motion) for _, dyad in clips])
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def forward(self, heard: Tensor, motion: Tensor, valid: Tensor) -> Tensor:
        """Mean squared error per standardised channel, (): 1 is what the mean listener has.

        heard: (B, n, dim); motion: (B, n, D); valid: (B, n) bool, positions that exist.
        """
        if self.target == "stranger":
            motion, valid = motion.roll(1, 0), valid & valid.roll(1, 0) & (len(motion) > 1)
        return masked_mean((self.readout(heard) - (motion - self.mean) / self.scale).square(), valid)

"""The conditional, recurrent flow of Let's Face It (Jonell et al., IVA 2020, sections 4.1 and 4.2; after MoGlow, 1905.06598).

B rows, T frames, D motion channels, P frames of the listener's own past, F audio features, H channels of what is heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.nn.flows import ActNorm, AffineCoupling, LULinear

ROWS = 4096  # histories that go through a GRU at once, when no gradient is needed
CHUNK = 32  # frames whose part of the condition that comes from the speaker is computed at once


@dataclass(frozen=True)
class Stream:
    """One thing that a frame is told through a GRU: its channels, the last `past` frames, the GRU's size."""

    channels: int
    past: int
    hidden: int


def histories(track: Tensor, past: int) -> Tensor:
    """The last `past` frames up to each frame of a track (B, T, C), zeros before its start: (B, T, past, C)."""
    return F.pad(track, (0, 0, past - 1, 0)).unfold(1, past, 1).transpose(2, 3)


class Recall(nn.Module):
    """What a GRU makes of the last frames; it starts from zeros at every frame anew."""

    def __init__(self, stream: Stream, copies: bool):
        super().__init__()
        self.past, self.copies = stream.past, copies
        self.gru = nn.GRU(stream.channels, stream.hidden, batch_first=True)

    def forward(self, track: Tensor, first: int = 0, keep: Tensor | None = None) -> Tensor:
        """track (B, T, C) -> (B, T - first, out), for the frames from `first` on.

        keep (B, T - first, past): factors on the frames of each history, drawn in training.
        """
        past = histories(track, self.past)[:, first:]  # (B, T - first, past, C)
        if keep is not None:
            past = past * keep[..., None]
        rows = past.flatten(0, 1)
        parts = (rows,) if torch.is_grad_enabled() else rows.split(ROWS)
        last = torch.cat([self.gru(part)[1][0] for part in parts]).unflatten(0, past.shape[:2])
        # For one layer the last output IS the last state: the release's condition holds these numbers twice.
        return torch.cat([last, last], -1) if self.copies else last


class Conditioner(nn.Module):
    """What a coupling shifts and scales by. Its state goes on from frame to frame."""

    def __init__(self, first: int, rest: int, own: int, told: int, *, condition: int, hidden: int):
        super().__init__()
        self.own = own
        self.condition = nn.Linear(own + told, condition)
        self.gru = nn.GRU(first + condition, hidden, batch_first=True)
        self.out, self.log_gain = nn.Linear(hidden, 2 * rest), nn.Parameter(torch.zeros(2 * rest))
        nn.init.zeros_(self.out.weight)  # a flow that starts as ActNorms and rotations alone
        nn.init.zeros_(self.out.bias)

    def told(self, heard: Tensor) -> Tensor:
        """The speaker's part of `condition`, which all samples of a clip share: (..., H) -> (..., condition)."""
        return F.linear(heard, self.condition.weight[:, self.own :])

    def forward(self, first: Tensor, own: Tensor, told: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """first (B, T, D // 2), own (B, T, P D), told (B, T, condition) -> (B, T, 2 rest), the state (1, B, hidden)."""
        condition = F.linear(own, self.condition.weight[:, : self.own], self.condition.bias) + told
        hidden, state = self.gru(torch.cat([first, F.leaky_relu(condition)], -1), state)
        return self.out(hidden) * (3 * self.log_gain).exp(), state


class FlowStep(nn.Module):
    """ActNorm, invertible linear map, coupling."""

    def __init__(self, channels: int, conditioner: Conditioner, *, true_logdet: bool):
        super().__init__()
        self.norm, self.linear = ActNorm(channels), LULinear(channels)
        self.coupling, self.conditioner = AffineCoupling(channels, conditioner), conditioner
        # Glow multiplies by the number of pixels; the release kept that line with the number of channels in its place.
        self.counted = 1 if true_logdet else channels

    def forward(self, x: Tensor, own: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D) -> latent (B, T, D), log-determinants (B, T); over time from a state of zeros."""
        x, normed = self.norm(x)
        x, mixed = self.linear(x)
        x, coupled, _ = self.coupling(x, own, self.conditioner.told(heard), None)
        return x, coupled + self.counted * (normed + mixed)

    def undo(self) -> tuple[Tensor, Tensor]:
        """The inverse of the linear map and ActNorm together: x = z @ matrix + shift."""
        matrix = torch.linalg.inv(self.linear.matrix()).T * (-self.norm.log_scale).exp()
        return matrix, -self.norm.shift


class ListenerFlow(nn.Module):
    """A frame's likelihood given its own past and the speaker's streams ("face", "sound"). Motion is standardised inside."""

    def __init__(
        self, channels: int, streams: Mapping[str, Stream], *, own_past: int, flow_steps: int, condition: int,
        hidden: int, copies: bool = True, true_logdet: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.channels, self.own_past = channels, own_past
        for name, size in {"own": channels, **{name: stream.channels for name, stream in streams.items()}}.items():
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("tricked", torch.tensor(True))  # whether the release's mismatch trick is still on
        self.recall = nn.ModuleDict({name: Recall(stream, copies) for name, stream in streams.items()})
        told = sum(stream.hidden for stream in streams.values()) * (2 if copies else 1)
        own = own_past * channels
        first = channels // 2
        self.flow = nn.ModuleList(
            FlowStep(
                channels,
                Conditioner(first, channels - first, own, told, condition=condition, hidden=hidden),
                true_logdet=true_logdet,
            )
            for _ in range(flow_steps)
        )

    @property
    def steps(self) -> list[FlowStep]:
        return list(cast("Iterable[FlowStep]", self.flow))

    def standardised(self, name: str, values: Tensor) -> Tensor:
        """Frames of "own", "face" or "sound" in units of the training split's deviation."""
        return (values - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_scale")

    def heard(self, tracks: Mapping[str, Tensor], first: int = 0, keep: Mapping[str, Tensor] | None = None) -> Tensor:
        """What each frame from `first` on is told of the speaker: standardised tracks (B, T, C) -> (B, T - first, H)."""
        return torch.cat(
            [part(tracks[name], first, keep[name] if keep else None) for name, part in self.recall.items()], -1
        )

    def own(self, motion: Tensor, first: int, keep: Tensor | None = None) -> Tensor:
        """The P frames before each frame from `first` on: standardised (B, T, D) -> (B, T - first, P D).

        keep (B, T - first, P): factors on these frames, drawn in training.
        """
        past = histories(motion, self.own_past + 1)[:, first:, :-1]
        return (past if keep is None else past * keep[..., None]).flatten(2)

    def bits(self, motion: Tensor, own: Tensor, heard: Tensor) -> Tensor:
        """-log2 of each standardised frame's density: motion (B, T, D), own (B, T, P D), heard (B, T, H) -> (B, T)."""
        z, total = motion, motion.new_zeros(motion.shape[:2])
        for step in self.steps:
            z, logdet = step(z, own, heard)
            total = total + logdet
        prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        return -(prior + total) / math.log(2)

    def generate(self, heard: Tensor, noise: Tensor) -> Tensor:
        """Frame by frame from a still, average face: heard (B, T, H), latent noise (B K, T, D) -> standardised motion."""
        each = len(noise) // len(heard)
        past = noise.new_zeros(len(noise), self.own_past, self.channels)
        states: list[Tensor | None] = [None] * len(self.flow)
        undo = [step.undo() for step in self.steps]
        frames: list[Tensor] = []
        for part, drawn in zip(heard.split(CHUNK, 1), noise.split(CHUNK, 1), strict=True):
            told = [step.conditioner.told(part) for step in self.steps]  # flow steps x (B, n, condition)
            for t in range(part.shape[1]):
                now = [each_step[:, t : t + 1].repeat_interleave(each, 0) for each_step in told]
                frame = self._frame(drawn[:, t : t + 1], past.flatten(1)[:, None], now, states, undo)
                past = torch.cat([past[:, 1:], frame], 1)
                frames.append(frame)
        return torch.cat(frames, 1)

    def _frame(
        self, z: Tensor, own: Tensor, told: Sequence[Tensor], states: list[Tensor | None],
        undo: Sequence[tuple[Tensor, Tensor]],
    ) -> Tensor:  # fmt: skip
        """z (R, 1, D) -> motion (R, 1, D); `states` of the flow steps move on."""
        for k in range(len(undo) - 1, -1, -1):
            z, states[k] = self.steps[k].coupling.inverse(z, own, told[k], states[k])
            matrix, shift = undo[k]
            z = z @ matrix + shift
        return z

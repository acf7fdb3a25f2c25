"""The conditional, recurrent flow of Let's Face It (Jonell et al., IVA 2020, sections 4.1 and 4.2; after MoGlow, 1905.06598).

B rows, T frames, D motion channels, P frames of the listener's own past, F audio features, H channels of the encoded speaker.
R = B * K rows when K samples per clip are generated.
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

ROWS = 4096  # histories per pass of a GRU when no gradient is needed, to limit memory
CHUNK = 32  # frames per pass of the speaker's part of the condition, to limit memory


@dataclass(frozen=True)
class Stream:
    """An input that reaches a frame through a GRU: its channels, the number of past frames, the GRU's size."""

    channels: int
    past: int
    hidden: int


def histories(track: Tensor, past: int) -> Tensor:
    """The last `past` frames up to each frame of a track (B, T, C), zeros before its start: (B, T, past, C)."""
    return F.pad(track, (0, 0, past - 1, 0)).unfold(1, past, 1).transpose(2, 3)


class Recall(nn.Module):
    """A GRU over the last frames of a stream. It starts from zeros for every frame, so only those frames matter."""

    def __init__(self, stream: Stream, copies: bool):
        super().__init__()
        self.past, self.copies = stream.past, copies
        self.gru = nn.GRU(stream.channels, stream.hidden, batch_first=True)

    def forward(self, track: Tensor, first: int = 0, dropout: Tensor | None = None) -> Tensor:
        """track (B, T, C) -> (B, T - first, out), for the frames from `first` on.

        dropout (B, T - first, past): factors on the frames of each history, in training.
        """
        past = histories(track, self.past)[:, first:]  # (B, T - first, past, C)
        if dropout is not None:
            past = past * dropout[..., None]
        rows = past.flatten(0, 1)
        parts = (rows,) if torch.is_grad_enabled() else rows.split(ROWS)
        last = torch.cat([self.gru(part)[1][0] for part in parts]).unflatten(0, past.shape[:2])
        # For one layer the last output IS the last state: the release's condition holds these numbers twice.
        return torch.cat([last, last], -1) if self.copies else last


class Conditioner(nn.Module):
    """Gives the shift and scale of a coupling. Its recurrent state continues from frame to frame."""

    def __init__(self, first: int, rest: int, own: int, speaker: int, *, condition: int, hidden: int):
        super().__init__()
        self.own = own
        self.condition = nn.Linear(own + speaker, condition)
        self.gru = nn.GRU(first + condition, hidden, batch_first=True)
        self.out, self.log_gain = nn.Linear(hidden, 2 * rest), nn.Parameter(torch.zeros(2 * rest))
        nn.init.zeros_(self.out.weight)  # the flow starts as ActNorms and rotations alone, which is stable
        nn.init.zeros_(self.out.bias)

    def speaker_part(self, speaker: Tensor) -> Tensor:
        """The speaker's part of the linear map `condition`: (..., H) -> (..., condition).

        All samples of a clip share it, so it is computed once.
        """
        return F.linear(speaker, self.condition.weight[:, self.own :])

    def forward(self, first: Tensor, own: Tensor, speaker: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """first (B, T, D // 2), own (B, T, P D), speaker (B, T, condition) -> (B, T, 2 rest), the state (1, B, hidden)."""
        condition = F.linear(own, self.condition.weight[:, : self.own], self.condition.bias) + speaker
        hidden, state = self.gru(torch.cat([first, F.leaky_relu(condition)], -1), state)
        return self.out(hidden) * (3 * self.log_gain).exp(), state


class FlowStep(nn.Module):
    """ActNorm, invertible linear map, coupling."""

    def __init__(self, channels: int, conditioner: Conditioner, *, true_logdet: bool):
        super().__init__()
        self.norm, self.linear = ActNorm(channels), LULinear(channels)
        self.coupling, self.conditioner = AffineCoupling(channels, conditioner), conditioner
        # Image Glow counts these log-determinants once per pixel; the release counts them once per channel.
        self.counted = 1 if true_logdet else channels

    def forward(self, x: Tensor, own: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D) -> latent (B, T, D), log-determinants (B, T); the recurrent state starts from zeros."""
        x, log_det_norm = self.norm(x)
        x, log_det_linear = self.linear(x)
        x, log_det_coupling, _ = self.coupling(x, own, self.conditioner.speaker_part(speaker), None)
        return x, log_det_coupling + self.counted * (log_det_norm + log_det_linear)

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
        self.register_buffer("tricked", torch.tensor(True))  # the release's mismatch trick is still on
        self.recall = nn.ModuleDict({name: Recall(stream, copies) for name, stream in streams.items()})
        speaker = sum(stream.hidden for stream in streams.values()) * (2 if copies else 1)
        own = own_past * channels
        first = channels // 2
        self.flow = nn.ModuleList(
            FlowStep(
                channels,
                Conditioner(first, channels - first, own, speaker, condition=condition, hidden=hidden),
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

    def speaker(
        self, tracks: Mapping[str, Tensor], first: int = 0, dropout: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The encoded speaker for each frame from `first` on: standardised tracks (B, T, C) -> (B, T - first, H)."""
        return torch.cat(
            [part(tracks[name], first, dropout[name] if dropout else None) for name, part in self.recall.items()], -1
        )

    def own(self, motion: Tensor, first: int, dropout: Tensor | None = None) -> Tensor:
        """The P frames before each frame from `first` on: standardised (B, T, D) -> (B, T - first, P D).

        dropout (B, T - first, P): factors on these frames, in training.
        """
        past = histories(motion, self.own_past + 1)[:, first:, :-1]
        return (past if dropout is None else past * dropout[..., None]).flatten(2)

    def bits(self, motion: Tensor, own: Tensor, speaker: Tensor) -> Tensor:
        """-log2 of each standardised frame's density: motion (B, T, D), own (B, T, P D), speaker (B, T, H) -> (B, T).

        Change of variables: log p(x) = log N(z; 0, 1) + the sum of the steps' log-determinants.
        """
        z, total = motion, motion.new_zeros(motion.shape[:2])
        for step in self.steps:
            z, logdet = step(z, own, speaker)
            total = total + logdet
        prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        return -(prior + total) / math.log(2)

    def generate(self, speaker: Tensor, noise: Tensor) -> Tensor:
        """Generates frame by frame from a still, average face: speaker (B, T, H), latent noise (R, T, D) -> (R, T, D)."""
        samples = len(noise) // len(speaker)
        past = noise.new_zeros(len(noise), self.own_past, self.channels)
        states: list[Tensor | None] = [None] * len(self.flow)
        undo = [step.undo() for step in self.steps]
        frames: list[Tensor] = []
        for part, latent in zip(speaker.split(CHUNK, 1), noise.split(CHUNK, 1), strict=True):
            speaker_parts = [
                step.conditioner.speaker_part(part) for step in self.steps
            ]  # flow steps x (B, n, condition)
            for t in range(part.shape[1]):
                speaker_now = [
                    part_of_step[:, t : t + 1].repeat_interleave(samples, 0) for part_of_step in speaker_parts
                ]
                frame = self._frame(latent[:, t : t + 1], past.flatten(1)[:, None], speaker_now, states, undo)
                past = torch.cat([past[:, 1:], frame], 1)
                frames.append(frame)
        return torch.cat(frames, 1)

    def _frame(
        self, z: Tensor, own: Tensor, speaker: Sequence[Tensor], states: list[Tensor | None],
        undo: Sequence[tuple[Tensor, Tensor]],
    ) -> Tensor:  # fmt: skip
        """z (R, 1, D) -> motion (R, 1, D), through the inverse steps in reverse order. Updates `states`."""
        for k in range(len(undo) - 1, -1, -1):
            z, states[k] = self.steps[k].coupling.inverse(z, own, speaker[k], states[k])
            matrix, shift = undo[k]
            z = z @ matrix + shift
        return z

"""A small causal convolution network that regresses the listener from the speaker: the nonlinear opponent to beat.

It has no tokens, no past of its own and no likelihood: squared error alone decides, so its capacity goes to the speaker. Like
every regression it predicts the mean of what may follow, which moves too little. `spread` says what is done about that.

B clips, K samples, T frames, F input channels, C output channels (motion, then emotion where the dataset has it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dyadbench.api import (
    Context,
    Loss,
    Needs,
    Noise,
    Optimiser,
    Reaction,
    Setup,
    Stage,
    Track,
    TrainData,
    WindowBatch,
    Windows,
)
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.emotion import emotion_output
from dyadbench.nn.inputs import CLIPS, audio_of, beside, moments
from dyadbench.nn.losses import masked_mean
from dyadbench.nn.schedules import ramp
from dyadbench_baselines.config import TcnConfig

SILENT = 1e-4  # of a listener's deviation: what moves less is rounding, and nothing is multiplied up from it


class CausalBlock(nn.Module):
    """Residual block of one dilated convolution that sees this frame and `kernel - 1` earlier ones."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        past = self.norm(x).transpose(1, 2)  # (B, H, T)
        # Before the first frame counts as the first frame, at every layer: as if the clip had stood still before.
        padded = torch.cat([past[..., :1].expand(-1, -1, self.reach), past], -1)
        hidden = nn.functional.gelu(self.convolution(padded)).transpose(1, 2)  # (B, T, H)
        return x + self.drop(self.out(hidden))


class CausalNet(nn.Module):
    """Standardised inputs (B, T, F) and their running means -> standardised predictions (B, T, C)."""

    def __init__(self, inputs: int, outputs: int, config: TcnConfig, residual_frames: int):
        super().__init__()
        self.embed = nn.Linear(2 * inputs, config.width)
        self.blocks = nn.Sequential(
            *(CausalBlock(config.width, config.kernel, 2**n, config.dropout) for n in range(config.layers))
        )
        self.readout = nn.Linear(config.width, outputs)
        nn.init.zeros_(self.readout.weight)  # the mean listener is where a regression begins
        nn.init.zeros_(self.readout.bias)
        for name, size in (("input", inputs), ("output", outputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("factor", torch.ones(outputs))  # (C,) of `spread = "matched"`
        self.register_buffer("residuals", torch.zeros(config.residuals, residual_frames, outputs))  # (P, T, C)
        self.register_buffer("residual_frames", torch.zeros(config.residuals, dtype=torch.int64))  # (P,) 0: none

    def standard(self, what: str, values: Tensor) -> Tensor:
        """Inputs or outputs (..., C) in training deviations from the training mean."""
        return (values - self.get_buffer(f"{what}_mean")) / self.get_buffer(f"{what}_scale")

    def forward(self, inputs: Tensor) -> Tensor:
        standard = self.standard("input", inputs)
        age = torch.arange(1, inputs.shape[1] + 1, device=inputs.device, dtype=torch.float64)
        # In float64, or the sum of a long clip would lose what its last frame adds.
        running = (standard.double().cumsum(1) / age[:, None]).to(standard)
        predicted: Tensor = self.readout(self.blocks(self.embed(torch.cat([standard, running], -1))))
        return predicted


class Tcn(NetComponent[CausalNet]):
    """api.Predictor and api.Trainable in any motion space, with or without emotion and sound. Strictly causal."""

    def __init__(self, config: TcnConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.audio = audio_of(config.audio, setup, prefer=("mfcc-78",), who="tcn")
        self.frames = round(config.seconds * setup.space.fps)
        felt = 25 if setup.has_emotion else 0
        inputs = setup.space.dim + felt + (setup.audio[self.audio].dim if self.audio else 0)
        self.build_net(lambda: CausalNet(inputs, setup.space.dim + felt, config, self.frames), setup)
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=0)

    # --- training ---------------------------------------------------------------------------------------

    def _inputs(self, motion: Tensor, emotion: Tensor | None, audio: Mapping[str, Any]) -> Tensor:
        """The speaker's tracks beside each other (B, T, F); a frame's sound is the mean of its rows."""
        face = beside(motion, emotion)
        if not self.audio:
            return face
        return torch.cat([face, audio[self.audio].unflatten(1, (motion.shape[1], -1)).mean(2)], -1)

    def _errors(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Standardised predictions and residuals (B, T, C) of the window's frames."""
        target = self.net.standard("output", beside(batch.listener_motion, batch.listener_emotion))
        predicted = self.net(self._inputs(batch.speaker_motion, batch.speaker_emotion, batch.audio))
        return predicted, target - predicted

    def _loss(self, batch: WindowBatch) -> Loss:
        """Mean squared error per standardised channel: 1 is what the mean listener has."""
        _, error = self._errors(batch)
        return Loss({"all": masked_mean(error.square(), batch.valid)})

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._standardise(data)
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, weight_decay=config.weight_decay,
            schedule=ramp(config.warmup, steps=config.steps),
        )  # fmt: skip
        yield Stage(
            "regression", self.net, Windows(self.frames, config.batch, self.needs.audio), self._loss, (adam,), config.steps,
            validate_every=config.validate_every, select="loss" if config.validate_every else None, clip_norm=1.0,
        )  # fmt: skip
        self.net.eval()
        self._measure(data)

    def _clips(self, data: TrainData, split: str, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (T, F) and targets (T, C) of about `count` clips, spread over the split."""
        step = max(1, len(data.clips(split)) // count)
        for number, dyad in enumerate(data.dyads(split, self.needs.audio)):
            if number % step == 0 and number < step * count:
                frames = dyad.clip.frames
                motion, emotion, sound = self._tensors(dyad.speaker)
                listener, felt, _ = self._tensors(dyad.listener)
                yield self._inputs(motion, emotion, sound)[0, :frames], beside(listener, felt)[0, :frames]

    def _tensors(self, track: Track) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """A track as a batch of one."""
        emotion = None if track.emotion is None else to_tensor(track.emotion, self.device)[None]
        audio = {name: to_tensor(values, self.device)[None] for name, values in track.audio.items()}
        return to_tensor(track.motion, self.device)[None], emotion, audio

    def _standardise(self, data: TrainData) -> None:
        inputs, outputs = zip(*self._clips(data, "train", CLIPS), strict=True)
        for name, parts in (("input", inputs), ("output", outputs)):
            mean, scale = moments(parts)
            self.net.get_buffer(f"{name}_mean").copy_(mean)
            self.net.get_buffer(f"{name}_scale").copy_(scale)

    @torch.no_grad()
    def _measure(self, data: TrainData) -> None:
        """Stores residuals and the factors of "matched", from clips that were not trained on where there are some.

        A network knows its training clips too well: its predictions move more there, and its residuals less.
        """
        stored, lengths = self.net.get_buffer("residuals"), self.net.get_buffer("residual_frames")
        lengths.zero_()
        predictions = []
        split = "val" if data.clips("val") else "train"
        for row, (inputs, target) in enumerate(self._clips(data, split, self.config.residuals)):
            predictions.append(self.net(inputs[None])[0])  # (T, C)
            residual = (self.net.standard("output", target) - predictions[-1])[: self.frames]
            stored[row, : len(residual)], lengths[row] = residual, len(residual)
        deviation = torch.cat(predictions).square().mean(0).sqrt()  # (C,) from the training mean
        varies = deviation > SILENT
        self.net.get_buffer("factor").copy_(torch.where(varies, 1 / deviation.clamp_min(SILENT), 0))

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames. "matched" makes them equal."""
        self.net.eval()
        emotion = None if context.speaker_emotion is None else to_tensor(context.speaker_emotion, self.device)
        audio = {name: to_tensor(values, self.device) for name, values in context.audio.items()}
        predicted = self.net(self._inputs(to_tensor(context.speaker_motion, self.device), emotion, audio))  # (B, T, C)
        if self.config.spread == "matched":
            out = (predicted * self.net.get_buffer("factor"))[:, None].expand(-1, k, -1, -1)
        elif self.config.spread == "sampled":
            out = predicted[:, None] + self._residuals(context, k, noise)  # (B, K, T, C)
        else:
            out = predicted[:, None].expand(-1, k, -1, -1)
        out = out * self.net.get_buffer("output_scale") + self.net.get_buffer("output_mean")
        dim = self.setup.space.dim
        felt = emotion_output(out[..., dim:], "valid").cpu().numpy() if self.setup.has_emotion else None
        return Reaction(out[..., :dim].cpu().numpy(), felt)

    def _residuals(self, context: Context, k: int, noise: Noise) -> Tensor:
        """(B, K, T, C): for every sample the residuals of one listener, from its first frame on and around again."""
        lengths = self.net.get_buffer("residual_frames")
        count = int((lengths > 0).sum())
        rows = [[int(noise.stream(clip, n).integers(count)) for n in range(k)] for clip in context.clips]
        picked = torch.tensor(rows, device=self.device)  # (B, K)
        frames = torch.arange(context.frames, device=self.device) % lengths[picked][..., None]  # (B, K, T)
        return self.net.get_buffer("residuals")[picked[..., None], frames]

"""Settings of Trans-VAE and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import Config


class TransVAEConfig(Config):
    """`trans-vae`. Defaults are those of the REACT baseline's README command."""

    sampling: ClassVar[frozenset[str]] = frozenset({"emotion"})

    audio: str = "auto"  # a feature's name, "auto" (mfcc-78, else the first) or "none"
    video: str = "none"  # a feature of the video frames, such as "video-features"; none: motion and emotion
    emotion: Literal["valid", "raw", "rounded"] = "valid"
    dim: PositiveInt = 128
    heads: PositiveInt = 4
    hidden: PositiveInt = 256
    dropout: float = Field(0.1, ge=0, lt=1)
    kl: float = Field(1e-5, ge=0)
    diversity: float = Field(10.0, ge=0)
    head_weight: float = Field(10.0, ge=0)  # weight of rotation, translation and jaw; expression has weight 1
    frames: PositiveInt = 256  # of a training window
    batch: PositiveInt = 4
    steps: PositiveInt = 40_000
    lr: float = Field(1e-5, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    validate_every: int = Field(8_000, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> TransVAEConfig:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by {self.heads} heads")
        return self


class OnlineConfig(TransVAEConfig):
    """`trans-vae-online`."""

    sampling: ClassVar[frozenset[str]] = frozenset({"emotion", "tail"})
    added: ClassVar[frozenset[str]] = frozenset({"train_window"})

    window: PositiveInt = 8  # frames generated at once
    train_window: int = Field(0, ge=0)  # the same in training; 0: `window`. The release's README has 16
    delay: int = Field(0, ge=0)  # frames by which the speaker's input is delayed; window - 1 makes the look-ahead 0
    tail: Literal["generate", "zeros"] = "generate"  # frames after the last whole window; zeros in the release

    @model_validator(mode="after")
    def _useful(self) -> OnlineConfig:
        if self.delay >= self.frames:
            raise ValueError(f"delay = {self.delay} is not shorter than a training window of {self.frames} frames")
        return self


_SMALL: dict[str, Any] = {
    "dim": 64, "hidden": 128, "dropout": 0.0, "frames": 128, "batch": 16, "steps": 2000, "lr": 1e-3, "validate_every": 200,
}  # fmt: skip
_SMOKE: dict[str, Any] = {
    "dim": 16, "heads": 2, "hidden": 16, "frames": 32, "steps": 12, "lr": 3e-3, "validate_every": 0,
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "released": {"emotion": "raw"}, "small": _SMALL, "smoke": _SMOKE}
ONLINE_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"emotion": "raw", "tail": "zeros", "train_window": 16},
    "small": {**_SMALL, "frames": 64, "delay": 7, "steps": 1500},
    "smoke": {**_SMOKE, "delay": 7},
}

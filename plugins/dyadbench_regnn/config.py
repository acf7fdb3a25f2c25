"""Settings of REGNN and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import Config


class RegnnConfig(Config):
    """`regnn`. Defaults are the released values, or the corrected behaviour where the release errs."""

    sampling: ClassVar[frozenset[str]] = frozenset(
        {"noise", "sigma", "noise_max", "iterations", "tolerance", "emotion"}
    )

    channels: Literal["emotion", "motion"] = "emotion"  # of the reaction; the paper's are the 25 of emotion
    hears: Literal["present", "past"] = "present"  # the speaker's window: the same frames, or those just before
    audio: str = "auto"  # a feature's name, "auto" (mfcc-78, mel-128, else the first) or "none"
    video: str = "none"  # a feature of the video frames (video-features) that replaces motion and emotion
    # each row of a graph keeps its own neighbours, or those of all rows in the sum of the graphs, as in the release
    mask: Literal["top5", "union", "off"] = "top5"
    neighbours: PositiveInt = 5  # entries that a row of the graph keeps
    noise: Literal["fixed", "released"] = "fixed"  # released: divided by the largest entry of the whole clip's noise
    sigma: float = Field(0.058, ge=0)  # fixed: deviation of the noise on the code
    noise_max: float = Field(0.06, ge=0)  # released: square of the largest entry
    iterations: PositiveInt = 50  # of the motor's inverse, at most
    tolerance: float = Field(1e-5, gt=0)  # the inverse stops when no entry changes by more
    emotion: Literal["valid", "raw", "rounded"] = "valid"  # within the ranges of its channels; raw as in the release
    frames: PositiveInt = 50  # of a window
    stride: PositiveInt = 25  # between the windows of a clip
    dim: PositiveInt = 128
    heads: PositiveInt = 4
    layers: PositiveInt = 5  # of each of the two encoders
    hidden: PositiveInt = 512
    dropout: float = Field(0.1, ge=0, lt=1)
    embedding_dropout: float = Field(0.25, ge=0, lt=1)
    perceived: PositiveInt = 64  # output channels of the encoders
    narrow: PositiveInt = 32  # channels between those and the code
    edges: PositiveInt = 8  # graphs
    motor_layers: PositiveInt = 2
    reactions: PositiveInt = 10  # appropriate reactions per window in training
    cold: float = Field(0.1, ge=0, le=1)  # hears = past: share of training rows in which the speaker has just begun
    batch: PositiveInt = 128
    epoch: PositiveInt = 101  # steps after which the threshold is updated
    steps: PositiveInt = 9_595  # 95 epochs
    lr: float = Field(1e-4, gt=0)
    decay_at: PositiveInt = 909  # step from which the learning rate is a tenth
    weight_decay: float = Field(5e-4, ge=0)
    validate_every: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> RegnnConfig:
        if self.stride > self.frames:
            raise ValueError(
                f"stride = {self.stride} is more than frames = {self.frames}, so some frames would have no window"
            )
        return self


class OnlineConfig(RegnnConfig):
    hears: Literal["present", "past"] = "past"


class MotionConfig(RegnnConfig):
    channels: Literal["emotion", "motion"] = "motion"


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"mask": "union", "noise": "released", "iterations": 5, "tolerance": 1e-3, "emotion": "raw"},
    "small": {
        "dim": 64, "layers": 2, "hidden": 128, "reactions": 5, "batch": 64, "epoch": 50, "steps": 1000, "lr": 1e-3,
        "decay_at": 750, "validate_every": 100,
    },
    "smoke": {
        "dim": 16, "heads": 2, "layers": 1, "hidden": 16, "perceived": 8, "narrow": 8, "edges": 2, "reactions": 2,
        "batch": 4, "epoch": 4, "steps": 12, "lr": 1e-3, "decay_at": 10,
    },
}  # fmt: skip

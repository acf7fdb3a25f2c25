"""Settings of Let's Face It and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import Config


class FlowConfig(Config):
    """`lfi`. Defaults are the paper's values; spans are frames at 25 per second and are rescaled for other rates."""

    sampling: ClassVar[frozenset[str]] = frozenset({"temperature"})

    audio: str = "auto"  # a feature's name, "auto" (mfcc-78, else the first) or "none"
    own_voice: Literal["auto", "none"] = (
        "auto"  # "auto" (the feature own-AUDIO where a dataset has the listener's voice) or "none"
    )
    logdet: Literal["true", "as-released"] = "true"  # the release counts two of three layers once per channel
    mismatch: Literal["relative", "as-released", "off"] = (
        "relative"  # penalty for a high likelihood given another clip's speaker
    )
    mismatch_share: float = Field(0.1, ge=0, le=1)  # share of batches with that penalty
    mismatch_weight: float = Field(0.1, ge=0)
    margin: float = Field(
        0.1, gt=0
    )  # relative: no reward beyond this many bits per channel between wrong and right speaker
    temperature: float = Field(1.0, ge=0)  # deviation of the latent noise
    flow_steps: PositiveInt = 16
    condition: PositiveInt = 512  # channels of the condition in each flow step
    hidden: PositiveInt = 128  # recurrent state of each flow step
    face_hidden: PositiveInt = 256
    voice_hidden: PositiveInt = 256
    own_hidden: PositiveInt = 128
    copies: bool = True  # concatenate a GRU's last output and last state, which are the same numbers
    own_past: PositiveInt = 5  # frames of its own face that a frame depends on
    face_past: PositiveInt = 24  # frames of the speaker's face, the present one included
    voice_past: PositiveInt = 16
    own_voice_past: PositiveInt = 2
    face_drop: float = Field(0.6, ge=0, lt=1)  # share of those frames that training hides
    voice_drop: float = Field(0.3, ge=0, lt=1)
    own_drop: float = Field(0.5, ge=0, lt=1)
    past_drop: float = Field(0.0, ge=0, lt=1)  # of the frames of its own face; 0 in the paper
    frames: PositiveInt = 80  # of a training window
    history: PositiveInt = 24  # of these, frames that are only context and not scored
    batch: PositiveInt = 256
    steps: PositiveInt = 46_695  # 15 epochs of 3113 batches
    lr: float = Field(1e-5, gt=0)
    decay: float = Field(0.7299, gt=0, le=1)  # factor on the learning rate every `decay_every` steps
    decay_every: PositiveInt = 9_339
    betas: tuple[float, float] = (0.9, 0.9999)
    clip_norm: float = Field(20.0, gt=0)
    validate_every: int = Field(3_113, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> FlowConfig:
        longest = max(self.own_past, self.face_past - 1, self.voice_past - 1, self.own_voice_past - 1)
        if not longest <= self.history < self.frames:
            raise ValueError(
                f"history {self.history} must be at least {longest}, the longest past of an input, and less than frames {self.frames}"
            )
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"logdet": "as-released", "mismatch": "as-released"},
    "small": {
        "flow_steps": 6, "condition": 96, "hidden": 48, "face_hidden": 48, "voice_hidden": 48, "own_hidden": 24,
        "copies": False, "past_drop": 0.5, "frames": 56, "batch": 32, "steps": 1000, "lr": 1e-3, "decay_every": 280,
        "betas": (0.9, 0.999), "validate_every": 100,
    },
    "smoke": {
        "flow_steps": 2, "condition": 16, "hidden": 8, "face_hidden": 8, "voice_hidden": 8, "own_hidden": 8, "copies": False,
        "face_past": 6, "voice_past": 4, "frames": 16, "history": 6, "batch": 4, "steps": 12, "lr": 1e-3,
        "betas": (0.9, 0.999), "validate_every": 0,
    },
}  # fmt: skip

"""Settings of BeLFusion and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import Config


class BeLFusionConfig(Config):
    """`belfusion`. Sizes and losses are the REACT baseline's. Where the release errs, the default is the corrected behaviour."""

    sampling: ClassVar[frozenset[str]] = frozenset({"emotion"})
    budget: ClassVar[frozenset[str]] = frozenset({"steps", "vae_steps"})

    online: bool = False  # a window reacts to the speaker's window before it, not to the one at the same time
    stream: Literal["auto", "emotion", "motion"] = "auto"  # what is encoded; auto: emotion where the dataset has it
    latent: Literal["mu", "h"] = "mu"  # the release diffuses the encoder's state h and decodes it as if it were mu
    windows: Literal["all", "first"] = "all"  # the release trains on windows that start in a clip's first window
    head: Literal["motion", "zeros"] = "motion"  # what the motion head learns; the release's target is 0
    pick: Literal["joint", "separate"] = "joint"  # the best draw by the sum of both losses, or by each loss separately
    emotion: Literal["valid", "raw", "rounded"] = "valid"
    cold: float = Field(
        1 / 15, ge=0, le=1
    )  # online: share of training rows without a speaker, like a clip's first window
    swap: float = Field(0.5, ge=0, le=1)  # of stage 2: chance that the two people of a training row exchange roles
    window: PositiveInt = 50  # frames
    # stage 1: the auto-encoder
    code: PositiveInt = 128  # numbers per latent of a window
    decoder: PositiveInt = 64  # width of the decoder's output layers
    kl: float = Field(1.5e-4, ge=0)  # of the sum over a window's numbers; the release's 1e-5 counts 15 windows together
    vae_batch: PositiveInt = 480  # windows; 32 clips of 15
    vae_steps: PositiveInt = 50_000
    vae_lr: float = Field(1e-3, gt=0)
    # stage 2: the diffusion
    noise_steps: PositiveInt = 10
    embedding: int = Field(64, ge=2, multiple_of=2)  # of the noise step
    width: PositiveInt = 1024
    layers: int = Field(10, ge=2)
    draws: PositiveInt = 10  # noises per training row; only the best one is penalised
    latent_weight: float = Field(10.0, ge=0)
    decoded_weight: float = Field(10.0, ge=0)
    batch: PositiveInt = 32
    steps: PositiveInt = 5_000
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    validate_every: int = Field(0, ge=0)  # steps, of both stages; then the best weights by validation are kept

    @model_validator(mode="after")
    def _has_a_loss(self) -> BeLFusionConfig:
        if not self.latent_weight and not self.decoded_weight:
            raise ValueError("latent_weight and decoded_weight are both 0, so the diffusion has nothing to learn from")
        return self


class OnlineConfig(BeLFusionConfig):
    """`belfusion-online`."""

    online: bool = True


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {
        "latent": "h", "windows": "first", "head": "zeros", "pick": "separate", "emotion": "rounded", "cold": 0.0,
    },
    "small": {
        "swap": 0.0, "vae_batch": 64, "vae_steps": 1500, "vae_lr": 3e-3,
        "width": 256, "layers": 6, "draws": 4, "steps": 1500, "lr": 1e-3, "validate_every": 150,
    },
    "smoke": {
        "window": 16, "code": 16, "decoder": 16, "vae_batch": 8, "vae_steps": 12, "vae_lr": 3e-3,
        "noise_steps": 4, "embedding": 8, "width": 32, "layers": 3, "draws": 2, "batch": 8, "steps": 12, "lr": 3e-3,
    },
}  # fmt: skip

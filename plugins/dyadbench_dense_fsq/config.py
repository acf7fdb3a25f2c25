"""Settings of Dense-FSQ and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import AcceptedTokens, Config
from dyadbench.nn.speaker_settings import RegressTo, demand_null, demand_weight


class TokenizerConfig(Config):
    """`frame-fsq`, `frame-vq`, `frame-lfq`. Defaults are the released values (27.6 M parameters with emotion)."""

    added: ClassVar[frozenset[str]] = frozenset({"error"})
    budget: ClassVar[frozenset[str]] = frozenset({"steps", "emotion_steps"})

    quantizer: Literal["fsq", "vq", "lfq"] = "fsq"
    levels: tuple[int, ...] = (8, 5, 5, 5)  # fsq; 1000 codes
    codes: PositiveInt = 1024  # vq and lfq
    decay: float = Field(0.8, gt=0, lt=1)  # vq: of the moving averages
    commitment: float = Field(1.0, ge=0)  # vq
    reset: float = Field(0.0, ge=0)  # vq: a code with a lower average count is replaced; 0: never
    inv_temperature: float = Field(100.0, gt=0)  # lfq
    block: PositiveInt = 32  # frames encoded and decoded together
    dim: PositiveInt = 252
    heads: PositiveInt = 12
    layers: PositiveInt = 12  # of the encoder and of each decoder
    dropout: float = Field(0.1, ge=0, lt=1)
    standardise: bool = False  # divide channels by their spread, in the loss too; the release only centres
    error: Literal["absolute", "squared"] = "absolute"  # of motion; squared is what SFMS's tokenizers minimise
    joint_emotion: bool = True  # the code trains the emotion decoder from the start, the paper only in phase two
    emotion_weight: float = Field(
        1.0, ge=0
    )  # weight of the emotion error in phase one; the sum of the groups' errors has weight 1
    clip_emotion: bool = True  # decoded emotion is clipped to its range; the release does not clip it
    windows: PositiveInt = 8  # per batch
    blocks: PositiveInt = 23  # per window
    steps: PositiveInt = 32_000
    emotion_steps: int = Field(8_000, ge=0)  # phase two
    lr: float = Field(1e-3, gt=0)
    warmup: int = Field(300, ge=0)
    cosine: bool = False  # lower lr to a twentieth by the end of each phase
    weight_decay: float = Field(0.1, ge=0)
    validate_every: int = Field(200, ge=0)


class VQConfig(TokenizerConfig):
    quantizer: Literal["fsq", "vq", "lfq"] = "vq"
    codes: PositiveInt = 2048


class LFQConfig(TokenizerConfig):
    quantizer: Literal["fsq", "vq", "lfq"] = "lfq"
    codes: PositiveInt = 2048
    dim: PositiveInt = 144


class PredictorConfig(Config):
    """`crossmodal-ar`. Defaults are the released values (86.1 M parameters in mode "released")."""

    sampling: ClassVar[frozenset[str]] = frozenset({"cache", "guidance", "temperature", "top_k", "top_p"})
    added: ClassVar[frozenset[str]] = frozenset({"change", "gate_start", "guidance", "null", "regress", "regress_to"})

    mode: Literal["fixed", "released"] = "fixed"
    attention: Literal["window", "block-causal"] = "window"
    rotary: bool = False  # window: relative positions as well; block-causal has these only
    cache: bool = True  # block-causal: cache keys and values; without the cache the reactions are the same
    audio: str = "auto"  # a feature's name, "auto" (wav2vec2, else mfcc-78, else the first) or "none"
    dim: PositiveInt = 360
    heads: PositiveInt = 12
    layers: PositiveInt = 8  # of each of the six stacks
    dropout: float = Field(0.1, ge=0, lt=1)
    context: PositiveInt = 256  # frames of history
    patch: PositiveInt = 32  # frames generated at once
    gate_gain: float = Field(1.0, gt=0)  # factor on the gates, so that a short training can open them
    gate_start: float = 0.0  # where the gates begin; at 0, the paper's, a weak speaker never opens them
    temperature: float = Field(1.0, gt=0)
    top_k: PositiveInt = 512
    top_p: float = Field(1.0, gt=0, le=1)
    mask: float = Field(0.5, ge=0, le=1)  # share of batches trained with shortened histories
    hide: float = Field(
        0.0, ge=0, le=1
    )  # share of training rows without the listener's past, which must follow the speaker; mode "released" hides none
    null: float = Field(0.0, ge=0, lt=1)  # share of training rows without the speaker, which guidance needs
    guidance: float = Field(1.0, ge=0)  # on the speaker, in sampling; 1: none (nn/guidance.py)
    change: float = Field(0.0, ge=0)  # extra weight, in training, of tokens that differ from the one before
    regress: float = Field(0.0, ge=0)  # weight of a regression from speaker to listener (nn/regression.py)
    regress_to: RegressTo = "listener"  # stranger: a placebo, another clip's listener
    batch: PositiveInt = 16
    contexts: PositiveInt = 1  # block-causal: a training window's length; most positions should see a whole context
    steps: PositiveInt = 9_200
    lr: float = Field(1e-3, gt=0)
    warmup: int = Field(200, ge=0)
    cosine: bool = False  # lower lr to a twentieth by the end
    weight_decay: float = Field(0.1, ge=0)
    validate_every: int = Field(200, ge=0)

    @property
    def accepts(self) -> AcceptedTokens:
        return AcceptedTokens(most=1, such_as=("frame-fsq", "frame-vq", "frame-lfq"))

    @model_validator(mode="after")
    def _fits(self) -> PredictorConfig:
        if self.context % self.patch:
            raise ValueError(f"context {self.context} is not a multiple of patch {self.patch}")
        if self.guidance != 1 and self.attention != "window":
            raise ValueError('guidance is for attention "window"')
        if self.mode == "released":
            for name in ("change", "guidance", "null", "regress", "top_p"):  # not `hide`, which preset `small` sets
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f'mode "released" does not read {name}, as the release has none; leave it out')
            if self.attention != "window" or self.rotary:
                raise ValueError('mode "released" has attention "window" with absolute positions only')
        demand_null(self.guidance, self.null)
        demand_weight(self.regress_to, self.regress)
        return self


TOKENIZER_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "levels": (3, 3, 3, 3, 3), "codes": 256, "block": 8, "dim": 64, "heads": 4, "layers": 1, "dropout": 0.0,
        "standardise": True, "emotion_weight": 25.0, "windows": 8, "blocks": 8, "steps": 1200, "emotion_steps": 60,
        "lr": 5e-3, "warmup": 20, "cosine": True, "weight_decay": 0.01, "validate_every": 100,
    },
    "smoke": {
        "levels": (5, 4, 4), "codes": 64, "block": 8, "dim": 16, "heads": 2, "layers": 1, "dropout": 0.0,
        "standardise": True, "windows": 4, "blocks": 2, "steps": 12, "emotion_steps": 4, "lr": 3e-3, "warmup": 2,
        "validate_every": 0,
    },
}  # fmt: skip

PREDICTOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "rotary": True, "dim": 64, "heads": 4, "layers": 1, "dropout": 0.0, "context": 40, "patch": 8, "gate_gain": 10.0,
        "top_k": 32, "mask": 0.2, "hide": 0.25, "batch": 64, "contexts": 2, "steps": 1200, "lr": 4e-3, "warmup": 20, "cosine": True,
        "weight_decay": 0.01, "validate_every": 100,
    },
    "smoke": {
        "dim": 16, "heads": 2, "layers": 1, "dropout": 0.0, "context": 32, "patch": 8, "top_k": 32, "batch": 4,
        "steps": 12, "lr": 3e-3, "warmup": 2, "validate_every": 0,
    },
}  # fmt: skip

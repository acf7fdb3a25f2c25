"""Settings of Learning2Listen and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import AcceptedTokens, Config
from dyadbench.nn.speaker_settings import demand_null


class TokenizerConfig(Config):
    """`window-vq`. Defaults are the paper's values with the paper's token axis (13.0 M parameters)."""

    token_axis: Literal["time", "channel_slice"] = "time"  # the release's tokens are slices of channels
    scale: Literal["std", "released"] = "std"  # released: the deviation of the clips' deviations
    network: Literal["own", "released"] = "own"  # released: see the README
    codes: PositiveInt = 200
    book: Literal["gradient", "ema"] = "gradient"  # how codes learn
    decay: float = Field(0.95, gt=0, lt=1)  # ema: of the moving averages
    reset: float = Field(0.0, ge=0)  # ema: a code with a lower average count is replaced; 0: never
    commitment: float = Field(0.25, ge=0)
    block: PositiveInt = 32  # frames encoded and decoded together
    patch: PositiveInt = 8  # frames per token
    dim: PositiveInt = 256
    heads: PositiveInt = 8
    layers: PositiveInt = 12  # of the encoder and of the decoder
    hidden: PositiveInt = 384
    dropout: float = Field(0.0, ge=0, lt=1)
    batch: PositiveInt = 32
    steps: PositiveInt = 300_000
    lr: float = Field(3.95e-4, gt=0)  # at its peak: 2 / sqrt(256 * warmup)
    warmup: PositiveInt = 100_000
    weight_decay: float = Field(0.01, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> TokenizerConfig:
        if self.patch < 2 or self.patch & (self.patch - 1) or self.block % self.patch:
            raise ValueError(f"patch {self.patch} is not a power of two that divides block {self.block}")
        if self.token_axis == "channel_slice" and self.dim % (self.block // self.patch):
            raise ValueError(f"dim {self.dim} cannot be cut into {self.block // self.patch} slices of channels")
        return self


class PredictorConfig(Config):
    """`patch-ar`. Defaults are the paper's values; the learning rate is our own, as the release's peaks at 2.2e-6."""

    sampling: ClassVar[frozenset[str]] = frozenset({"guidance", "temperature", "top_p"})
    added: ClassVar[frozenset[str]] = frozenset({"guidance", "null"})

    audio: str = "auto"  # a feature's name, "auto" (mel-128, else mfcc-78, else the first) or "none"
    audio_slice: Literal["fixed", "released"] = (
        "fixed"  # the release reads audio rows from t, not from t * rows per frame
    )
    network: Literal["own", "released"] = "own"  # released: see the README
    past: PositiveInt = 4  # tokens of history
    ahead: int = Field(8, ge=0)  # speaker frames that a token sees from its first frame on; at most a token's
    decode: Literal["sliding", "window"] = (
        "sliding"  # each token with those before it, or whole blocks as in the release
    )
    reencode: bool = False  # decode the history and encode it again before every token, as the release does
    temperature: float = Field(0.7, gt=0)
    top_p: float = Field(0.9, gt=0, le=1)
    wide: PositiveInt = 400  # channels of the speaker's streams
    dim: PositiveInt = 200
    heads: PositiveInt = 10
    cross_layers: PositiveInt = 2
    layers: PositiveInt = 5
    hidden: PositiveInt = 128
    dropout: float = Field(0.0, ge=0, lt=1)  # the release has none
    cold: float = Field(4 / 21, ge=0, le=1)  # share of training rows whose history is cut short
    null: float = Field(0.0, ge=0, lt=1)  # share of training rows without the speaker, which guidance needs
    guidance: float = Field(1.0, ge=0)  # on the speaker, in sampling; 1: none (nn/guidance.py)
    horizon: PositiveInt = 4  # tokens predicted and scored in training; sampling uses the first
    batch: PositiveInt = 32
    steps: PositiveInt = 100_000
    lr: float = Field(2e-4, gt=0)  # at its peak
    warmup: PositiveInt = 4_000
    weight_decay: float = Field(0.0, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @property
    def accepts(self) -> AcceptedTokens:
        return AcceptedTokens(least=2, window=self.past, such_as=("window-vq",))

    @model_validator(mode="after")
    def _fits(self) -> PredictorConfig:
        demand_null(self.guidance, self.null)
        if self.horizon > self.past:
            raise ValueError(f"horizon = {self.horizon} is more than the network's {self.past} outputs")
        return self


TOKENIZER_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"token_axis": "channel_slice", "scale": "released", "network": "released"},
    "small": {
        "book": "ema", "reset": 0.5, "dim": 64, "heads": 4, "layers": 1, "hidden": 128,
        "steps": 2400, "lr": 2e-3, "warmup": 50, "validate_every": 240,
    },
    "smoke": {
        "codes": 32, "book": "ema", "dim": 16, "heads": 2, "layers": 1, "hidden": 16, "batch": 8,
        "steps": 12, "lr": 3e-3, "warmup": 4, "validate_every": 0,
    },
}  # fmt: skip

PREDICTOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {
        "audio_slice": "released", "decode": "window", "reencode": True, "network": "released",
        "steps": 300_000, "lr": 2.24e-6, "warmup": 100_000,  # 0.01 / sqrt(200 * warmup)
    },
    "small": {
        "ahead": 0, "temperature": 1.0, "wide": 64, "dim": 64, "heads": 4, "layers": 2, "dropout": 0.0, "cold": 0.1,
        "batch": 64, "steps": 1500, "lr": 3e-3, "warmup": 50, "weight_decay": 0.01, "validate_every": 150,
    },
    "smoke": {
        "ahead": 0, "wide": 16, "dim": 16, "heads": 2, "cross_layers": 1, "layers": 1, "hidden": 16, "cold": 0.5, "batch": 8,
        "steps": 12, "lr": 3e-3, "warmup": 4, "validate_every": 0,
    },
}  # fmt: skip

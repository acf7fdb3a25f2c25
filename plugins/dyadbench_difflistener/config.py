"""Settings of DiffListener and their presets. Imports no torch.

The paper leaves much open and no code is public. Defaults are, in this order, what it says, what its dataset's
VQ-VAE does (LM-Listener, 2308.10897), and what VQ-Diffusion does (2111.14822); the README lists which is which.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import AcceptedTokens, Config
from dyadbench.nn.speaker_settings import demand_null

Modality = Literal["face", "differential", "audio"]
HASHED = "hashed"  # the value of `text` that needs no model


class TokenizerConfig(Config):
    """`conv-vq`. Defaults are the paper's K and downsampling in LM-Listener's VQ-VAE (26.9 M parameters)."""

    codes: PositiveInt = 256
    patch: PositiveInt = 8  # frames per token
    dim: PositiveInt = 512
    depth: PositiveInt = 3  # residual blocks at each rate, dilated by 9, 3, 1
    causal: bool = False  # whether a decoded frame depends only on the tokens up to its own
    decay: float = Field(0.99, gt=0, lt=1)  # of the book's moving averages
    reset: float = Field(1.0, ge=0)  # a code with a lower average count is replaced; 0: never
    commitment: float = Field(0.02, ge=0)
    velocity: float = Field(0.5, ge=0)  # weight of the error of frame differences; 0 leaves it out
    window: PositiveInt = 32  # frames
    batch: PositiveInt = 256
    steps: PositiveInt = 300_000
    lr: float = Field(2e-4, gt=0)
    warmup: PositiveInt = 1_000
    drop_at: float = Field(2 / 3, gt=0, le=1)  # share of the steps after which lr is a twentieth
    weight_decay: float = Field(0.0, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> TokenizerConfig:
        if self.patch < 2 or self.patch & (self.patch - 1) or self.window % self.patch:
            raise ValueError(f"patch {self.patch} is not a power of two that divides window {self.window}")
        return self


class CausalTokenizerConfig(TokenizerConfig):
    causal: bool = True


class PredictorConfig(Config):
    """`token-diffusion`. Defaults are VQ-Diffusion's values in a denoiser of 12 layers of 512."""

    added: ClassVar[frozenset[str]] = frozenset({"history"})
    sampling: ClassVar[frozenset[str]] = frozenset({"guidance", "sample_steps", "truncation"})
    machine_paths: ClassVar[frozenset[str]] = frozenset({"text"})

    # the speaker
    speaker: tuple[Modality, ...] = ("face", "differential", "audio")
    audio: str = "auto"  # a feature's name or "auto" (mfcc-78, else mel-128, else the first)
    text: str = ""  # "hashed": a fixed vector per word; or a BERT model, by folder or hub name; empty: no text
    fusion_layers: PositiveInt = 2
    memory: Literal["frames", "tokens"] = "frames"  # one vector of the speaker per frame, or per token
    # the diffusion process
    schedule: Literal["paper", "code"] = "paper"
    noise_steps: PositiveInt = 100
    aux: float = Field(5e-4, ge=0)
    null: float = Field(0.1, ge=0, lt=1)  # share of training rows without the speaker, which guidance needs
    # sampling
    sample_steps: PositiveInt = 100
    truncation: float = Field(0.86, gt=0, le=1)  # share of p(x0) to sample from
    guidance: float = Field(1.0, ge=0)
    # blocks
    window: PositiveInt = 30  # tokens
    overlap: int = Field(10, ge=0)  # tokens of a block that repeat the end of the block before
    ahead: int | None = Field(
        None, ge=0
    )  # speaker frames that a block sees from its first new frame on; None: the whole block
    # how training encodes the tokens that a block repeats: with the whole window, so that they know of what follows, or apart
    history: Literal["window", "apart"] = "window"
    prefix: float = Field(0.25, ge=0, le=1)  # ahead None: share of training rows that continue a block
    cold: float = Field(0.25, ge=0, le=1)  # ahead given: share of training rows with less history than `overlap`
    # the denoiser and its training
    dim: PositiveInt = 512
    heads: PositiveInt = 8
    layers: PositiveInt = 12
    dropout: float = Field(0.0, ge=0, lt=1)
    batch: PositiveInt = 32
    steps: PositiveInt = 100_000
    lr: float = Field(1e-4, gt=0)
    warmup: PositiveInt = 1_000
    drop_at: float = Field(1.0, gt=0, le=1)  # share of the steps after which lr is a twentieth
    weight_decay: float = Field(0.045, ge=0)
    ema: float = Field(0.9996, gt=0, lt=1)  # VQ-Diffusion's 0.99 every 25 steps
    clip_norm: float = Field(0.5, gt=0)
    validate_every: int = Field(2_000, ge=0)

    @property
    def accepts(self) -> AcceptedTokens:
        return AcceptedTokens(such_as=("conv-vq", "window-vq"))

    @model_validator(mode="after")
    def _fits(self) -> PredictorConfig:
        demand_null(self.guidance, self.null)
        if self.overlap >= self.window:
            raise ValueError(f"overlap = {self.overlap} leaves no new token in a window of {self.window} tokens")
        if self.sample_steps > self.noise_steps:
            raise ValueError(f"sample_steps {self.sample_steps} is more than noise_steps {self.noise_steps}")
        if self.text not in ("", HASHED) and self.ahead is not None:
            raise ValueError(
                f"a BERT model reads the words of the whole clip: leave ahead out or set text to {HASHED!r}"
            )
        if not self.speaker and not self.text:
            raise ValueError(f"speaker is empty: add face, differential or audio, or set text to {HASHED!r}")
        return self


class OnlinePredictorConfig(PredictorConfig):
    """`token-diffusion-online`: blocks of two tokens that see the speaker only before their first frame."""

    window: PositiveInt = 12
    ahead: int | None = Field(0, ge=0)


TOKENIZER_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "dim": 64, "depth": 1, "window": 64, "batch": 32, "steps": 1800, "lr": 1e-3, "warmup": 100, "decay": 0.95, "reset": 0.05,
        "drop_at": 0.8, "validate_every": 180,
    },
    "smoke": {
        "codes": 32, "dim": 16, "depth": 1, "decay": 0.9, "reset": 0.05, "batch": 8, "steps": 12, "lr": 3e-3, "warmup": 2, "validate_every": 0,
    },
}  # fmt: skip

_SMALL: dict[str, Any] = {
    "aux": 0.01, "fusion_layers": 1, "memory": "tokens", "sample_steps": 25, "guidance": 1.5, "dim": 64, "heads": 4, "layers": 3, "batch": 32,
    "steps": 4000, "lr": 2e-3, "warmup": 40, "ema": 0.98, "drop_at": 0.75, "weight_decay": 0.01, "validate_every": 400,
}  # fmt: skip

_SMOKE: dict[str, Any] = {
    **_SMALL, "guidance": 1.0, "noise_steps": 20, "sample_steps": 4, "dim": 16, "heads": 2, "layers": 1, "batch": 4,
    "steps": 12, "warmup": 2, "ema": 0.5, "overlap": 3, "validate_every": 0,
}  # fmt: skip

PREDICTOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": _SMALL,
    "smoke": {**_SMOKE, "window": 8},
}

ONLINE_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {**_SMALL, "sample_steps": 10, "guidance": 4.0},
    "smoke": {**_SMOKE, "window": 5},
}

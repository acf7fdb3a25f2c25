"""What can be set about the VQTalker-style methods, and their presets. Imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import AcceptedTokens, Config
from dyadbench.nn.speaker_settings import RegressTo, demand_null, demand_weight


class GridConfig(Config):
    """`grfsq`, `grvq`, `rvq`, `gvq`, `vq`. The grid is the paper's best; sizes and training are this project's, as the
    paper's are those of an image codec."""

    quantizer: Literal["fsq", "vq"] = "fsq"
    groups: PositiveInt = 12
    residual: PositiveInt = 4  # layers of the quantiser
    levels: tuple[int, ...] = (5, 5, 5, 5)  # fsq; 625 codes
    literal: bool = False  # fsq: Algorithm 1 as printed, whose third layer uses few codes
    codes: PositiveInt = 1024  # vq
    decay: float = Field(0.9, gt=0, lt=1)  # vq: of the moving averages
    commitment: float = Field(0.25, ge=0)  # vq
    reset: float = Field(0.0, ge=0)  # vq: a code with a lower average count is replaced; 0: never
    drop: float = Field(0.5, ge=0, le=1)  # share of training rows that decode from fewer layers
    latent: PositiveInt = 192  # channels that are quantised
    block: PositiveInt = 1  # frames encoded and decoded together; 1: frame by frame, like the paper's codec
    dim: PositiveInt = 192
    heads: PositiveInt = 8
    layers: PositiveInt = 4  # of the encoder and of each decoder
    dropout: float = Field(0.0, ge=0, lt=1)
    emotion_weight: float = Field(1.0, ge=0)  # weight of the emotion error; the sum of the groups' errors has weight 1
    batch: PositiveInt = 32  # windows
    frames: PositiveInt = 64  # per window
    steps: PositiveInt = 50_000
    lr: float = Field(1e-3, gt=0)
    warmup: int = Field(500, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    validate_every: int = Field(1_000, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> GridConfig:
        if self.latent % self.groups:
            raise ValueError(f"latent {self.latent} cannot be cut into {self.groups} groups")
        if self.frames % self.block:
            raise ValueError(f"frames {self.frames} is not a multiple of block {self.block}")
        return self


class GRVQConfig(GridConfig):
    quantizer: Literal["fsq", "vq"] = "vq"


class RVQConfig(GRVQConfig):
    groups: PositiveInt = 1
    residual: PositiveInt = 32


class GVQConfig(GRVQConfig):
    groups: PositiveInt = 32
    residual: PositiveInt = 1


class VQConfig(GRVQConfig):
    groups: PositiveInt = 1
    residual: PositiveInt = 1
    codes: PositiveInt = 8192  # the table prints 8196


class PredictorConfig(Config):
    """`coarse-to-fine`. Depth and arg max are the paper's; the width is not stated there."""

    sampling: ClassVar[frozenset[str]] = frozenset({"drawn", "guidance", "smooth", "temperature", "top_k"})
    added: ClassVar[frozenset[str]] = frozenset(
        {"change", "guidance", "kl", "latent", "null", "regress", "regress_to", "speech", "speech_codes"}
    )
    machine_paths: ClassVar[frozenset[str]] = frozenset({"speech"})

    chunk: int = Field(0, ge=0)  # frames per chunk; 0: the predictor sees the whole clip
    ahead: int = Field(0, ge=0)  # with chunks: speaker frames seen after a chunk's first
    audio: str = "auto"  # a feature's name, "auto" (wav2vec2, else mfcc-78, else the first) or "none"
    speech: str = ""  # tokens of the sound: "kmeans", or a folder with a codebook.npy; empty: its features themselves
    speech_codes: PositiveInt = 200  # of "kmeans"
    convolutions: int = Field(
        0, ge=0
    )  # over the speaker, before the trunk; each reaches `taps` times as far as the one before
    taps: PositiveInt = 9
    dim: PositiveInt = 512
    heads: PositiveInt = 8
    layers: PositiveInt = 12
    dropout: float = Field(0.1, ge=0, lt=1)
    drawn: int = Field(0, ge=0)  # coarse layers that are sampled; the others take the likeliest code; 0 in the paper
    temperature: float = Field(1.0, gt=0)  # of the sampled layers
    top_k: PositiveInt = 625
    smooth: float = Field(0.0, ge=0)  # frames over which the random numbers of neighbouring frames are correlated
    null: float = Field(0.0, ge=0, lt=1)  # share of training rows without the speaker, which guidance needs
    guidance: float = Field(1.0, ge=0)  # on the speaker, in sampling; 1: none (nn/guidance.py)
    change: float = Field(0.0, ge=0)  # extra weight, in training, of codes that differ from the one before
    regress: float = Field(0.0, ge=0)  # weight of a regression from speaker to listener (nn/regression.py)
    regress_to: RegressTo = "listener"  # stranger: a placebo, another clip's listener
    latent: int = Field(0, ge=0)  # numbers drawn once per sample: what kind of listener reacts; 0: none
    kl: float = Field(1.0, gt=0)  # weight of the latent's Kullback-Leibler divergence; 1: the evidence bound
    coarse: float = Field(0.0, ge=0, le=1)  # extra share of training rows for the first layer
    batch: PositiveInt = 16
    frames: PositiveInt = 750  # per window
    steps: PositiveInt = 100_000
    lr: float = Field(1e-4, gt=0)
    warmup: int = Field(2_000, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @property
    def accepts(self) -> AcceptedTokens:
        return AcceptedTokens(
            most=1, grid=True, members=("ids_of", "dequantise"), such_as=("grfsq", "grvq", "rvq", "gvq", "vq")
        )

    @model_validator(mode="after")
    def _fits(self) -> PredictorConfig:
        demand_null(self.guidance, self.null)
        demand_weight(self.regress_to, self.regress)
        if self.kl != 1.0 and not self.latent:
            raise ValueError("kl weighs the latent, and latent is 0; set latent, or leave kl out")
        if self.speech_codes != 200 and self.speech != "kmeans":
            raise ValueError(
                "speech_codes is how many k-means makes; set speech to 'kmeans', or leave speech_codes out"
            )
        if self.ahead and self.ahead >= self.chunk:
            raise ValueError(
                f"ahead = {self.ahead} must be less than the {self.chunk} frames of a chunk; or set chunk=0 for the whole clip"
            )
        return self


class ChunkedConfig(PredictorConfig):
    chunk: int = Field(8, ge=1)


_SMALL: dict[str, Any] = {
    "latent": 96, "dim": 64, "heads": 4, "layers": 2, "emotion_weight": 3.0, "batch": 32, "frames": 32, "steps": 300,
    "lr": 5e-3, "warmup": 20, "validate_every": 30,
}  # fmt: skip
_SMOKE: dict[str, Any] = {
    "latent": 24, "dim": 16, "heads": 2, "layers": 1, "batch": 4, "frames": 16, "steps": 12, "lr": 3e-3, "warmup": 2,
    "validate_every": 0,
}  # fmt: skip


def tokenizer_presets(small: dict[str, Any], smoke: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The presets of one tokenizer: the network's sizes are common to all kinds, the grid's are its own."""
    return {"paper": {}, "small": {**_SMALL, **small}, "smoke": {**_SMOKE, **smoke}}


TOKENIZER_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "grfsq": tokenizer_presets(
        {"groups": 4, "residual": 2, "levels": (5, 5, 5), "block": 8}, {"groups": 2, "residual": 2, "levels": (3, 3)}
    ),
    "grvq": tokenizer_presets(
        {"groups": 4, "residual": 2, "codes": 125, "reset": 0.5}, {"groups": 2, "residual": 2, "codes": 16}
    ),
    "rvq": tokenizer_presets({"residual": 8, "codes": 125, "reset": 0.5}, {"residual": 2, "codes": 16}),
    "gvq": tokenizer_presets({"groups": 8, "codes": 125, "reset": 0.5}, {"groups": 2, "codes": 16}),
    "vq": tokenizer_presets({"codes": 1024, "reset": 0.5}, {"codes": 32}),
}

PREDICTOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "convolutions": 2, "dim": 64, "heads": 4, "layers": 2, "dropout": 0.0, "drawn": 2, "temperature": 0.5,
        "smooth": 300.0, "coarse": 0.4, "batch": 4, "steps": 800, "lr": 3e-3, "warmup": 20, "validate_every": 80,
    },
    "smoke": {
        "convolutions": 1, "dim": 16, "heads": 2, "layers": 1, "dropout": 0.0, "drawn": 1, "batch": 4, "frames": 64, "steps": 12,
        "lr": 3e-3, "warmup": 2, "validate_every": 0,
    },
}  # fmt: skip

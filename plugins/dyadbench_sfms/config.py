"""Settings of SFMS and their presets. Imports no torch.

No code was released. Defaults are what the paper states, or else the reading with the best evidence; the README says which.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dyadbench.api import AcceptedTokens, Config
from dyadbench.nn.speaker_settings import demand_null


class TokenizerConfig(Config):
    """`sparse-fsq`, `sparse-vq`. Defaults give the paper's size, 9.6 M parameters within 5 %."""

    added: ClassVar[frozenset[str]] = frozenset({"across"})

    placement: Literal["dynamic", "static", "none", "threshold", "penalty"] = "dynamic"  # none: every frame has a token
    keyframe_axis: Literal["frame", "channel"] = "frame"  # channel: each channel has keyframes and tokens of its own
    across: bool = False  # with keyframe_axis "channel": in the decoder, the channels of a frame attend to each other
    quantizer: Literal["fsq", "vq"] = "fsq"
    levels: tuple[int, ...] = (8, 6, 5)  # fsq; 240 codes, the recommended set for 2^8
    codes: PositiveInt = 256  # vq
    book: Literal["gradient", "ema"] = "gradient"  # vq: how codes learn; eq. 13 has a codebook term
    decay: float = Field(0.95, gt=0, lt=1)  # ema: of the moving averages
    reset: float = Field(0.0, ge=0)  # ema: a code with a lower average count is replaced; 0: never
    commitment: float = Field(0.25, ge=0)  # vq
    window: PositiveInt = 48  # frames encoded and decoded together
    keyframes: PositiveInt = 7  # per window
    threshold: float = Field(0.5, gt=0, lt=1)  # adaptive placements: probability above which a frame is a keyframe
    sparsity: float = Field(0.1, ge=0)  # penalty: weight of the mean probability
    view: Literal["keyframes", "window"] = "keyframes"  # frames that a keyframe's token may depend on
    selection: Literal["spread", "top-k"] = "spread"  # dynamic; spread: by the running sum of the probabilities
    loss: Literal["groups", "channels"] = "groups"  # same weight for each of nn.losses.groups_of, or for each channel
    samples: PositiveInt = 4  # random sets per window
    objective: Literal["reinforce", "best-of-s"] = "reinforce"  # what the scores learn from
    tau: float = Field(2.0, gt=0)  # temperature of the relaxed k-hot; tau to through belong to objective "best-of-s"
    tau_end: float = Field(0.2, gt=0)
    tau_schedule: Literal["constant", "anneal"] = "anneal"  # exponentially to tau_end over 60 % of the training
    mask_weight: float = Field(0.1, ge=0)  # alpha of eq. 13
    through: float = Field(1.0, ge=0)  # weight of the error that reaches the scores straight through the hard set
    # Weight of eq. 13's distance of the keyframes' latents to their codes. It trains FSQ alone: a VQ book passes gradients
    # straight through, so that the distance has none, and `commitment` does its work.
    quantisation: float = Field(1.0, ge=0)
    warmup_share: float = Field(0.1, ge=0, le=1)  # of the steps: uniform keyframes, and the scorer does not learn
    dim: PositiveInt = 256
    heads: PositiveInt = 8
    layers: PositiveInt = 3  # of each: scorer, keyframe encoder, transition encoder, decoder
    hidden: PositiveInt = 1024
    places: PositiveInt = 32  # channels of each concatenated positional encoding
    dropout: float = Field(0.1, ge=0, lt=1)
    batch: PositiveInt = 64  # windows
    steps: PositiveInt = 100_000
    lr: float = Field(2e-4, gt=0)
    score_lr: float = Field(5e-5, gt=0)
    warmup: int = Field(500, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _top_k_where_spread_cannot_be(cls, data: Any) -> Any:
        """Placements other than "dynamic" read no `selection`, which is then "top-k", so that equal fits have equal keys. So it is
        by channel, where every channel must have as many keyframes as the others."""
        if isinstance(data, dict) and (
            data.get("placement", "dynamic") != "dynamic" or data.get("keyframe_axis") == "channel"
        ):
            return {"selection": "top-k", **data}
        return data

    @model_validator(mode="after")
    def _fits(self) -> TokenizerConfig:
        if self.keyframes > self.window:
            raise ValueError(f"keyframes = {self.keyframes} is more than the {self.window} frames of a window")
        if self.selection == "spread" and self.keyframe_axis == "channel":
            raise ValueError(
                "selection 'spread' may place fewer keyframes in one channel than in another; with keyframe_axis 'channel' leave it out"
            )
        if self.selection == "spread" and self.placement != "dynamic":
            raise ValueError(
                f"selection 'spread' works with placement 'dynamic' only, not with {self.placement!r}; leave it out"
            )
        if self.objective == "reinforce":
            if self.samples < 2 and self.placement not in ("static", "none"):
                raise ValueError("objective 'reinforce' compares the sets of a window; set samples to 2 or more")
            for name in ("tau", "tau_end", "tau_schedule", "mask_weight", "through"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} belongs to objective 'best-of-s'; set that too, or leave {name} out")
        if self.across and self.keyframe_axis != "channel":
            raise ValueError("across lets channels attend to each other, so it needs keyframe_axis 'channel'")
        if self.keyframe_axis == "channel" and self.placement in ("threshold", "penalty"):
            raise ValueError(
                f"placement {self.placement!r} gives each channel another number of tokens; take keyframe_axis 'frame'"
            )
        return self


class VQConfig(TokenizerConfig):
    quantizer: Literal["fsq", "vq"] = "vq"


class PredictorConfig(Config):
    """`keyframe-ar`. The paper gives the 40 + 8 frames and the width; the other defaults are this project's."""

    sampling: ClassVar[frozenset[str]] = frozenset({"spacing", "decode", "guidance", "temperature", "top_k"})
    added: ClassVar[frozenset[str]] = frozenset({"guidance", "joint", "null"})

    past: PositiveInt = 40  # frames of history
    patch: PositiveInt = 8  # frames generated at once
    ahead: int = Field(
        8, ge=0
    )  # speaker frames that a patch sees from its first on; in the paper the whole patch (eq. 11)
    audio: str = "auto"  # a feature's name, "auto" (wav2vec2, else mel-128, else mfcc-78, else the first) or "none"
    history: Literal["apart", "window"] = "apart"  # window: label past and future as one window, which leaks
    key_weight: float | None = Field(None, gt=0)  # of keyframes in the cross entropy; None: balances them, at most 10
    dtw: float = Field(0.1, ge=0)  # weight of the soft-DTW divergence
    gamma: float = Field(0.1, gt=0)  # of the soft-DTW
    cold: float = Field(0.1, ge=0, le=1)  # share of training rows that start with a neutral sequence
    hide: float = Field(
        0.0, ge=0, le=1
    )  # share of training rows without the listener's past, which must follow the speaker
    null: float = Field(0.0, ge=0, lt=1)  # share of training rows without the speaker, which guidance needs
    guidance: float = Field(1.0, ge=0)  # on the speaker, in sampling; 1: none (nn/guidance.py)
    spacing: Literal["independent", "even"] = "even"  # how keyframes are drawn from their probabilities
    decode: Literal["rolling", "windows"] = "rolling"  # windows: side by side like the tokenizer's, which looks ahead
    temperature: float = Field(1.0, gt=0)  # of the codes
    top_k: PositiveInt = 32
    dim: PositiveInt = 256
    heads: PositiveInt = 8
    joint: bool = (
        False  # the speaker's positions attend to the listener's, too: the paper's joint encoder, at K times the cost
    )
    layers: PositiveInt = 4  # of each: the speaker's, the listener's and the joint stack
    hidden: PositiveInt = 1024
    taps: PositiveInt = 5  # of the convolution over the sound
    dropout: float = Field(0.1, ge=0, lt=1)
    gate_gain: float = Field(1.0, gt=0)  # factor on the gates, so that a short training can open them
    batch: PositiveInt = 64
    steps: PositiveInt = 100_000
    lr: float = Field(2e-4, gt=0)
    warmup: int = Field(500, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    validate_every: int = Field(2_000, ge=0)

    @property
    def accepts(self) -> AcceptedTokens:
        return AcceptedTokens(most=1, sparse=True, such_as=("sparse-fsq", "sparse-vq", "frame-fsq"))

    @model_validator(mode="after")
    def _fits(self) -> PredictorConfig:
        demand_null(self.guidance, self.null)
        if self.joint and self.layers < 2:
            raise ValueError(
                "joint changes nothing with one layer: nothing reads the speaker after it; set layers to 2 or more"
            )
        if self.ahead > self.patch:
            raise ValueError(f"ahead = {self.ahead} is more than the {self.patch} frames of a patch")
        return self


TOKENIZER_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "keyframes": 10, "samples": 2, "dim": 64, "heads": 4, "layers": 1, "hidden": 192, "places": 16, "dropout": 0.0,
        "book": "ema", "reset": 0.5, "quantisation": 0.1, "batch": 24, "steps": 1000, "lr": 3e-3, "score_lr": 5e-4,
        "warmup": 20, "validate_every": 100,
    },
    "smoke": {
        "levels": (5, 4, 4), "codes": 64, "samples": 2, "dim": 16, "heads": 2, "layers": 1, "hidden": 32, "places": 8,
        "dropout": 0.0, "book": "ema", "batch": 4, "steps": 12, "lr": 3e-3, "score_lr": 1e-3, "warmup": 2,
        "validate_every": 0,
    },
}  # fmt: skip

PREDICTOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"joint": True},
    "small": {
        "ahead": 1, "dim": 64, "heads": 4, "layers": 1, "hidden": 192, "dropout": 0.0, "gate_gain": 10.0, "hide": 0.2,
        "temperature": 0.7, "batch": 48, "steps": 1000, "lr": 3e-3, "warmup": 20, "validate_every": 100,
    },
    "smoke": {
        "ahead": 1, "dim": 16, "heads": 2, "layers": 1, "hidden": 32, "dropout": 0.0, "batch": 4, "steps": 12, "lr": 3e-3,
        "warmup": 2, "validate_every": 0,
    },
}  # fmt: skip

"""The contract: everything a plugin author imports.

Importing this package must stay cheap: no torch, no scipy, no pandas. Arrays that cross the contract are numpy float32
with the axes written beside them; B clips, K samples, T frames, D motion channels, F features.

Read its modules in this order, and write `from dyadbench.api import ...` for all of them:

- `data`: a clip of two people, and the reader of a dataset;
- `predict`: a predictor, its context, its reaction;
- `tokens`: a tokenizer and its tokens;
- `train`: how either of them learns;
- `scores`: a suite of metrics, and a benchmark;
- `entries`: what a plugin's hooks return;
- `base`: the error, the base class of configurations, and what a predictor on tokens declares there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dyadbench.api.base import (
    AcceptedTokens,
    Config,
    DyadbenchError,
)
from dyadbench.api.data import (
    ACTION_UNITS,
    AFFECT,
    AUDIO_FEATURES,
    DECA_56,
    EMOTION_CHANNELS,
    EMOTION_DIM,
    EMOTION_GROUPS,
    EMOTION_LOW,
    EMOTION_VALUES,
    EXPRESSIONS,
    FACEVERSE_58,
    OWN_VOICE,
    VIDEO_FEATURES,
    Aligns,
    AppropriateBetween,
    AudioSpec,
    Clip,
    Dataset,
    DatasetFactory,
    DrawsListeners,
    Dyad,
    KnowsListeners,
    KnowsShape,
    MoreListeners,
    MotionSpace,
    RemembersListeners,
    Track,
    Voiced,
    Word,
)
from dyadbench.api.entries import (
    BenchmarkEntry,
    ComponentEntry,
    DatasetEntry,
    Entry,
    MethodEntry,
    PredictorEntry,
    RendererEntry,
    SuiteEntry,
    TokenizerEntry,
)
from dyadbench.api.predict import (
    Context,
    Drawable,
    Needs,
    Noise,
    Predictor,
    PredictorFactory,
    Reaction,
    Setup,
    Stream,
    Streaming,
    Truth,
)
from dyadbench.api.scores import (
    TARGET_SUFFIX,
    BenchmarkConfig,
    Column,
    Direction,
    Evaluation,
    Family,
    Progress,
    Ragged,
    Renderer,
    RendererFactory,
    Result,
    Suite,
    SuiteFactory,
    TrackName,
)
from dyadbench.api.tokens import (
    OnTokens,
    OnTokensFactory,
    Tokenizer,
    TokenizerFactory,
    Tokens,
    TokenSpec,
)
from dyadbench.api.train import (
    Counted,
    Fittable,
    Loss,
    Optimiser,
    Stage,
    Stateful,
    Trainable,
    TrainData,
    WindowBatch,
    Windows,
)

if TYPE_CHECKING:
    from dyadbench.api.base import Array, State
else:

    def __getattr__(name: str) -> Any:  # the array types need numpy, so they are made on request
        if name in ("Array", "State"):
            from dyadbench.api import base

            value = globals()[name] = getattr(base, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ACTION_UNITS",
    "AFFECT",
    "AUDIO_FEATURES",
    "DECA_56",
    "EMOTION_CHANNELS",
    "EMOTION_DIM",
    "EMOTION_GROUPS",
    "EMOTION_LOW",
    "EMOTION_VALUES",
    "EXPRESSIONS",
    "FACEVERSE_58",
    "OWN_VOICE",
    "TARGET_SUFFIX",
    "VIDEO_FEATURES",
    "AcceptedTokens",
    "Aligns",
    "AppropriateBetween",
    "Array",
    "AudioSpec",
    "BenchmarkConfig",
    "BenchmarkEntry",
    "Clip",
    "Column",
    "ComponentEntry",
    "Config",
    "Context",
    "Counted",
    "Dataset",
    "DatasetEntry",
    "DatasetFactory",
    "Direction",
    "Drawable",
    "DrawsListeners",
    "Dyad",
    "DyadbenchError",
    "Entry",
    "Evaluation",
    "Family",
    "Fittable",
    "KnowsListeners",
    "KnowsShape",
    "Loss",
    "MethodEntry",
    "MoreListeners",
    "MotionSpace",
    "Needs",
    "Noise",
    "OnTokens",
    "OnTokensFactory",
    "Optimiser",
    "Predictor",
    "PredictorEntry",
    "PredictorFactory",
    "Progress",
    "Ragged",
    "Reaction",
    "RemembersListeners",
    "Renderer",
    "RendererEntry",
    "RendererFactory",
    "Result",
    "Setup",
    "Stage",
    "State",
    "Stateful",
    "Stream",
    "Streaming",
    "Suite",
    "SuiteEntry",
    "SuiteFactory",
    "TokenSpec",
    "Tokenizer",
    "TokenizerEntry",
    "TokenizerFactory",
    "Tokens",
    "Track",
    "TrackName",
    "TrainData",
    "Trainable",
    "Truth",
    "Voiced",
    "WindowBatch",
    "Windows",
    "Word",
]  # fmt: skip

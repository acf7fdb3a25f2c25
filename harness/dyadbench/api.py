"""The contract: everything a plugin author imports.

Importing this module must stay cheap: no torch, no scipy, no pandas. Arrays that cross the contract are
numpy float32 with the axes written beside them; B clips, K samples, T frames, D motion channels, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_serializer

if TYPE_CHECKING:  # annotations only: `dyadbench list` must wait for neither numpy nor torch
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Array = NDArray[np.float32]
    State = dict[str, NDArray[Any]]
else:

    def __getattr__(name: str) -> Any:
        if name not in ("Array", "State"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import numpy as np
        from numpy.typing import NDArray

        return NDArray[np.float32] if name == "Array" else dict[str, NDArray[Any]]


Direction = Literal["max", "min", "match"]
Family = Literal["", "appropriateness", "diversity", "synchrony", "realism"]
TrackName = Literal["online", "offline"]

EMOTION_CHANNELS: tuple[str, ...] = (
    *(f"AU{n}" for n in (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26)),
    *("valence", "arousal"),
    *("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt"),
)  # the 25 columns of a REACT emotion file, in file order


class DyadbenchError(Exception):
    """The request was wrong: one sentence that says what, where and what to do next. Exit code 2."""


class Config(BaseModel):
    """Base of every configuration: frozen, and a key it does not know is an error.

    A predictor's `sampling` names the fields that only `sample` reads: what was trained serves all their values.
    A dataset's `adjustable` names the fields that may be set under a benchmark's own name, because they add to the data
    without changing what is evaluated, or because the digest tells such data apart. Its `machine_paths` names those that may
    hold a path of this machine, which no record keeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sampling: ClassVar[frozenset[str]] = frozenset()
    adjustable: ClassVar[frozenset[str]] = frozenset()
    machine_paths: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Entry:
    """What a hook returns: the description of one named thing. There is one subclass for each hook."""

    name: str
    version: int  # its author raises it whenever the same configuration may give other numbers


@dataclass(frozen=True)
class ComponentEntry(Entry):
    """A thing that is built from a configuration. Nothing heavy is imported until it is built."""

    load: str  # "package.module:attribute", imported on first use
    config: type[Config] = Config
    summary: str = ""
    cite: str = ""
    presets: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # name -> fields that differ from the default


class DatasetEntry(ComponentEntry):
    """`load` names a `DatasetFactory`."""


class TokenizerEntry(ComponentEntry):
    """`load` names a `TokenizerFactory`."""


@dataclass(frozen=True)
class PredictorEntry(ComponentEntry):
    """`load` names a `PredictorFactory`, or an `OnTokensFactory` where its method has a tokenizer."""

    calibration: bool = False  # a reference row: shown beside the methods, never ranked; only these may see the truth
    deterministic: bool = False  # the seed changes nothing, so that one seed is all there is to know


class SuiteEntry(ComponentEntry):
    """`load` names a `SuiteFactory`."""


@dataclass(frozen=True)
class MethodEntry(Entry):
    """A predictor, and the tokenizer that it stands on if it has one, under one name. Their presets are the method's."""

    predictor: str
    tokenizer: str = ""
    summary: str = ""
    cite: str = ""


@dataclass(frozen=True)
class BenchmarkEntry(Entry):
    """A benchmark: all that is to be said of it is its configuration."""

    config: BenchmarkConfig
    summary: str = ""


# --- data -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MotionSpace:
    """The channels of a facial motion vector and how fast frames come."""

    name: str
    fps: float
    channels: tuple[str, ...]
    groups: Mapping[str, tuple[int, int]]  # group -> [start, stop) over channels

    @property
    def dim(self) -> int:
        return len(self.channels)

    def slice(self, group: str) -> slice:
        return slice(*self.groups[group])


FACEVERSE_58 = MotionSpace(
    # 52 ARKit-like (not ARKit) expression coefficients of FaceVerse v2, then head rotation and translation.
    name="faceverse-58",
    fps=25.0,
    channels=(*(f"exp{i}" for i in range(52)), *(f"rot{a}" for a in "xyz"), *(f"trans{a}" for a in "xyz")),
    groups={"expression": (0, 52), "rotation": (52, 55), "translation": (55, 58)},
)
DECA_56 = MotionSpace(
    name="deca-56",
    fps=30.0,
    channels=(*(f"exp{i}" for i in range(50)), *(f"rot{a}" for a in "xyz"), *(f"jaw{a}" for a in "xyz")),
    groups={"expression": (0, 50), "rotation": (50, 53), "jaw": (53, 56)},
)


@dataclass(frozen=True)
class AudioSpec:
    """One kind of audio feature: `per_frame` feature rows for each video frame, `dim` values a row."""

    dim: int
    per_frame: int = 1
    causal: bool = True


@dataclass(frozen=True)
class Word:
    text: str
    start: float  # seconds from the start of the clip
    end: float


@dataclass(frozen=True)
class Track:
    """One person over one clip."""

    motion: Array  # (T, D), in the dataset's declared normalisation
    emotion: Array | None = None  # (T, 25)
    audio: Mapping[str, Array] = field(default_factory=dict)  # name -> (T * per_frame, F)
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True)
class Clip:
    """Where a dyad stands in a split. `session` is the unit of resampling: clips of one recording share it."""

    id: str
    session: str
    frames: int


@dataclass(frozen=True)
class Dyad:
    clip: Clip
    speaker: Track
    listener: Track


@runtime_checkable
class Dataset(Protocol):
    """A reader over one folder. Splits are "train", "val", "test"; clip order is the dataset's own and fixed."""

    space: MotionSpace
    audio: Mapping[str, AudioSpec]
    has_emotion: bool

    @property
    def simulated(self) -> bool:
        """Whether a generator made it; such data never shares a table with real data."""

    @property
    def digest(self) -> str:
        """sha256 over what the files say (names and bytes); part of every key."""

    def clips(self, split: str) -> Sequence[Clip]: ...

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        """The `index`-th dyad of `clips(split)`; only the audio features named are read."""

    def appropriate(self, split: str) -> NDArray[np.bool_]:
        """(N, N): [n, j] is true where the listener of clip j is an appropriate reaction to the speaker of n."""

    def normalisation(self) -> Mapping[str, Any]:
        """What was done to motion: kind ("zero-centre", "standardise", "none"), statistics, their split."""


@runtime_checkable
class DrawsListeners(Protocol):
    """A dataset that can also draw a listener whom it does not hold: another person who hears the same speaker.

    Only a simulation can; of recorded people there are as many as were recorded.
    """

    def fresh(self, split: str, index: int, draw: int) -> Track:
        """A new listener for the `index`-th dyad of `clips(split)`, in the dataset's normalisation. Each `draw`, from 0,
        is another person; the same one is the same again."""


# --- methods --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needs:
    """What a predictor uses. `lookahead` counts speaker frames after the one being generated; None: whole clip."""

    audio: tuple[str, ...] = ()
    face: bool = True
    words: bool = False
    lookahead: int | None = 0
    truth: bool = False  # only entries with calibration=True are given it
    fresh: bool = False  # likewise: listeners that the dataset draws again (DrawsListeners)


@dataclass(frozen=True)
class Truth:
    """What only calibration rows may see: every appropriate reaction, the true one first."""

    motion: tuple[Array, ...]  # per clip (A, T, D)
    emotion: tuple[Array | None, ...]  # per clip (A, T, 25)


class _DeclaredAudio(dict[str, Any]):
    """Audio features by name; one that was not asked for says how to ask for it."""

    def __init__(self, features: Mapping[str, Any], advice: str):
        super().__init__(features)
        self._advice = advice

    def __missing__(self, name: str) -> Any:
        raise DyadbenchError(f"it reads the audio feature {name!r}, which {self._advice.format(name)}")


@dataclass(frozen=True)
class Context:
    """What a predictor may see: a batch of speakers, padded with zeros after `lengths`."""

    clips: tuple[str, ...]
    lengths: NDArray[np.int64]  # (B,)
    speaker_motion: Array  # (B, T, D)
    speaker_emotion: Array | None  # (B, T, 25)
    audio: Mapping[str, Array]  # the speaker's: name -> (B, T * per_frame, F)
    words: tuple[tuple[Word, ...], ...] | None = None
    truth: Truth | None = None
    fresh: Callable[[int, int], Track] | None = None  # (row of this batch, draw) -> a new listener

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "audio", _DeclaredAudio(self.audio, "its needs do not name: needs = Needs(audio=({!r},))")
        )

    @property
    def frames(self) -> int:
        return int(self.speaker_motion.shape[1])


@dataclass(frozen=True)
class Reaction:
    """What a predictor returns: exactly the frames it was asked for, whatever its patch size."""

    motion: Array | None  # (B, K, T, D); None only where the method works in emotion space alone
    emotion: Array | None = None  # (B, K, T, 25)


class Noise(Protocol):
    """One random stream for each (clip, sample): the batch a clip falls into cannot change its reactions."""

    def stream(self, clip: str, sample: int, purpose: str = "") -> np.random.Generator: ...


@dataclass(frozen=True)
class Setup:
    """What a component is built for. `seed` is the cell's; `device` and `threads` never enter a key."""

    space: MotionSpace
    audio: Mapping[str, AudioSpec]
    has_emotion: bool
    seed: int
    device: str = "cpu"
    threads: int = 1


class TrainData(Protocol):
    """The train and validation splits, read clip by clip."""

    def clips(self, split: str) -> Sequence[Clip]: ...

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]: ...

    def appropriate(self, split: str) -> NDArray[np.bool_]:
        """(N, N) as `Dataset.appropriate`, for methods that learn from all reactions that suit a speaker."""


@runtime_checkable
class Predictor(Protocol):
    """Built as `load(config, setup)` (with `tokenizer=` as well where its method has one)."""

    needs: Needs

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction: ...


@dataclass(frozen=True)
class Tokens:
    """What a tokenizer made of a batch of clips."""

    ids: NDArray[np.int64]  # (B, N), or (B, N, G, R) for a grid
    keyframes: NDArray[np.bool_] | None = None  # (B, T), or (B, T, G), for sparse tokenizers: where the ids sit
    frames: int = 0  # T of the motion that was encoded


@runtime_checkable
class Tokenizer(Protocol):
    """Built as `load(config, setup)`; learns as a Trainable or Fittable."""

    tokens: TokenSpec

    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids."""

    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, Array | None]:
        """ids -> motion (B, frames, D) and emotion (B, frames, 25) or None. An id outside the book raises ValueError."""


@runtime_checkable
class Fittable(Protocol):
    """A component that learns in one call. What it learnt must survive `load_state(state())`."""

    def fit(self, data: TrainData) -> None: ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


@dataclass(frozen=True)
class TokenSpec:
    """What a tokenizer's ids look like: (B, N) for one book, (B, N, G, R) for a grid."""

    codes: int  # entries of each book
    frames_per_token: int | None  # None: sparse, positions come with the tokens
    groups: int = 1
    residual: int = 1
    lookahead: int | None = 0  # frames after its own that a token's encoding depends on


@dataclass(frozen=True)
class Windows:
    """How training batches are drawn: `batch` windows of `frames` frames at random places of random clips."""

    frames: int
    batch: int
    audio: tuple[str, ...] = ()


@dataclass(frozen=True)
class WindowBatch:
    """Windows as torch tensors on the training device; `valid` is False after a clip's end."""

    clips: tuple[str, ...]
    speaker_motion: Tensor  # (B, T, D)
    listener_motion: Tensor  # (B, T, D)
    speaker_emotion: Tensor | None  # (B, T, 25)
    listener_emotion: Tensor | None  # (B, T, 25)
    audio: Mapping[str, Tensor]  # name -> (B, T * per_frame, F), the speaker's
    valid: Tensor  # (B, T) bool
    step: int  # of this stage, from 0; -1 in validation
    progress: float  # step / steps
    starts: Any = None  # (B,) numpy integers: each window's first frame in its clip
    rank: int = 0  # this process, whose rows these are: every `processes`-th of the batch that all share
    processes: int = 1
    rows: int | None = None  # of that batch; None: as many as here
    generator: torch.Generator | None = None  # what a loss draws from, the same in all processes; None: torch's own

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", _DeclaredAudio(self.audio, "its windows do not name: Windows(audio=({!r},))"))

    def draw_rows(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        """A CPU tensor (B, *shape) of `draw`, which takes a shape and `generator`, as torch.rand does. It is drawn for the
        whole batch and cut, so what a loss draws for a row does not depend on the number of processes."""
        return draw((self.rows or len(self.clips), *shape), generator=self.generator)[self.rank :: self.processes]


@dataclass(frozen=True)
class Loss:
    """One tensor for each optimiser of the stage, by name, and numbers to log."""

    total: Mapping[str, Tensor]
    log: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimiser:
    """AdamW over `parameters`; `schedule` maps the step (from 0) to a factor on `lr`."""

    name: str
    parameters: Sequence[nn.Parameter]
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Callable[[int], float] = lambda step: 1.0


@dataclass(frozen=True)
class Stage:
    """One phase of training. `module` holds everything that is learnt; its state is what checkpoints keep."""

    name: str
    module: nn.Module
    windows: Windows
    loss: Callable[[WindowBatch], Loss]
    optimisers: tuple[Optimiser, ...]
    steps: int
    validate: Callable[[WindowBatch], Mapping[str, Any]] | None = None  # default: the loss, in eval mode
    validate_every: int = 0  # 0: only at the end
    select: str | None = None  # validation metric (lower is better) that chooses the weights kept; None: the last
    patience: int | None = None  # validations without a better one before stopping early
    ema: float | None = None
    clip_norm: float | None = None
    accumulate: int = 1


@runtime_checkable
class Trainable(Protocol):
    """A component that learns by gradient. Stages are asked for one after another, each after the one before ran."""

    def stages(self, data: TrainData) -> Iterator[Stage]: ...

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any: ...


class DatasetFactory(Protocol):
    """What a `DatasetEntry` loads: a class or a function that opens the folder `root`."""

    def __call__(self, config: Any, root: Path) -> Dataset: ...


class TokenizerFactory(Protocol):
    """What a `TokenizerEntry` loads. `config` is an instance of the entry's configuration."""

    def __call__(self, config: Any, setup: Setup) -> Tokenizer: ...


class PredictorFactory(Protocol):
    """What a `PredictorEntry` loads for a method without a tokenizer."""

    def __call__(self, config: Any, setup: Setup) -> Predictor: ...


class OnTokensFactory(Protocol):
    """What a `PredictorEntry` loads for a method with a tokenizer, which is trained by then."""

    def __call__(self, config: Any, setup: Setup, *, tokenizer: Tokenizer) -> Predictor: ...


class SuiteFactory(Protocol):
    """What a `SuiteEntry` loads."""

    def __call__(self, config: Any) -> Suite: ...


@runtime_checkable
class Counted(Protocol):
    """Optional: which numbers of a component were learnt. Without it all of its state counts, stored examples included."""

    def parameters(self) -> Iterable[Any]:
        """Tensors or arrays; their sizes are summed. A torch module's own `parameters` will do."""


@runtime_checkable
class OnTokens(Protocol):
    """Optional: a predictor that shows the tokenizer it stands on, whose pictures are then drawn as well."""

    tokenizer: Tokenizer


@runtime_checkable
class Voiced(Protocol):
    """Optional: a dataset with the speaker's voice to play."""

    def voice(self, split: str, index: int) -> tuple[NDArray[Any], int] | None:
        """(samples,) and their rate, or None where a clip has no sound."""


@runtime_checkable
class Drawable(Protocol):
    """A predictor or tokenizer with pictures of its own, drawn where `dyadbench run --draw` asks for them."""

    def draw(self, dyad: Dyad) -> Mapping[str, str]:
        """Name -> SVG document, of one clip."""


# --- scores ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """One metric of a suite: what is printed, which way is better, and whether it takes part in the rank."""

    id: str
    direction: Direction
    ranked: bool = True
    version: int = 1
    unit: str = ""
    digits: int = 4
    summary: str = ""
    target: str = ""  # for `match`: the id of the column that holds the value to match
    family: Family = ""  # what it is about; diversity is liveliness, too
    headline: bool = False  # part of the skill that ranks: only columns that pass the validity tests
    perfect: float | None = None  # what a perfect listener has, where no row shows it
    low: float | None = None  # the least and the largest value there can be; intervals stay within
    high: float | None = None
    by_clip: bool = True  # False: a count over all clips, of which their resampling says nothing

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise ValueError(
                f"column {self.id!r} has the direction {self.direction!r}; it must be one of {', '.join(get_args(Direction))}"
            )


@dataclass(frozen=True)
class Result:
    """One metric's outcome.

    The mean of `per_clip` over its defined entries is `value`: exact for metrics that are means over clips,
    re-centred jackknife pseudo-values for those that are not (FRDvs, pooled Frechet distances). That is what
    lets one cluster bootstrap serve every metric.
    """

    value: float | None  # None: undefined; never NaN
    per_clip: NDArray[np.float64]  # (N,), NaN where undefined
    undefined: int = 0  # how many of the items it averages had no value
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Everything a suite may look at, clips in dataset order, padded after `lengths`."""

    clips: tuple[str, ...]
    lengths: NDArray[np.int64]  # (N,)
    space: MotionSpace
    predicted_motion: Any  # (N, K, T, D) array-like read clip by clip, or None
    predicted_emotion: Any  # (N, K, T, 25) array-like, or None
    listener_motion: Any  # (N, T, D)
    speaker_motion: Any  # (N, T, D)
    listener_emotion: Any = None  # (N, T, 25)
    speaker_emotion: Any = None  # (N, T, 25)
    appropriate: NDArray[np.bool_] | None = None  # (N, N)
    threads: int = 1
    device: str = "cpu"
    memo: dict[str, Any] = field(default_factory=dict)  # what several suites would otherwise compute twice


Progress = Callable[[int, int], None]  # done, total


class Suite(Protocol):
    """A named set of metrics. `columns` fixes order; `evaluate` returns one Result for each column id."""

    columns: Sequence[Column]
    space: Literal["emotion", "motion"]

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]: ...


class BenchmarkConfig(Config):
    """dataset x split x track x K x suite: the thing a leaderboard is about."""

    dataset: str
    dataset_config: Mapping[str, Any] = {}
    split: str = "test"
    track: TrackName = "online"
    samples: int = 10
    suite: str
    also: tuple[str, ...] = ()  # further suites computed on the same generations, shown but not ranked
    allowed_lookahead: int = 0  # frames an online method may look ahead
    folds: int = Field(default=0, ge=0)  # 0: the dataset's own splits; n: n-fold cross-validation by session
    action_units: Literal["binary", "raw"] = (
        "binary"  # what is scored: 0/1 by the rule of datasets/readout, or as emitted
    )

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: Callable[[BenchmarkConfig], dict[str, Any]]) -> dict[str, Any]:
        """Without `folds` and `action_units` where they are the default: what was written before they existed stays as it was."""
        later = {"folds": 0, "action_units": "binary"}
        return {name: value for name, value in handler(self).items() if name not in later or value != later[name]}

"""Predictors: what they are built for, what they see, what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dyadbench.api.base import DyadbenchError, names_of, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dyadbench.api.base import Array
    from dyadbench.api.data import AudioSpec, Dyad, MotionSpace, Track, Word


@dataclass(frozen=True)
class Needs:
    """What a predictor uses. `lookahead` counts speaker frames after the one being generated; None: whole clip."""

    audio: tuple[str, ...] = ()
    face: bool = True
    words: bool = False
    lookahead: int | None = 0
    truth: bool = False  # only entries with calibration=True are given it
    fresh: bool = False  # likewise: listeners that the dataset draws again (DrawsListeners)
    own_audio: tuple[str, ...] = ()  # features of the listener's own voice; a benchmark must be two-sided
    own_past: int = 0  # frames of the listener's motion before the clip; likewise

    def __post_init__(self) -> None:
        for name in ("audio", "own_audio"):
            object.__setattr__(self, name, names_of(name, getattr(self, name)))
        for name in ("lookahead", "own_past"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 0))

    @property
    def two_sided(self) -> tuple[str, ...]:
        """What it is given of the listener: "own voice", "own past"."""
        voice = bool(self.own_audio) or any(name.startswith("own-") for name in self.audio)
        return ("own voice",) * voice + ("own past",) * bool(self.own_past)


@dataclass(frozen=True)
class Truth:
    """What only calibration rows may see: every appropriate reaction, the true one first."""

    motion: tuple[Array, ...]  # per clip (A, T, D)
    emotion: tuple[Array | None, ...]  # per clip (A, T, 25)


class DeclaredAudio(dict[str, Any]):
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
    own_audio: Mapping[str, Array] = field(default_factory=dict)  # the listener's own voice, as `audio`
    own_past: Array | None = None  # (B, P, D): the listener right before the clip, the newest frame last
    own_past_lengths: NDArray[np.int64] | None = (
        None  # (B,) how many of the P frames there are; the others, zeros, come first
    )

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "own_audio", DeclaredAudio(self.own_audio, "its needs do not name: needs = Needs(own_audio=({!r},))")
        )
        object.__setattr__(
            self, "audio", DeclaredAudio(self.audio, "its needs do not name: needs = Needs(audio=({!r},))")
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


@runtime_checkable
class Predictor(Protocol):
    """Built as `load(config, setup)` (with `tokenizer=` as well where its method has one)."""

    needs: Needs

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction: ...


class Stream(Protocol):
    """Conversations under way, one per clip, that `Streaming.start` began. It returns None where no frame is due."""

    def step(self, heard: Context) -> Reaction | None:
        """The listener frames that the new speaker frames complete, each once and in order: (B, K, m, D), m from 1.

        `heard` holds the new frames alone, as many for every clip, and the words that end in them. Frame t is given once
        frame t + needs.lookahead is heard.
        """

    def finish(self) -> Reaction | None:
        """The speaker has ended: the frames that are still due. More may come than were heard; they are cut."""


@runtime_checkable
class Streaming(Predictor, Protocol):
    """Optional: a predictor that reacts while the speaker speaks. All its steps together are what `sample` gives at once."""

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> Stream:
        """DyadbenchError where this configuration cannot stream."""


@runtime_checkable
class Drawable(Protocol):
    """A predictor or tokenizer with pictures of its own, drawn where `dyadbench run --draw` asks for them."""

    def draw(self, dyad: Dyad) -> Mapping[str, str]:
        """Name -> SVG document, of one clip."""


class PredictorFactory(Protocol):
    """What a `PredictorEntry` loads for a method without a tokenizer."""

    def __call__(self, config: Any, setup: Setup) -> Predictor: ...

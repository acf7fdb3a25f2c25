"""Datasets: two people per clip, and the reader of a folder of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dyadbench.api.base import Array

EMOTION_CHANNELS: tuple[str, ...] = (
    *(f"AU{n}" for n in (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26)),
    *("valence", "arousal"),
    *("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt"),
)  # the 25 columns of a REACT emotion file, in file order
EMOTION_DIM = len(EMOTION_CHANNELS)
EMOTION_GROUPS: Mapping[str, tuple[int, int]] = {"units": (0, 15), "affect": (15, 17), "expressions": (17, EMOTION_DIM)}
EMOTION_VALUES: Mapping[str, str] = {"units": "0 or 1", "affect": "from -1 to 1", "expressions": "probabilities"}
ACTION_UNITS, AFFECT, EXPRESSIONS = (slice(*channels) for channels in EMOTION_GROUPS.values())
EMOTION_LOW: tuple[float, ...] = (*[0.0] * 15, *[-1.0] * 2, *[0.0] * 8)  # their lowest values; all highest are 1


@dataclass(frozen=True)
class MotionSpace:
    """The channels of a facial motion vector and how fast frames come."""

    name: str
    fps: float
    channels: tuple[str, ...]
    groups: Mapping[str, tuple[int, int]]  # group -> [start, stop) over channels
    units: Mapping[str, str] = field(default_factory=dict)  # group -> what its numbers are, as far as it is known

    def __post_init__(self) -> None:
        """Raises ValueError for a rate that is no positive number, a group that is no part of the channels, and units of no group."""
        if isinstance(self.fps, bool | str) or not 0 < self.fps < float("inf"):
            raise ValueError(
                f"motion space {self.name!r} has fps = {self.fps!r}; frames per second are a positive number"
            )
        for group, (start, stop) in self.groups.items():
            if not 0 <= start < stop <= len(self.channels):
                raise ValueError(
                    f"motion space {self.name!r}: group {group!r} is [{start}, {stop}) of {len(self.channels)} channels; "
                    "0 <= start < stop <= channels is due"
                )
        if strange := sorted(self.units.keys() - self.groups.keys()):
            raise ValueError(f"motion space {self.name!r} has units of {strange[0]!r}, which is none of its groups")

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
    units={"rotation": "radians"},
)


DECA_56 = MotionSpace(
    name="deca-56",
    fps=30.0,
    channels=(*(f"exp{i}" for i in range(50)), *(f"rot{a}" for a in "xyz"), *(f"jaw{a}" for a in "xyz")),
    groups={"expression": (0, 50), "rotation": (50, 53), "jaw": (53, 56)},
    units={"rotation": "radians", "jaw": "radians"},
)


@dataclass(frozen=True)
class AudioSpec:
    """One kind of audio feature: `per_frame` feature rows for each video frame, `dim` values per row."""

    dim: int
    per_frame: int = 1
    causal: bool = True


OWN_VOICE = "own-"  # prefix of a feature's name among `audio` where it is of the listener's own voice
VIDEO_FEATURES = "video-features"  # by convention the name of features of the speaker's video frames among `audio`
AUDIO_FEATURES = "audio-features"  # by convention the name of features of the sound that a user computed elsewhere


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
    frames: int  # of the speaker, and of what is generated
    listener_frames: int | None = None  # None: as many


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
        """(N, N): [n, j] is true where the listener of clip j is an appropriate reaction to the speaker of n.

        With `MoreListeners` (N, N + M): those who are the listener of no clip come last.
        """

    def normalisation(self) -> Mapping[str, Any]:
        """What was done to motion: kind ("zero-centre", "standardise", "none"), statistics, their split."""


@runtime_checkable
class DrawsListeners(Protocol):
    """A dataset that can also generate a new listener: another person who hears the same speaker.

    Only a simulation can do this.
    """

    def fresh(self, split: str, index: int, draw: int) -> Track:
        """A new listener for the `index`-th dyad of `clips(split)`, in the dataset's normalisation. Each `draw`, from 0,
        is another person; the same one is the same again."""


@runtime_checkable
class RemembersListeners(Protocol):
    """Optional: a dataset whose clips are cut from longer recordings, so that a listener has a past."""

    def past(self, split: str, index: int, frames: int) -> Array:
        """(up to frames, D): the listener's motion right before the `index`-th clip, the newest frame last."""


@runtime_checkable
class KnowsListeners(Protocol):
    """Optional: a dataset that can tell who listens in which clip."""

    def listeners(self, split: str) -> Sequence[str] | None:
        """A name per clip of `clips(split)`: the same name is the same person. None where the dataset does not say."""


@runtime_checkable
class MoreListeners(Protocol):
    """Optional: a dataset with more reactions that suit some clip and are the true listener's of no clip."""

    def more_listeners(self, split: str) -> Sequence[Track]:
        """M tracks, each of its own length."""


@runtime_checkable
class AppropriateBetween(Protocol):
    """Optional: a dataset that knows which reactions suit a clip of another split, which cross-validation asks. It has no `more_listeners`."""

    def appropriate_between(self, places: Sequence[tuple[str, int]]) -> NDArray[np.bool_]:
        """(N, N) as `Dataset.appropriate`, of clips by (split, index)."""


@runtime_checkable
class Aligns(Protocol):
    """Optional: a dataset with a length aligner of its own, which its official metric turns listeners to a clip's length with."""

    def align(self, emotion: Array, frames: int) -> Array:
        """(T_j, 25) -> (frames, 25)."""


@runtime_checkable
class Voiced(Protocol):
    """Optional: a dataset with the speaker's voice to play."""

    def voice(self, split: str, index: int) -> tuple[NDArray[Any], int] | None:
        """(samples,) and their rate, or None where a clip has no sound."""


@runtime_checkable
class KnowsShape(Protocol):
    """Optional, of a `DatasetFactory`: says without the data what clips are like, which `dyadbench show` prints.

    Of a class without it `show` takes the attribute `space`.
    """

    def shape_of(self, config: Any) -> tuple[MotionSpace, int | None]:
        """The motion space, and the frames of every clip: None where clips are of different length."""


class DatasetFactory(Protocol):
    """What a `DatasetEntry` loads: a class or a function that opens the folder `root`."""

    def __call__(self, config: Any, root: Path) -> Dataset: ...

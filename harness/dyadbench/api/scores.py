"""Suites of metrics, what they return, and the benchmark that names them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from pydantic import Field, model_serializer

from dyadbench.api.base import Config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dyadbench.api.base import Array
    from dyadbench.api.data import MotionSpace

Direction = Literal["max", "min", "match"]


Family = Literal["", "appropriateness", "diversity", "synchrony", "realism"]


TrackName = Literal["online", "offline"]


# What the id of a column ends with that holds the value which another column should match: the true listeners' own FRVar is
# `FRVar_target`. Records hold ids and no columns, so claims find a target by this ending, and tables leave targets out by it.
TARGET_SUFFIX = "_target"


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
    target: str = ""  # for `match`: the id of the column that holds the value to match, see TARGET_SUFFIX
    # What it is about; diversity is liveliness, too. Without one a column that is not ranked is not judged.
    family: Family = ""
    headline: bool = False  # part of the skill that ranks: only columns that pass the validity tests
    perfect: float | None = None  # what a perfect listener has, where no row shows it
    low: float | None = None  # the least and the largest value there can be; intervals stay within
    high: float | None = None
    by_clip: bool = True  # False: a count over all clips, of which their resampling says nothing
    formula: str = ""  # "module:function" whose docstring gives it; "": that of the suite's module does

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise ValueError(
                f"column {self.id!r} has the direction {self.direction!r}; it must be one of {', '.join(get_args(Direction))}"
            )
        if self.headline and self.direction == "match":
            raise ValueError(
                f"column {self.id!r} is to match a target, so that no end of it is better and it has no skill; leave out `headline`"
            )

    @property
    def judged(self) -> bool:
        """Whether anybody knows which way is better: what has no family and takes no part in the rank is only shown."""
        return self.ranked or bool(self.family)


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
class Ragged:
    """Emotion of speakers and listeners of different length. In `Evaluation`, `lengths` are the frames that both have."""

    speaker_lengths: NDArray[np.int64]  # (N,), and of what was generated
    listeners: Sequence[Array]  # R of (T_j, 25), whole: the clips' own, then more that may be appropriate
    appropriate: NDArray[np.bool_]  # (N, R)
    align: Callable[[Array, int], Array] | None = None  # the dataset's own (api.Aligns)


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
    ragged: Ragged | None = None
    threads: int = 1
    device: str = "cpu"
    memo: dict[str, Any] = field(default_factory=dict)  # what several suites would otherwise compute twice

    def with_own_listeners(self) -> Evaluation:
        """Without the listeners beyond the clips' own, whom only `appropriate` names: for suites that do not ask it."""
        count = len(self.clips)
        if len(self.lengths) == count:
            return self
        own: dict[str, Any] = {
            name: None if (x := getattr(self, name)) is None else x[:count]
            for name in ("listener_motion", "listener_emotion")
        }
        return dataclasses.replace(self, lengths=self.lengths[:count], appropriate=None, memo={}, **own)


Progress = Callable[[int, int], None]  # done, total


class Suite(Protocol):
    """A named set of metrics. `columns` fixes order; `evaluate` returns one Result for each column id.

    A suite of motion may name the groups of channels that it scores in `groups`: data without one of them are refused before
    anything is trained. With `all_groups = False` it needs one of them only, and its columns of the others are undefined.
    """

    columns: Sequence[Column]
    space: Literal["emotion", "motion"]

    def evaluate(self, data: Evaluation, progress: Progress | None = None) -> Mapping[str, Result]: ...


class SuiteFactory(Protocol):
    """What a `SuiteEntry` loads."""

    def __call__(self, config: Any) -> Suite: ...


class Renderer(Protocol):
    """Makes pictures of motion, which FRRea compares (`dyadbench realism --renderer NAME`)."""

    def render(self, motion: NDArray[np.float32], space: MotionSpace) -> NDArray[np.uint8]:
        """(T, D) coefficients -> (T, H, W, 3) bytes. The frames need not follow each other: each is a picture of its own."""


class RendererFactory(Protocol):
    """What a `RendererEntry` loads."""

    def __call__(self, config: Any) -> Renderer: ...


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
    action_units: Literal["binary", "raw"] = "binary"  # scored as 0/1 by the rule of datasets/readout, or as emitted
    two_sided: bool = (
        False  # whether predictors may be given the listener's own voice and past (Needs.own_audio, own_past)
    )
    clips: int = Field(default=0, ge=0)  # of the split, spread evenly; 0: all. What is trained sees all the same

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: Callable[[BenchmarkConfig], dict[str, Any]]) -> dict[str, Any]:
        """Without what came later where it is the default: what was written before it existed stays as it was."""
        later = {"folds": 0, "action_units": "binary", "clips": 0, "two_sided": False}
        return {name: value for name, value in handler(self).items() if name not in later or value != later[name]}

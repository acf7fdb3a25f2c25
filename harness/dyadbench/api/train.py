"""Learning: in one call (`Fittable`), or by gradient in stages (`Trainable`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dyadbench.api.base import names_of
from dyadbench.api.predict import DeclaredAudio

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from dyadbench.api.data import Clip, Dyad


class TrainData(Protocol):
    """The train and validation splits, read clip by clip."""

    def clips(self, split: str) -> Sequence[Clip]: ...

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]: ...

    def appropriate(self, split: str) -> NDArray[np.bool_]:
        """(N, N) as `Dataset.appropriate`, for methods that learn from all reactions that suit a speaker."""


@runtime_checkable
class Stateful(Protocol):
    """What a component has learnt, by name: torch tensors, or numpy arrays where it learns in one call.

    A component of the same configuration must react the same after `load_state_dict(state_dict())`. The store keeps this.
    """

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any: ...


@runtime_checkable
class Fittable(Stateful, Protocol):
    """A component that learns in one call. Its state is numpy arrays."""

    def fit(self, data: TrainData) -> None: ...


@dataclass(frozen=True)
class Windows:
    """How training batches are drawn: `batch` windows of `frames` frames at random places of random clips."""

    frames: int
    batch: int
    audio: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", names_of("audio", self.audio))


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
    voices: Any = None  # B pairs (clip, first frame) of who speaks: another clip's where a stranger's voice is heard
    rank: int = 0  # this process, whose rows these are: every `processes`-th of the batch that all share
    processes: int = 1
    rows: int | None = None  # of that batch; None: as many as here
    generator: torch.Generator | None = None  # what a loss draws from, the same in all processes; None: torch's own

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", DeclaredAudio(self.audio, "its windows do not name: Windows(audio=({!r},))"))

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
class Trainable(Stateful, Protocol):
    """A component that learns by gradient. Its state is torch tensors.

    `stages` is a generator: each stage is asked for after the one before it has run.
    """

    def stages(self, data: TrainData) -> Iterator[Stage]: ...


@runtime_checkable
class Counted(Protocol):
    """Optional: which numbers of a component were learnt. Without it all of its state counts, stored examples included."""

    def parameters(self) -> Iterable[Any]:
        """Tensors or arrays; their sizes are summed. A torch module's own `parameters` will do."""

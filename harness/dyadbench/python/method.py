"""`load_method`: a trained method, to be sampled on any clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import (
    EMOTION_DIM,
    Array,
    AudioSpec,
    Context,
    DyadbenchError,
    MotionSpace,
    Noise,
    Predictor,
    Reaction,
    Word,
)
from dyadbench.errors import PluginError
from dyadbench.files.arrays import floats
from dyadbench.matrix.cells import cells_of
from dyadbench.python.arrays import plugins
from dyadbench.python.run import Data, demand_count, request_of, runtime_of
from dyadbench.registry.chance import own_generators


@dataclass(frozen=True)
class LoadedMethod:
    """A method as a benchmark would sample it."""

    name: str
    space: MotionSpace  # what `motion` of `sample` is
    audio: Mapping[str, AudioSpec]  # the features that the dataset has
    normalisation: Mapping[str, Any]  # what the dataset did to motion; yours must be treated alike
    predictor: Predictor
    seed: int
    entry: str  # the predictor's registered name
    has_emotion: bool  # whether the dataset has emotion, which the predictor may then rely on

    def sample(
        self,
        motion: Any,
        *,
        emotion: Any = None,
        audio: Mapping[str, Any] | str | Path | None = None,
        words: Sequence[Word] | None = None,
        k: int = 1,
        clip: str = "clip",
    ) -> Reaction:
        """K reactions to one speaker: motion (1, K, T, D), emotion (1, K, T, 25), each None where the method gives none.

        Args:
            motion: (T, D), the speaker's, in `space` and with the dataset's `normalisation`.
            emotion: (T, 25), the speaker's, where the method reads it.
            audio: the speaker's features by name (T * per_frame, F), or a wav file, from which they are computed.
            words: the speaker's, for methods that read them.
            k: samples. clip: a name; another one gives other random numbers.

        Raises DyadbenchError where the method needs what was not given, ValueError for wrong shapes, PluginError where the
        method fails.
        """
        from dyadbench.cell.noise import CellNoise
        from dyadbench.cell.react import react

        face = _frames(motion, "motion", self.space.dim)
        needs = self.predictor.needs
        context = Context(
            clips=(clip,),
            lengths=np.array([len(face)]),
            speaker_motion=face[None] if needs.face else np.zeros_like(face[None]),
            speaker_emotion=None if emotion is None else _frames(emotion, "emotion", EMOTION_DIM, len(face))[None],
            audio={name: self._feature(name, audio, len(face))[None] for name in needs.audio},
            words=(tuple(words or ()),) if needs.words else None,
        )

        def sample(context: Context, k: int, noise: Noise) -> Reaction:
            with plugins().blame("predictor", self.entry, "sample"):
                return self.predictor.sample(context, k, noise)

        try:
            return react(sample, context, demand_count(k, "k"), CellNoise(self.seed), self.space, self.name)
        except PluginError as error:
            if emotion is not None or not self.has_emotion:
                raise
            # No method says that it reads emotion, because every benchmark whose dataset has it gives it.
            raise DyadbenchError(
                f"{self.name} failed without the speaker's emotion, which its dataset has: give emotion=(T, {EMOTION_DIM}) array ({error})"
            ) from error

    def _feature(self, name: str, audio: Mapping[str, Any] | str | Path | None, frames: int) -> Array:
        spec = self.audio[name]
        if isinstance(audio, str | Path):
            from dyadbench.datasets.features import feature_of_wav

            return feature_of_wav(Path(audio), name, frames, self.space.fps)
        if audio is None or name not in audio:
            raise DyadbenchError(f"{self.name} hears {name!r}: give audio={{{name!r}: features}} or audio=WAV_FILE")
        return _frames(audio[name], f"audio {name}", spec.dim, frames * spec.per_frame)


@own_generators()
def load_method(
    method: str,
    benchmark: str,
    *,
    preset: str | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    fold: int = 0,
    train: bool = False,
    data: Data | None = None,
    root: str | Path | None = None,
    home: str | Path | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> LoadedMethod:
    """The method as it was trained on the benchmark's training split, from the store.

    Args:
        method, benchmark, preset, seed, settings, dataset, data, root, home, device, threads: as `run` takes them.
        fold: of a cross-validated benchmark, whose folds have a fit each.
        train: trains what the store does not have; otherwise DyadbenchError says what to run.
    """
    from dyadbench.cell.folds import run_of
    from dyadbench.cell.run import CellRun
    from dyadbench.cell.source import Source
    from dyadbench.cell.weights import learnt_parts

    host = plugins()
    [cell] = cells_of(host, request_of([benchmark], [method], preset, [seed], settings, dataset))
    _, runtime = runtime_of(root, home, data, [cell.dataset.name], device=device, threads=threads)
    source = Source(host, cell.dataset, runtime)
    parts = run_of(cell, host, source.runtime, source.dataset).parts
    if demand_count(fold, "fold", 0) >= len(parts):
        raise DyadbenchError(f"{benchmark} has {len(parts)} folds, of which {fold} is none")
    part: CellRun = parts[fold]
    missing = [] if train else [each for each in learnt_parts(part) if not each.stage.done]
    if missing:
        raise DyadbenchError(
            f"the store {runtime.store.root} has no fit of the {missing[0].kind} {missing[0].name} with this configuration, "
            "data and seed; pass train=True, or call dyadbench.run with the same arguments first"
        )
    predictor, _ = part.fit()
    dataset_of = part.dataset
    return LoadedMethod(
        method, dataset_of.space, dataset_of.audio, dataset_of.normalisation(), predictor, cell.seed,
        cell.predictor.name, dataset_of.has_emotion,
    )  # fmt: skip


def _frames(value: Any, what: str, channels: int, frames: int | None = None) -> Array:
    """(T, channels) float32, finite. Raises ValueError."""
    array = floats(value, what).astype(np.float32, copy=False)
    if array.ndim != 2 or array.shape[1] != channels or (frames is not None and len(array) != frames):
        raise ValueError(f"{what} has shape {array.shape}; ({frames or 'frames'}, {channels}) is expected")
    if not len(array) or not np.isfinite(array).all():
        raise ValueError(f"{what} is empty or holds NaN or infinity")
    return array

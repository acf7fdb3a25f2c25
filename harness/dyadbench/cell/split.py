"""One split of a dataset as arrays: what predictors are shown and what suites compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import (
    EMOTION_DIM,
    OWN_VOICE,
    Aligns,
    Array,
    Clip,
    Context,
    Dataset,
    Dyad,
    DyadbenchError,
    Evaluation,
    MoreListeners,
    MotionSpace,
    Needs,
    Ragged,
    RemembersListeners,
    Track,
    Truth,
)
from dyadbench.datasets.fresh import fresh_listener
from dyadbench.datasets.train_data import TrainSplits
from dyadbench.errors import demand_name


def demand_dataset(dataset: Any) -> None:
    """Raises DyadbenchError where a dataset does not declare what every key, record and table is made from."""
    due = {"space": MotionSpace, "audio": Mapping, "has_emotion": bool, "simulated": bool, "digest": str}
    for name, kind in due.items():
        value = getattr(dataset, name, None)
        if not isinstance(value, kind) or value == "":
            raise DyadbenchError(
                f"a {type(dataset).__name__} must have {name}: {kind.__name__}, and it is {value!r}; see dyadbench.api.Dataset"
            )


class Split:
    """A split with its tracks padded to the longest clip and kept once read.

    `emotion_only` reads no motion where the dataset offers `emotion(split, index)`: emotion can then be scored from the
    emotion files alone.
    """

    def __init__(self, dataset: Dataset, name: str, *, emotion_only: bool = False):
        self.dataset, self.name = dataset, name
        self.read_emotion = getattr(dataset, "emotion", None) if emotion_only else None
        self.clips = tuple(dataset.clips(name))
        if not self.clips:
            raise DyadbenchError(f"split {name!r} of the dataset holds no clips; `dyadbench data check` says why")
        ids = Counter(clip.id for clip in self.clips)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise DyadbenchError(f"split {name!r} of the dataset lists clip {twice[0]} twice; it would count double")
        for each in ids:
            demand_name(each, "the id of a clip")
        for each in {clip.session for clip in self.clips}:
            demand_name(each, "the session of a clip")
        self.lengths = np.array([clip.frames for clip in self.clips], np.int64)
        listener = [clip.frames if clip.listener_frames is None else clip.listener_frames for clip in self.clips]
        self.listener_lengths = np.array(listener, np.int64)
        # Frames that speaker and listener both have.
        self.common = _fixed(np.minimum(self.lengths, self.listener_lengths))
        if self.common.min() < 1:
            empty = self.clips[int(self.common.argmin())].id
            raise DyadbenchError(f"clip {empty} of split {name!r} has no frame; leave it out of the dataset")
        self.frames = int(self.lengths.max())

    def training(self) -> TrainSplits:
        return TrainSplits(self.dataset)

    def training_emotions(self) -> Iterator[tuple[Clip, Array | None]]:
        """(T, 25) of the listener of every training clip, under `emotion_only` from the emotion files alone."""
        data = self.training()
        if self.read_emotion is None:
            yield from ((dyad.clip, dyad.listener.emotion) for dyad in data.dyads("train"))
            return
        for index, clip in enumerate(data.clips("train")):
            yield clip, self.read_emotion("train", index)[1][: clip.frames]

    @cached_property
    def appropriate(self) -> np.ndarray:
        return _fixed(np.array(self.dataset.appropriate(self.name)[:, : len(self.clips)]))  # (N, N)

    @property
    def ragged(self) -> bool:
        """Whether a speaker and a listener differ in length, or listeners of no clip are appropriate."""
        return isinstance(self.dataset, MoreListeners) or bool((self.lengths != self.listener_lengths).any())

    @cached_property
    def whole_listeners(self) -> list[Track]:
        """Every listener at its own length: the clips' own, then those of no clip."""
        own = [self.dataset.dyad(self.name, index).listener for index in range(len(self.clips))]
        more = self.dataset.more_listeners(self.name) if isinstance(self.dataset, MoreListeners) else ()
        return [*own, *more]

    def training_means(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The mean frame of the training split's listeners: motion (D,), and emotion (25,) where the dataset has it."""
        motion, emotion, frames = np.zeros(self.dataset.space.dim), np.zeros(EMOTION_DIM), 0
        # In float64: a float32 sum over hours of frames loses the last digits of a mean.
        for dyad in self.training().dyads("train"):
            frames += len(dyad.listener.motion)
            motion += dyad.listener.motion.sum(0, dtype=np.float64)
            if dyad.listener.emotion is not None:
                emotion += dyad.listener.emotion.sum(0, dtype=np.float64)
        return motion / frames, emotion / frames if self.dataset.has_emotion else None

    @cached_property
    def _tracks(self) -> dict[str, np.ndarray | None]:
        shape = (len(self.clips), self.frames)
        emotion = self.dataset.has_emotion
        tracks: dict[str, np.ndarray | None] = {}
        for role in ("speaker", "listener"):
            motion = None if self.read_emotion else np.zeros((*shape, self.dataset.space.dim), np.float32)
            tracks[f"{role}_motion"] = motion
            tracks[f"{role}_emotion"] = np.zeros((*shape, EMOTION_DIM), np.float32) if emotion else None
        for index in range(len(self.clips)):
            both: list[tuple[Any, Any]]  # motion and emotion of speaker and listener
            if self.read_emotion:
                both = [(None, values) for values in self.read_emotion(self.name, index)]
            else:
                dyad = self.dataset.dyad(self.name, index)
                both = [(track.motion, track.emotion) for track in (dyad.speaker, dyad.listener)]
            for role, of in zip(("speaker", "listener"), both, strict=True):
                for kind, values in zip(("motion", "emotion"), of, strict=True):
                    array = tracks[f"{role}_{kind}"]
                    if array is not None:
                        frames = int((self.lengths if role == "speaker" else self.listener_lengths)[index])
                        checked = self._checked(index, f"{role}'s {kind}", values, (frames, array.shape[2]))
                        array[index, :frames] = checked[: self.frames]
        return {name: None if track is None else _fixed(track) for name, track in tracks.items()}

    def listeners(self) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
        """Motion (T, D) and emotion (T, 25) of every listener, without padding; no emotion where the dataset has none."""
        motion, emotion = self._tracks["listener_motion"], self._tracks["listener_emotion"]
        assert motion is not None
        cut = [motion[row, :length] for row, length in enumerate(self.common)]
        return cut, None if emotion is None else [emotion[row, :length] for row, length in enumerate(self.common)]

    def _checked(self, index: int, what: str, values: Any, shape: tuple[int, int]) -> np.ndarray:
        """(frames, C) as the dataset declared it; DyadbenchError where it does not keep its word."""
        if getattr(values, "shape", None) != shape:
            actual = "nothing" if values is None else f"shape {getattr(values, 'shape', 'none')}"
            raise DyadbenchError(f"clip {self.clips[index].id}: the {what} has {actual}; {shape} was declared")
        if not np.isfinite(values).all():
            raise DyadbenchError(f"clip {self.clips[index].id}: the {what} holds NaN or infinity")
        return np.asarray(values)

    def context(
        self, rows: range, needs: Needs, *, privileged: bool, frames: int | NDArray[np.int64] | None = None
    ) -> Context:
        """The speakers of `rows`, cut to `frames`, of all or of each. What a predictor does not need it is not given."""
        if (needs.truth or needs.fresh) and not privileged:
            raise DyadbenchError("a predictor asks for the true listener but is not registered with calibration=True")
        own = [OWN_VOICE + name for name in needs.own_audio]
        features = (*needs.audio, *own)
        missing = [name for name in features if name not in self.dataset.audio]
        if missing:
            available = ", ".join(self.dataset.audio) or "none"
            raise DyadbenchError(f"the predictor needs audio feature {missing[0]!r}; this dataset has {available}")
        # Padded to the longest clip of these rows, not of the split: short clips stay cheap.
        lengths = np.minimum(self.lengths[rows.start : rows.stop], self.frames if frames is None else frames)
        end = int(lengths.max())
        tracks = self._tracks
        motion = tracks["speaker_motion"]
        emotion = tracks["speaker_emotion"]
        assert motion is not None
        dyads = [self.dataset.dyad(self.name, row, features) for row in rows] if features or needs.words else []
        return Context(
            clips=tuple(self.clips[row].id for row in rows),
            lengths=lengths,
            speaker_motion=_cut(motion[rows.start : rows.stop, :end], lengths, keep=needs.face),
            speaker_emotion=None
            if emotion is None
            else _cut(emotion[rows.start : rows.stop, :end], lengths, keep=needs.face),
            audio={name: self._audio(dyads, name, lengths, end) for name in needs.audio},
            words=tuple(dyad.speaker.words or () for dyad in dyads) if needs.words else None,
            truth=self._truth(rows, end) if needs.truth else None,
            fresh=(lambda row, draw: fresh_listener(self.dataset, self.name, rows[row], draw)) if needs.fresh else None,
            own_audio={name: self._audio(dyads, OWN_VOICE + name, lengths, end) for name in needs.own_audio},
            **(self._past(rows, needs.own_past) if needs.own_past else {}),
        )

    def _past(self, rows: range, frames: int) -> dict[str, np.ndarray]:
        """The listener's motion before each clip, filled with zeros in front; all zeros where the dataset has none."""
        past = np.zeros((len(rows), frames, self.dataset.space.dim), np.float32)
        lengths = np.zeros(len(rows), np.int64)
        if isinstance(self.dataset, RemembersListeners):
            for i, row in enumerate(rows):
                before = self.dataset.past(self.name, row, frames)
                lengths[i] = len(before)
                past[i, frames - len(before) :] = before
        return {"own_past": past, "own_past_lengths": lengths}

    def _audio(self, dyads: Sequence[Dyad], name: str, lengths: np.ndarray, end: int) -> np.ndarray:
        spec = self.dataset.audio[name]
        batch = np.zeros((len(dyads), end * spec.per_frame, spec.dim), np.float32)
        for i, dyad in enumerate(dyads):
            values = dyad.speaker.audio[name][: lengths[i] * spec.per_frame]
            batch[i, : len(values)] = values
        return batch

    def _ragged(self) -> Ragged:
        """What a suite needs to compare listeners at their own lengths."""
        if self.read_emotion:
            listeners = [self.read_emotion(self.name, index)[1] for index in range(len(self.clips))]
        else:
            listeners = [track.emotion for track in self.whole_listeners]
        align = self.dataset.align if isinstance(self.dataset, Aligns) else None
        wide = np.array(self.dataset.appropriate(self.name))
        return Ragged(
            _fixed(self.lengths), [_fixed(track) for track in listeners if track is not None], _fixed(wide), align
        )

    def _truth(self, rows: range, end: int) -> Truth:
        """Every appropriate reaction of each clip, its own listener first.

        Where a listener's recording ends before the speaker's, its last frame is held.
        """
        if self.ragged:
            return self._held_truth(rows, end)
        tracks, motion, emotion = self._tracks, [], []
        for row in rows:
            others = [j for j in np.flatnonzero(self.appropriate[row]) if j != row]
            chosen = np.array([row, *others])
            listener, felt = tracks["listener_motion"], tracks["listener_emotion"]
            assert listener is not None
            motion.append(listener[chosen, :end])
            emotion.append(None if felt is None else felt[chosen, :end])
        return Truth(motion=tuple(motion), emotion=tuple(emotion))

    def _held_truth(self, rows: range, end: int) -> Truth:
        motion: list[np.ndarray] = []
        emotion: list[np.ndarray | None] = []
        wide = self.dataset.appropriate(self.name)
        at = np.arange(end)
        for row in rows:
            others = [int(j) for j in np.flatnonzero(wide[row]) if j != row]
            chosen = [self.whole_listeners[j] for j in (row, *others)]
            motion.append(np.stack([t.motion[np.minimum(at, len(t.motion) - 1)] for t in chosen]))  # (A, T, D)
            felt = [t.emotion[np.minimum(at, len(t.emotion) - 1)] for t in chosen if t.emotion is not None]
            emotion.append(np.stack(felt) if felt else None)
        return Truth(motion=tuple(motion), emotion=tuple(emotion))

    def evaluation(self, motion: Any, emotion: Any, threads: int, device: str) -> Evaluation:
        """What a suite may look at. `motion` and `emotion` are (N, K, T, C) array-likes or None."""
        tracks: dict[str, Any] = dict(self._tracks)
        return Evaluation(
            clips=tuple(clip.id for clip in self.clips),
            lengths=self.common,
            space=self.dataset.space,
            predicted_motion=motion,
            predicted_emotion=emotion,
            appropriate=self.appropriate,
            ragged=self._ragged() if self.ragged and self.dataset.has_emotion else None,
            threads=threads,
            device=device,
            **tracks,
        )


def _fixed(values: np.ndarray) -> np.ndarray:
    """`values` that cannot be written: a suite that works in place would change what is scored after it."""
    fixed = values.view()
    fixed.flags.writeable = False
    return fixed


def _cut(values: np.ndarray, lengths: np.ndarray, *, keep: bool) -> np.ndarray:
    """A copy the predictor may not reach back through, zero after each clip's end (everywhere if not kept)."""
    # Zeros instead of None for a face that is not needed: shapes stay the same for every predictor.
    cut = np.array(values) if keep else np.zeros_like(values)
    for i, length in enumerate(lengths):
        cut[i, length:] = 0
    return cut

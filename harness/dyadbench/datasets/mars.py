"""MARS, the data of REACT 2025 and 2026: clips of 2 s to 11 min at 30 frames per second, as the challenge lays them out.

    {train,val,test}/facial-attributes/{speaker,listener}/session<N>/<file>.npy   (l, 25)   action units, affect, expressions
    {train,val,test}/coefficients/...                                             (l, 58)   FaceVerse, singleton axes allowed
    {train,val,test}/audio/...wav, audio-features/...npy (l, 768), eeg_processed/...csv
    mean_face.npy, std_face.npy                                                   (58,)

Equal session and file name under speaker/ and listener/ are a pair, whose two lengths may differ. Appropriate is every
listener file of the session. With `bidirectional`, every listener file is a speaker as well, and then the session's speaker
files are what is appropriate. Clips are sorted by session and name, where the official loader takes the file system's order.

No file of MARS was at hand when this was written: the layout is that of the challenge's own loader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import EMOTION_DIM, FACEVERSE_58, AudioSpec, Clip, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.clock import disagreement, other_rate
from dyadbench.datasets.config import MarsConfig
from dyadbench.datasets.digest import folder_digest
from dyadbench.datasets.eeg import EEG, read_eeg
from dyadbench.datasets.features import FEATURES, cached, read_wav, sound_seconds
from dyadbench.files.npy import BadFile, read_header, read_npy
from dyadbench.files.walk import natural

SPLITS = ("train", "val", "test")
OTHER = {"speaker": "listener", "listener": "speaker"}
EMOTION, MOTION, SOUND, WAV2VEC2, PERSONALITY = (
    "facial-attributes",
    "coefficients",
    "audio",
    "audio-features",
    "personality",
)
KINDS = (EMOTION, MOTION, SOUND, WAV2VEC2, "eeg_processed", PERSONALITY)
SPACE = MotionSpace("faceverse-58-30fps", 30.0, FACEVERSE_58.channels, FACEVERSE_58.groups, FACEVERSE_58.units)
BIG_FIVE = AudioSpec(5)


def file_of(root: Path, split: str, kind: str, role: str, name: str, suffix: str = ".npy") -> Path:
    """`name` is session<N>/<file> without its suffix."""
    return root / split / kind / role / f"{name}{suffix}"


def names_of(root: Path, split: str, role: str) -> list[str]:
    """session<N>/<file> of every file of a role, sessions by number."""
    folder = root / split / EMOTION / role
    paths = [path for path in folder.glob("session*/*.npy") if not path.name.startswith(".")]
    return sorted((path.relative_to(folder).as_posix().removesuffix(".npy") for path in paths), key=natural)


def frames_of(root: Path, split: str, role: str, name: str) -> int:
    """Frames of one person's clip, by the header of its facial attributes. Raises BadFile."""
    path = file_of(root, split, EMOTION, role, name)
    shape, _ = read_header(path)
    if len(shape) != 2 or shape[1] != EMOTION_DIM or not shape[0]:
        raise BadFile(f"{path} has shape {shape}; (frames, {EMOTION_DIM}) is expected")
    return int(shape[0])


class MarsDataset:
    """api.Dataset over a MARS folder."""

    space = SPACE
    has_emotion = True
    simulated = False

    def __init__(self, config: MarsConfig, root: Path):
        self.root, self.config = root, config
        if not any((root / split / EMOTION).is_dir() for split in SPLITS):
            raise DyadbenchError(
                f"{root} is not a MARS folder: it has no train/{EMOTION}, val/{EMOTION} or test/{EMOTION}"
            )
        sound = {name: feature.spec for name, feature in FEATURES.items()} if config.audio else {}
        more = {WAV2VEC2: ("wav2vec2", AudioSpec(768, causal=False)), PERSONALITY: ("personality", BIG_FIVE)}
        there = {name: spec for kind, (name, spec) in more.items() if any((root / s / kind).is_dir() for s in SPLITS)}
        self.audio: Mapping[str, AudioSpec] = {**sound, **there, **({"eeg": EEG} if config.eeg else {})}
        self._cache = root / ".dyadbench-features"
        if config.aligner:
            from dyadbench.datasets.mars_aligner import load_aligner

            self.align = load_aligner(config.aligner)

    @cached_property
    def digest(self) -> str:
        """Of what is read; videos, which are most of the release, are not."""
        whole = hashlib.sha256()
        for folder in [self.root / split / kind for split in SPLITS for kind in KINDS]:
            if folder.is_dir():
                whole.update(
                    f"{folder.relative_to(self.root).as_posix()} {folder_digest(folder)}\n".encode(
                        errors="surrogateescape"
                    )
                )
        for name in ("mean_face.npy", "std_face.npy"):
            if (self.root / name).is_file():
                whole.update((self.root / name).read_bytes())
        if self.config.aligner:  # numbers of two aligners are of two scales
            whole.update(Path(self.config.aligner).read_bytes())
        return whole.hexdigest()

    def normalisation(self) -> Mapping[str, Any]:
        files = {"zero-centre": ["mean_face.npy"], "standardise": ["mean_face.npy", "std_face.npy"], "none": []}
        return {"kind": self.config.normalise, "statistics": files[self.config.normalise], "split": "release"}

    @cached_property
    def _faces(self) -> list[np.ndarray]:
        files = self.normalisation()["statistics"]
        return [read_npy(self.root / name).reshape(-1).astype(np.float64) for name in files]

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _places(self, split: str) -> list[tuple[str, str]]:
        """(role of the speaker, session<N>/<file>) of every clip: all speakers, then all listeners if bidirectional."""
        if split not in SPLITS:
            raise DyadbenchError(f"there is no split {split!r}; MARS has {', '.join(SPLITS)}")
        both = [set(names_of(self.root, split, role)) for role in OTHER]
        if alone := sorted(both[0] ^ both[1], key=natural):
            raise BadFile(
                f"{self.root / split / EMOTION}: {alone[0]} is there for one of speaker and listener only ({len(alone)} such "
                "files); run dyadbench data check mars"
            )
        names = sorted(both[0], key=natural)
        roles = tuple(OTHER) if self.config.bidirectional else ("speaker",)
        return [(role, name) for role in roles for name in names]

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        clips = []
        for role, name in self._places(split):
            speaker, listener = (self._frames(split, who, name) for who in (role, OTHER[role]))
            session = name.partition("/")[0]
            clips.append(Clip(f"{name}:{role}", session, speaker, None if speaker == listener else listener))
        return clips

    def _frames(self, split: str, role: str, name: str) -> int:
        frames = frames_of(self.root, split, role, name)
        return min(frames, self.config.frames) if self.config.frames else frames

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        role, name = self._places(split)[index]
        speaker, listener = (self._track(split, who, name) for who in (role, OTHER[role]))
        sound = {feature: self._feature(split, role, name, feature, len(speaker.motion)) for feature in audio}
        return Dyad(self.clips(split)[index], Track(speaker.motion, speaker.emotion, sound), listener)

    def _track(self, split: str, role: str, name: str) -> Track:
        frames = self._frames(split, role, name)
        path = file_of(self.root, split, MOTION, role, name)
        raw = read_npy(path)
        raw = raw.reshape(len(raw), -1) if raw.ndim > 2 and raw.size == len(raw) * 58 else raw
        if raw.ndim != 2 or raw.shape[1] != 58 or len(raw) < frames:
            raise BadFile(f"{path} has shape {raw.shape}; ({frames}, 58) is expected, as many as facial attributes")
        emotion = read_npy(file_of(self.root, split, EMOTION, role, name), (None, EMOTION_DIM))
        seconds = sound_seconds(file_of(self.root, split, SOUND, role, name, ".wav")) if self.config.audio else None
        apart = disagreement(SPACE.fps, len(raw), len(emotion))  # cut, they would drift apart unseen
        if apart or (seconds and (apart := other_rate(SPACE.fps, len(raw), seconds))):
            raise BadFile(f"{path} and the files of its clip are not of one clock: {apart}")
        return Track(self._normalised(raw[:frames]), np.ascontiguousarray(emotion[:frames], np.float32))

    def _normalised(self, raw: np.ndarray) -> np.ndarray:
        motion = raw.astype(np.float64)
        if self._faces:
            motion = motion - self._faces[0]
        return (motion / self._faces[1] if len(self._faces) > 1 else motion).astype(np.float32)

    def emotion(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(T, 25) of a dyad's speaker and listener, from the facial attributes alone."""
        role, name = self._places(split)[index]
        tracks = []
        for who in (role, OTHER[role]):
            values = read_npy(file_of(self.root, split, EMOTION, who, name), (None, EMOTION_DIM))
            tracks.append(np.ascontiguousarray(values[: self._frames(split, who, name)], np.float32))
        return tracks[0], tracks[1]

    def _feature(self, split: str, role: str, name: str, feature: str, frames: int) -> np.ndarray:
        """(frames, F) of the speaker; `personality` is that of the listener, whose reaction it shapes."""
        if feature == "personality":
            traits = read_npy(file_of(self.root, split, PERSONALITY, OTHER[role], name)).reshape(-1)
            if traits.size != BIG_FIVE.dim:
                raise BadFile(f"{name}: personality holds {traits.size} values; the five of the Big Five are expected")
            return np.repeat(traits[None].astype(np.float32), frames, 0)
        if feature == "eeg":
            return read_eeg(file_of(self.root, split, "eeg_processed", role, name, ".csv"), frames, SPACE.fps)
        if feature == "wav2vec2":
            path = file_of(self.root, split, WAV2VEC2, role, name)
            values = read_npy(path, (None, 768))
            if len(values) < frames:
                raise BadFile(f"{path} has {len(values)} rows; {frames} are expected")
            recorded = frames_of(self.root, split, role, name)
            if len(values) > recorded + 1:  # cut, they would drift apart unseen
                raise BadFile(
                    f"{path} has {len(values)} rows and its motion {recorded} frames: resample it to one row per frame"
                )
            return np.ascontiguousarray(values[:frames], np.float32)
        path = file_of(self.root, split, SOUND, role, name, ".wav")
        return cached(path, feature, FEATURES[feature], frames, SPACE.fps, self._cache)

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) in [-1, 1] and their rate; None where there is no recording."""
        role, name = self._places(split)[index]
        path = file_of(self.root, split, SOUND, role, name, ".wav")
        return read_wav(path) if path.exists() else None

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def appropriate(self, split: str) -> np.ndarray:
        """(N, N): the other role's files of the same session."""
        keys = np.array([f"{role} {name.partition('/')[0]}" for role, name in self._places(split)])
        return keys[:, None] == keys

"""REACT 2023 and 2024 as released: csv of pairs, 3DMM npy, emotion csv, wav; 25 frames per second.

Clips come as all (speaker -> listener), then all (listener -> speaker). The crop is pinned to frame 0, where the
public loaders draw one at random even for testing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import EMOTION_CHANNELS, FACEVERSE_58, VIDEO_FEATURES, AudioSpec, Clip, Dyad, DyadbenchError, Track
from dyadbench.datasets import neighbours
from dyadbench.datasets.clock import disagreement
from dyadbench.datasets.config import ReactConfig
from dyadbench.datasets.digest import folder_digest, simulated_digest
from dyadbench.datasets.features import (
    FEATURES,
    Feature,
    cached,
    model_digest,
    read_wav,
    sound_seconds,
    wav2vec2,
    wav2vec2_conv,
)
from dyadbench.files.digest import digest_of
from dyadbench.files.npy import BadFile, cells_of, read_npy, read_rows, read_text
from dyadbench.files.walk import ours

SPLITS = ("train", "val", "test")
# Emotion folders name people P1 and P2 in the released data; everything else keeps the recording's own names.
PEOPLE = {
    "P1": ("Expert_video", "P25", "P41", "P45", "FC1"),
    "P2": ("Novice_video", "P26", "P42", "P46", "FC2"),
}
EMOTION_NAME = {own: released for released, names in PEOPLE.items() for own in names}


def read_pairs(root: Path, split: str) -> list[tuple[str, str]]:
    """(speaker path, listener path) of every row of data/<split>.csv, its columns read by name."""
    path = root / "data" / f"{split}.csv"
    lines = read_text(path, f"; it lists the clips of the {split} split").splitlines()
    header = cells_of(lines[0]) if lines else []
    if any(header.count(name) != 1 for name in ("speaker_path", "listener_path")):
        raise BadFile(f"{path} has no header ',speaker_path,listener_path'; its first pair would be lost")
    places = [header.index(name) for name in ("speaker_path", "listener_path")]
    pairs = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = cells_of(line)
        pair = [cells[place] for place in places] if len(cells) == len(header) else [""]
        if any(len(cell.split("/")) < 4 for cell in pair):
            raise BadFile(f"{path}, line {number} is not 'index,site/chat/person/clip,site/chat/person/clip'")
        for cell in pair:
            if not _inside(cell):
                raise BadFile(f"{path}, line {number} names {cell[:200]!r}, which is no path inside the folder")
        pairs.append((pair[0], pair[1]))
    return pairs


def _inside(path: str) -> bool:
    """Whether a csv's path stays below its folder and can be a file's."""
    steps = path.split("/")
    return "\0" not in path and all(step not in ("", ".", "..") and len(step.encode()) < 250 for step in steps)


def emotion_file(root: Path, split: str, path: str) -> Path:
    """The emotion csv of a clip: under P1/P2 as released, or under the recording's own person name."""
    *head, person, clip = path.split("/")
    base = root / split / "Emotion" / Path(*head)
    own = base / person / f"{clip}.csv"
    released = base / EMOTION_NAME.get(person, person) / f"{clip}.csv"
    return own if own.exists() and not released.exists() else released


def motion_file(root: Path, split: str, path: str) -> Path:
    return root / split / "3D_FV_files" / f"{path}.npy"


def audio_file(root: Path, split: str, path: str) -> Path:
    return root / split / "Audio_files" / f"{path}.wav"


class ReactDataset:
    """api.Dataset over a REACT folder."""

    space = FACEVERSE_58
    has_emotion = True

    def __init__(self, config: ReactConfig, root: Path):
        self.root, self.config = root, config
        if not (root / "data").is_dir():
            raise DyadbenchError(
                f"{root} is not a REACT folder: it has no data/ with csv files; `dyadbench data check` says what is missing"
            )
        self._features: dict[str, Feature] = (
            {name: FEATURES[name] for name in ("mfcc-78", "mfcc-78-centred")} if config.audio else {}
        )
        if config.wav2vec2 and config.audio:
            self._features["wav2vec2"] = Feature(AudioSpec(768, causal=False), wav2vec2(config.wav2vec2))
            conv = AudioSpec(512, per_frame=2, causal=False)
            self._features["wav2vec2-conv"] = Feature(conv, wav2vec2_conv(config.wav2vec2))
        self.audio: Mapping[str, AudioSpec] = {name: feature.spec for name, feature in self._features.items()}
        if config.video_features:
            if not ours(config.video_features) or Path(config.video_features).name != config.video_features:
                raise DyadbenchError(
                    f"video_features is {config.video_features!r}; it names a folder in train, val and test of {root}, since what "
                    "lies elsewhere is no part of the data's digest"
                )
            self.audio = {**self.audio, VIDEO_FEATURES: AudioSpec(self._video_width(), causal=False)}
        self._cache = root / ".dyadbench-features"
        self._track = lru_cache(maxsize=4096)(self._read_track)

    @cached_property
    def digest(self) -> str:
        whole = simulated_digest(self.root)
        if whole and self.config.video_features:  # added by the user: the generator's digest does not know them
            folders = (self.root / split / self.config.video_features for split in SPLITS)
            parts = [digest_of(folder) if folder.is_dir() else "" for folder in folders]
            whole = hashlib.sha256(" ".join((whole, *parts)).encode()).hexdigest()
        return whole or folder_digest(self.root)

    @property
    def simulated(self) -> bool:
        return simulated_digest(self.root) is not None

    @cached_property
    def _mean_face(self) -> np.ndarray:
        return self._face("mean_face.npy")

    @cached_property
    def _std_face(self) -> np.ndarray:
        face = self._face("std_face.npy")
        if (face <= 0).any():
            raise BadFile(
                f"{self.root / 'std_face.npy'} holds a deviation that is not positive; nothing can be divided by it"
            )
        return face

    def _face(self, name: str) -> np.ndarray:
        """(58,) statistics of a folder."""
        face = read_npy(self.root / name).reshape(-1).astype(np.float64)
        if face.size != self.space.dim:
            raise BadFile(f"{self.root / name} holds {face.size} values; {self.space.dim} are expected")
        return face

    def normalisation(self) -> Mapping[str, Any]:
        files = {"zero-centre": ["mean_face.npy"], "standardise": ["mean_face.npy", "std_face.npy"], "none": []}
        return {"kind": self.config.normalise, "statistics": files[self.config.normalise], "split": "train"}

    def _pairs(self, split: str) -> list[tuple[str, str]]:
        if split not in SPLITS:
            raise DyadbenchError(f"there is no split {split!r}; REACT has {', '.join(SPLITS)}")
        pairs = read_pairs(self.root, split)
        mirrored = split != "train" or self.config.mirrored_train
        return pairs + [(listener, speaker) for speaker, listener in pairs] if mirrored else pairs

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def clips(self, split: str) -> Sequence[Clip]:
        listed = []
        for speaker, listener in self._pairs(split):
            site, chat = speaker.split("/")[:2]
            listed.append(Clip(f"{speaker}>{listener.split('/')[-2]}", f"{site}/{chat}", self.config.frames))
        names = [clip.id for clip in listed]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadFile(f"{self.root / 'data' / f'{split}.csv'} lists {twice} twice")
        return listed

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        speaker, listener = self._pairs_cached(split)[index]
        track = self._track(split, speaker)
        if audio:
            track = dataclasses.replace(track, audio={name: self._audio(split, speaker, name) for name in audio})
        return Dyad(self.clips(split)[index], track, self._track(split, listener))

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def _pairs_cached(self, split: str) -> list[tuple[str, str]]:
        return self._pairs(split)

    def _read_track(self, split: str, path: str) -> Track:
        """One person's clip. 3DMM has 751 frames and emotion 750 rows: both are cut to the first `frames`."""
        frames, source = self.config.frames, motion_file(self.root, split, path)
        raw = read_npy(source, mmap=True)  # of a longer recording only what is asked for is read
        raw = raw[:, 0] if raw.ndim == 3 and raw.shape[1] == 1 else raw
        if raw.ndim != 2 or raw.shape[1] != self.space.dim or len(raw) < frames:
            raise BadFile(f"{source} has shape {raw.shape}; ({frames} or more, 1, {self.space.dim}) is expected")
        if not np.isfinite(raw[:frames]).all():
            frame, channel = (int(i) for i in np.argwhere(~np.isfinite(raw[:frames]))[0])
            raise BadFile(f"{source} holds NaN or infinity at frame {frame}, channel {channel}")
        emotion = self._read_emotion(split, path)
        seconds = sound_seconds(audio_file(self.root, split, path))
        if apart := disagreement(self.space.fps, len(raw), len(emotion), seconds):  # cut, they would drift apart unseen
            raise BadFile(f"{source} and the files of its clip are not of one clock: {apart}")
        return Track(self.normalised(raw[:frames]), np.ascontiguousarray(emotion[:frames]))

    def _read_emotion(self, split: str, path: str) -> np.ndarray:
        """(rows, 25) of one person's clip, at least `frames` of them."""
        felt = emotion_file(self.root, split, path)
        emotion = read_rows(felt, EMOTION_CHANNELS)
        if len(emotion) < self.config.frames:
            raise BadFile(f"{felt} has {len(emotion)} rows; {self.config.frames} are expected")
        return emotion

    def emotion(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(T, 25) of a dyad's speaker and listener, from the emotion files alone."""
        speaker, listener = (self._read_emotion(split, path) for path in self._pairs_cached(split)[index])
        return speaker[: self.config.frames], listener[: self.config.frames]

    def normalised(self, raw: np.ndarray) -> np.ndarray:
        """(T, 58) as stored -> float32 with the declared normalisation."""
        motion = raw.astype(np.float64)
        if self.config.normalise != "none":
            motion = motion - self._mean_face
        if self.config.normalise == "standardise":
            motion = motion / self._std_face
        return motion.astype(np.float32)

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) in [-1, 1] and their rate, mono; None where the recording is not there."""
        path = audio_file(self.root, split, self._pairs_cached(split)[index][0])
        if not path.exists():
            return None
        return read_wav(path)

    def _video_width(self) -> int:
        """Features per frame, as the first clip has them."""
        for split in SPLITS:
            if (self.root / "data" / f"{split}.csv").exists() and (pairs := read_pairs(self.root, split)):
                return int(read_npy(self._video_file(split, pairs[0][0]), (None, None)).shape[1])
        raise BadFile(f"{self.root} lists no clips, so nobody knows how many video features a frame has")

    def _video_file(self, split: str, path: str) -> Path:
        return self.root / split / str(self.config.video_features) / f"{path}.npy"

    def _video(self, split: str, path: str) -> np.ndarray:
        """What a user computed from a person's frames beforehand (Swin features, say): (frames, features)."""
        source = self._video_file(split, path)
        values = read_npy(source, (None, self.audio[VIDEO_FEATURES].dim))
        if len(values) < self.config.frames:
            raise BadFile(f"{source} has {len(values)} frames; {self.config.frames} are expected")
        return np.ascontiguousarray(values[: self.config.frames], np.float32)

    def _audio(self, split: str, path: str, name: str) -> np.ndarray:
        if name == VIDEO_FEATURES:
            return self._video(split, path)
        feature, cache_name = self._features[name], name
        if name.startswith("wav2vec2"):  # another model gives other features
            cache_name = f"{name}-{model_digest(str(self.config.wav2vec2))}"
        return cached(
            audio_file(self.root, split, path), cache_name, feature, self.config.frames, self.space.fps, self._cache
        )

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def appropriate(self, split: str) -> np.ndarray:
        """(N, N): matrix entries that equal 1. Without a matrix each clip's own listener alone (train has none)."""
        count = len(self.clips(split))
        matrix = neighbours.split_matrix(self.root, split, [speaker for speaker, _ in read_pairs(self.root, split)])
        if matrix is None:
            if split != "train":
                raise BadFile(
                    f"{self.root} has neither neighbour_emotion_{split}.npy nor {neighbours.GLOBAL_NAME}; "
                    "without them nobody knows which reactions are appropriate"
                )
            return np.eye(count, dtype=bool)
        if odd := int((~np.isin(matrix, (0, 1))).sum()):
            raise BadFile(f"{self._matrix_name(split)} holds {odd} entries that are neither 0 nor 1; build it again")
        if empty := np.flatnonzero(~(matrix == 1).any(1)).tolist():
            raise BadFile(
                f"row {empty[0]} of {self._matrix_name(split)} has no appropriate reaction ({len(empty)} such rows)"
            )
        own = (matrix == 1)[:count, :count]
        if mimes := neighbours.own_speaker(own):
            print(
                f"dyadbench: WARNING: {self._matrix_name(split)} marks the speaker's own clip as an appropriate reaction "
                f"in {len(mimes)} of {count} rows (the first is {mimes[0]}): a copy of the speaker would score as perfect there",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        return own

    def _matrix_name(self, split: str) -> Path:
        return neighbours.find_matrix(self.root, split) or neighbours.locate(self.root, neighbours.GLOBAL_NAME)

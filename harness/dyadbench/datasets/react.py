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

from dyadbench.api import (
    AUDIO_FEATURES,
    EMOTION_CHANNELS,
    FACEVERSE_58,
    VIDEO_FEATURES,
    AudioSpec,
    Clip,
    Dyad,
    DyadbenchError,
    MotionSpace,
    Track,
)  # fmt: skip
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
from dyadbench.datasets.react_files import SPLITS, audio_file, emotion_file, motion_file, read_pairs, user_file
from dyadbench.files.digest import digest_of
from dyadbench.files.npy import BadFile, read_npy, read_rows
from dyadbench.files.walk import ours

USER_FEATURES = {
    VIDEO_FEATURES: "video_features",
    AUDIO_FEATURES: "audio_features",
}  # computed by the user -> the folder's option


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
        self.user_features = {
            name: self._folder(option) for name, option in USER_FEATURES.items() if getattr(config, option)
        }
        own = {name: AudioSpec(self._width(folder), causal=False) for name, folder in self.user_features.items()}
        self.audio = {**self.audio, **own}
        self._cache = root / ".dyadbench-features"
        self._track = lru_cache(maxsize=4096)(self._read_track)

    @staticmethod
    def shape_of(config: ReactConfig) -> tuple[MotionSpace, int]:
        return FACEVERSE_58, config.frames

    @cached_property
    def digest(self) -> str:
        whole = simulated_digest(self.root)
        if whole and self.user_features:  # added by the user: the generator's digest does not know them
            folders = (self.root / split / folder for folder in self.user_features.values() for split in SPLITS)
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
            # NoXI/chat/person/clip, but UDIVA/task/pair/person/clip: a pair is one session, whatever its task.
            parts = speaker.split("/")
            session = f"{parts[0]}/{parts[-3] if len(parts) > 4 else parts[1]}"
            listed.append(Clip(f"{speaker}>{listener.split('/')[-2]}", session, self.config.frames))
        names = [clip.id for clip in listed]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadFile(f"{self.root / 'data' / f'{split}.csv'} lists {twice} twice")
        return listed

    def listeners(self, split: str) -> list[str]:
        """Who listens in each clip: the same folder of the same session."""
        return [f"{clip.session}/{clip.id.partition('>')[2]}" for clip in self.clips(split)]

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

    def _folder(self, option: str) -> str:
        """What an option names: a folder in each split."""
        folder = str(getattr(self.config, option))
        if not ours(folder) or Path(folder).name != folder:
            raise DyadbenchError(
                f"{option} is {folder!r}; it names a folder in train, val and test of {self.root}, since what lies elsewhere "
                "is no part of the data's digest"
            )
        return folder

    def _width(self, folder: str) -> int:
        """Features per frame, as the first clip has them."""
        for split in SPLITS:
            if (self.root / "data" / f"{split}.csv").exists() and (pairs := read_pairs(self.root, split)):
                return int(read_npy(user_file(self.root, split, folder, pairs[0][0]), (None, None), mmap=True).shape[1])
        raise BadFile(f"{self.root} lists no clips, so nobody knows how many features of {folder} a frame has")

    def read_user_features(self, split: str, path: str, name: str) -> np.ndarray:
        """What a user computed from a person's pictures or sound beforehand (Swin, VGGish): (frames, features)."""
        source, frames = user_file(self.root, split, self.user_features[name], path), self.config.frames
        values = read_npy(source, (None, self.audio[name].dim))
        if len(values) < frames:
            raise BadFile(f"{source} has {len(values)} frames; {frames} are expected")
        recorded = len(read_npy(motion_file(self.root, split, path), mmap=True))
        if len(values) > recorded + 1:  # cut, they would drift apart unseen
            raise BadFile(
                f"{source} has {len(values)} rows and its motion {recorded} frames: resample it to one row per frame"
            )
        return np.ascontiguousarray(values[:frames], np.float32)

    def _audio(self, split: str, path: str, name: str) -> np.ndarray:
        if name in self.user_features:
            return self.read_user_features(split, path, name)
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

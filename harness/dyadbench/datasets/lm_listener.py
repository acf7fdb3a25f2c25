"""LM-Listener as released: per person, segment files of EMOCA coefficients with words, 30 frames per second.

`dataset/<person>/segments_{train,val,test}.pth` hold a list of dictionaries; p0 is the listener, p1 the speaker.
The files are torch pickles and are opened by `torch_file`: whatever needs code to be run is refused.

A session is the recording that `fname` names: its segments share a speaker, a voice and a topic. The three splits are the
release's; whether a recording stands in two of them, `dyadbench data check lm-listener` tells of the files at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import DECA_56, AudioSpec, Clip, Dyad, DyadbenchError, Track, Word
from dyadbench.datasets.config import LMConfig
from dyadbench.datasets.digest import folder_digest, simulated_digest
from dyadbench.datasets.words import words_within
from dyadbench.files.arrays import floats
from dyadbench.files.npy import BadFile, read_npy
from dyadbench.files.torch_file import load_plain

SPLITS = ("train", "val", "test")


def segment_file(root: Path, person: str, split: str) -> Path:
    return root / "dataset" / person / f"segments_{split}.pth"


def read_segments(path: Path) -> list[dict[str, Any]]:
    """The segments of a file; BadFile where it is missing, needs code to be run, or lacks a field."""
    try:
        content = load_plain(path)
    except FileNotFoundError:
        raise BadFile(f"{path} is missing") from None
    except Exception as error:  # torch raises several kinds for damaged and for hostile files
        raise BadFile(
            f"{path} was refused: it is damaged, or holds more than plain arrays and text and would run code when opened "
            f"({type(error).__name__})"
        ) from None
    if not isinstance(content, list) or not content:
        raise BadFile(f"{path} does not hold a list of segments")
    for i, segment in enumerate(content):
        missing = [
            name
            for name in ("fname", "split_start_frame", "p0_exp", "p0_pose", "p1_exp", "p1_pose")
            if not isinstance(segment, dict) or name not in segment
        ]
        if missing:
            raise BadFile(f"{path}, segment {i} has no {missing[0]}")
    return content


def _motion(path: Path, index: int, segment: Mapping[str, Any], side: str) -> np.ndarray:
    """(T, 56): expression, then pose (3 head rotation, 3 jaw)."""
    parts = []
    for name, size in (("exp", 50), ("pose", 6)):
        stored = segment[f"{side}_{name}"]
        # a view may repeat one number a billion times: what is in memory is then no bound on what is computed with
        if math.prod(getattr(stored, "shape", ())) > path.stat().st_size:
            raise BadFile(f"{path}, segment {index}: {side}_{name} declares more numbers than the file holds")
        try:
            values = floats(stored).astype(np.float32, copy=False)
        except (ValueError, TypeError, RuntimeError):
            raise BadFile(f"{path}, segment {index}: {side}_{name} holds no numbers") from None
        if values.ndim != 2 or values.shape[1] != size:
            raise BadFile(
                f"{path}, segment {index}: {side}_{name} has shape {values.shape}; (frames, {size}) is expected"
            )
        if not np.isfinite(values).all():
            raise BadFile(f"{path}, segment {index}: {side}_{name} holds NaN or infinity")
        parts.append(values)
    if len(parts[0]) != len(parts[1]):
        raise BadFile(
            f"{path}, segment {index}: {side} has {len(parts[0])} frames of expression and {len(parts[1])} of pose"
        )
    return np.concatenate(parts, 1)


def _start(path: Path, index: int, segment: Mapping[str, Any]) -> int:
    """The segment's first frame in its recording."""
    try:
        return int(segment["split_start_frame"])
    except (ValueError, TypeError, OverflowError):
        text = repr(segment["split_start_frame"])[:40]
        raise BadFile(f"{path}, segment {index}: split_start_frame is {text}, a number is expected") from None


def _words(path: Path, index: int, segment: Mapping[str, Any]) -> tuple[Word, ...]:
    """Words said during the segment; only their ends are stored, so each begins where the one before ended.

    Stored times count from the start of the recording, as split_start_frame does; words count from the segment's.
    """
    words, start, offset = [], 0.0, _start(path, index, segment) / DECA_56.fps
    try:
        for each in segment.get("during_words") or ():
            end = float(each["end"]) - offset
            begin = float(each["start"]) - offset if "start" in each else min(start, end)
            if not (math.isfinite(begin) and math.isfinite(end)):
                raise ValueError("a time is not finite")
            words.append(Word(str(each["text"]), begin, end))
            start = end
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BadFile(
            f"{path}, segment {index}: during_words is not a list of words with text and end ({error})"
        ) from None
    return tuple(words)


class LMListenerDataset:
    """api.Dataset over one person's segments. Appropriate is only the true listener; no audio was released."""

    space = DECA_56
    has_emotion = False
    audio: Mapping[str, AudioSpec] = {}  # never changed

    def __init__(self, config: LMConfig, root: Path):
        self.root, self.config = root, config
        if not (root / "dataset" / config.person).is_dir():
            raise DyadbenchError(f"{root / 'dataset'} has no person {config.person!r}")

    @cached_property
    def digest(self) -> str:
        return simulated_digest(self.root) or folder_digest(self.root / "dataset" / self.config.person)

    @property
    def simulated(self) -> bool:
        return simulated_digest(self.root) is not None

    def normalisation(self) -> Mapping[str, Any]:
        stored = {"kind": "standardise", "statistics": ["mean.npy", "std.npy"], "split": "train"}
        return stored if self.config.standardise else {"kind": "none"}

    @lru_cache(maxsize=3)  # noqa: B019  # a dataset lives as long as the run
    def _dyads(self, split: str) -> list[Dyad]:
        if split not in SPLITS:
            raise DyadbenchError(f"there is no split {split!r}; LM-Listener has {', '.join(SPLITS)}")
        path, windows, frames = segment_file(self.root, self.config.person, split), [], self.config.frames
        for i, segment in enumerate(read_segments(path)):
            sides = [self._scaled(_motion(path, i, segment, side)[:frames]) for side in ("p0", "p1")]
            length = min(map(len, sides))
            if length == 0:
                raise BadFile(f"{path}, segment {i} has no frames")
            name = f"{segment['fname']}/{_start(path, i, segment)}"
            clip = Clip(name, str(segment["fname"]), length)
            # None that is said after the cut.
            heard = words_within(_words(path, i, segment), 0.0, length / self.space.fps)
            windows.append(Dyad(clip, Track(sides[1][:length], words=heard), Track(sides[0][:length])))
        return windows

    def _scaled(self, motion: np.ndarray) -> np.ndarray:
        if not self.config.standardise:
            return motion
        folder = self.root / "dataset" / self.config.person
        mean, std = (read_npy(folder / f"{name}.npy", (self.space.dim,)) for name in ("mean", "std"))
        if (std <= 0).any():
            raise BadFile(f"{folder / 'std.npy'} holds a deviation that is not positive; nothing can be divided by it")
        return ((motion - mean) / std).astype(np.float32)

    def clips(self, split: str) -> Sequence[Clip]:
        return [dyad.clip for dyad in self._dyads(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        return self._dyads(split)[index]

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(len(self._dyads(split)), dtype=bool)

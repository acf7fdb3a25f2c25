"""DualTalk (Peng et al., CVPR 2025): conversations filmed from both sides, FLAME coefficients at 25 frames per second.

    data/{train,test,ood}/<clip>_speaker{1,2}.npz    exp (T, 50), pose (T, 6): 3 of head rotation, 3 of the jaw
    data/{train,test,ood}/<clip>_speaker{1,2}.wav    that person's voice, 16 kHz

Both people speak and listen, so every recording gives two clips, each named after the person whose motion is generated,
as DualTalk names its predictions. Clips are called <youtube id>_sub_video_<n>[_<m>], and those of one id are one session.
There is no validation split: some of the training ids are held out for it. Motion may be a frame longer than the sound;
all is cut to the shortest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import OWN_VOICE, AudioSpec, Clip, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.clock import other_rate
from dyadbench.datasets.config import DualTalkConfig
from dyadbench.datasets.digest import folder_digest
from dyadbench.datasets.features import FEATURES, cached, read_wav
from dyadbench.datasets.limit import evenly
from dyadbench.files.npy import BadFile, npz_shapes, read_npz

HALVES = ("train", "test", "ood")
SPLITS = ("train", "val", "test", "ood")
OTHER = {"speaker1": "speaker2", "speaker2": "speaker1"}
SIZES = {"exp": 50, "pose": 6}
SPACE = MotionSpace(
    name="flame-56",
    fps=25.0,
    channels=(*(f"exp{i}" for i in range(50)), *(f"rot{a}" for a in "xyz"), *(f"jaw{a}" for a in "xyz")),
    groups={"expression": (0, 50), "rotation": (50, 53), "jaw": (53, 56)},
)


def recordings(root: Path, half: str) -> list[str]:
    """Names of all recordings of which either side has an npz file, sorted."""
    names = (path.name for path in (root / "data" / half).glob("*_speaker[12].npz") if not path.name.startswith("."))
    return sorted({name.removesuffix(".npz").rsplit("_", 1)[0] for name in names})


def youtube_id(recording: str) -> str:
    """The video a recording was cut from; ids may begin with a dash and hold underscores."""
    return recording.rsplit("_sub_video_", 1)[0]


def length_of(path: Path) -> int:
    """Frames of an npz file. BadFile where exp or pose is missing, of another shape, or of another length."""
    shapes = npz_shapes(path)
    for name, size in SIZES.items():
        if len(shape := shapes.get(name, ())) != 2 or shape[1] != size:
            raise BadFile(f"{path}: array {name!r} has shape {shape or 'none'}; (frames, {size}) is expected")
    if shapes["exp"][0] != shapes["pose"][0]:
        raise BadFile(f"{path} has {shapes['exp'][0]} frames of exp and {shapes['pose'][0]} of pose")
    return shapes["exp"][0]


def sound_frames(path: Path, frames: int) -> int:
    """Video frames that a wav file lasts, the last one may be begun.

    Raises BadFile where it and the `frames` of its person's motion suggest another rate: cut to one length they would drift apart.
    """
    import soundfile

    try:
        facts = soundfile.info(str(path))
        seconds = facts.frames / facts.samplerate
    except (RuntimeError, OSError) as error:
        raise BadFile(f"{path} is not a readable wav file: {error}; without sound use audio=false") from None
    if fault := other_rate(SPACE.fps, frames, seconds):
        raise BadFile(f"{path}: {fault}")
    return math.ceil(seconds * SPACE.fps)


class DualTalkDataset:
    """api.Dataset over a DualTalk folder. Appropriate is only the true listener.

    With `own_voice` the features `own-mfcc-78` and `own-mel-128` are there too: the voice of the person who is generated,
    which DualTalk itself is given. A method that hears it knows more than a listener does.
    """

    space = SPACE
    has_emotion = False
    simulated = False

    def __init__(self, config: DualTalkConfig, root: Path):
        self.root, self.config = root, config
        if not any((root / "data" / half).is_dir() for half in HALVES):
            raise DyadbenchError(f"{root} is not a DualTalk folder: it has no data/train, data/test or data/ood")
        audio = {name: feature.spec for name, feature in FEATURES.items()} if config.audio else {}
        own = {OWN_VOICE + name: spec for name, spec in audio.items()} if config.own_voice else {}
        self.audio: Mapping[str, AudioSpec] = {**audio, **own}
        self._cache = root / ".dyadbench-features"

    @cached_property
    def digest(self) -> str:
        return folder_digest(self.root / "data")

    def normalisation(self) -> Mapping[str, Any]:
        return {"kind": "none"}

    def _file(self, half: str, recording: str, person: str, suffix: str) -> Path:
        return self.root / "data" / half / f"{recording}_{person}{suffix}"

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _recordings(self, split: str) -> tuple[str, list[str]]:
        """(folder, recordings) of a split. Every n-th id of the training folder is held out for validation."""
        if split not in SPLITS:
            raise DyadbenchError(f"there is no split {split!r}; DualTalk has {', '.join(SPLITS)}")
        if split in ("test", "ood"):
            return split, recordings(self.root, split)
        names = recordings(self.root, "train")
        ids = sorted({youtube_id(name) for name in names})
        val_count = max(1, round(self.config.validation * len(ids))) if len(ids) > 1 else 0
        chosen = {ids[i] for i in evenly(len(ids), val_count)}
        return "train", [name for name in names if (youtube_id(name) in chosen) == (split == "val")]

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def _places(self, split: str) -> list[tuple[str, str, str, int]]:
        """(folder, recording, person who is generated, frames) of every clip."""
        half, names = self._recordings(split)
        places = []
        for name in names:
            lengths = [length_of(self._file(half, name, person, ".npz")) for person in OTHER]
            if self.config.audio:
                own = dict(zip(OTHER, lengths, strict=True))
                lengths += [sound_frames(self._file(half, name, person, ".wav"), own[person]) for person in OTHER]
            if min(lengths) < 1:
                raise BadFile(f"{self._file(half, name, 'speaker1', '.npz')} or its partner has no frames")
            places += [(half, name, person, min(lengths)) for person in OTHER]
        return places

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip(f"{name}_{person}", youtube_id(name), frames) for _, name, person, frames in self._places(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        half, name, person, frames = self._places(split)[index]
        sound = {}
        for feature in audio:
            who = person if feature.startswith(OWN_VOICE) else OTHER[person]
            path, plain = self._file(half, name, who, ".wav"), feature.removeprefix(OWN_VOICE)
            sound[feature] = cached(path, plain, FEATURES[plain], frames, self.space.fps, self._cache)
        speaker, listener = (self._motion(half, name, who)[:frames] for who in (OTHER[person], person))
        return Dyad(self.clips(split)[index], Track(speaker, audio=sound), Track(listener))

    @lru_cache(maxsize=512)  # noqa: B019  # as above
    def _motion(self, half: str, name: str, person: str) -> np.ndarray:
        """(T, 56): expression, head rotation, jaw; the script's order is expression, jaw, head rotation."""
        path = self._file(half, name, person, ".npz")
        length_of(path)
        return np.concatenate(read_npz(path, tuple(SIZES)), 1).astype(np.float32)

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) in [-1, 1] and their rate; None where the folder has no sound."""
        half, name, person, _ = self._places(split)[index]
        path = self._file(half, name, OTHER[person], ".wav")
        return read_wav(path) if path.exists() else None

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(len(self._places(split)), dtype=bool)

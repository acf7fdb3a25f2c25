"""Learning2Listen as released: per person, 64-frame windows of DECA coefficients and mel audio, 30 frames per second.

`data/<person>/{train,test}/p{0,1}_{list_faces,speak_faces,speak_audio,speak_files}_clean_deca.npy`; the listener is
p0, except for Fallon (p1), and the speaker the other. Faces are (N, 64, 184), of which the first 56 are expression,
head rotation and jaw; audio is (N, 256, 128); files (N, 64, 3) are text: a video's path, the side, the frame's number.

A session is a video, the smallest unit of recording that the release names: windows of one video share a speaker, a voice
and a topic. It does not tell which videos are of one broadcast, so intervals may still be somewhat too narrow. Validation
is held out by video. Whether the release's own test videos are others than its training videos, `dyadbench data check l2l`
tells of the files at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import DECA_56, AudioSpec, Clip, Dyad, DyadbenchError, Track
from dyadbench.datasets.config import L2LDatasetConfig
from dyadbench.datasets.digest import folder_digest, simulated_digest
from dyadbench.datasets.limit import evenly
from dyadbench.files.npy import BadFile, BadShape, read_npy
from dyadbench.files.walk import folders_in
from dyadbench.metrics.l2l.bilateral import bilateral

WINDOW = 64
MEL_ROWS = 4  # mel rows a frame
LISTENER_SIDE = {"fallon": "p1"}  # p0 for everybody else
PARTS = ("list_faces", "speak_faces", "speak_audio", "speak_files")
# What to do with recordings of one's own, which usually are (1, T, 56) and without a list of places.
CUT = f"cut a recording x of (1, T, 56) into windows: numpy.stack([x[0, {WINDOW}*i:{WINDOW}*(i+1)] for i in range(T//{WINDOW})])"
LIST = (
    "speak_files is text of shape (windows, 64, 3), a row per frame: "
    f"numpy.array([[[video, '1', str({WINDOW}*i+t)] for t in range({WINDOW})] for i in range(windows)])"
)


def part_file(root: Path, person: str, half: str, part: str) -> Path:
    """half: train or test; the side in the name is the one whose face or voice it is."""
    listener = LISTENER_SIDE.get(person, "p0")
    speaker = "p1" if listener == "p0" else "p0"
    side = listener if part == "list_faces" else speaker
    return root / "data" / person / half / f"{side}_{part}_clean_deca.npy"


def read_places(path: Path) -> list[tuple[str, int]]:
    """(video, first frame) of every window of a speak_files array; text, bytes and numbers are read.

    Raises BadFile for another shape, and for a frame that is not a whole number.
    """
    try:
        array = read_npy(path, (None, WINDOW, 3), finite=False, mmap=True, text=True)
    except BadFile as problem:
        raise BadFile(f"{problem}; {LIST}") from None
    places = []
    for window, (video, _, frame) in enumerate(np.array(array[:, 0]).tolist()):
        try:
            if not float(frame).is_integer():
                raise ValueError
            places.append((_plain(video), int(float(frame))))
        except (ValueError, OverflowError):
            raise BadFile(
                f"{path} holds {video!r} and {frame!r} in window {window}; a video and the whole number of a frame are expected"
            ) from None
    return places


def _plain(video: str | bytes | float) -> str:
    """A video's name, which releases give as text, as bytes or as a number."""
    if isinstance(video, bytes):
        return video.decode(errors="replace")
    return video if isinstance(video, str) else str(int(video))


class L2LDataset:
    """api.Dataset over one person's folder. Appropriate is only the true listener."""

    space = DECA_56
    has_emotion = False
    audio: Mapping[str, AudioSpec] = {"mel-128": AudioSpec(dim=128, per_frame=MEL_ROWS)}  # never changed

    def __init__(self, config: L2LDatasetConfig, root: Path):
        self.root, self.config = root, config
        if not (root / "data" / config.person).is_dir():
            people = folders_in(root / "data")
            raise DyadbenchError(
                f"{root / 'data'} has no person {config.person!r}; it has {', '.join(people) or 'nobody'}"
            )

    @cached_property
    def digest(self) -> str:
        return simulated_digest(self.root) or folder_digest(self.root / "data" / self.config.person)

    @property
    def simulated(self) -> bool:
        return simulated_digest(self.root) is not None

    def normalisation(self) -> Mapping[str, Any]:
        # The release standardises by its whole training half, from which the validation videos are taken here.
        split = "train" if self.config.standardise == "none" else "train and val"
        return {"kind": self.config.standardise, "smooth": self.config.smooth, "split": split}

    # --- windows to clips -------------------------------------------------------------------------------

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _part(self, half: str, part: str) -> np.ndarray:
        path = part_file(self.root, self.config.person, half, part)
        try:
            array = read_npy(path, (None, WINDOW * MEL_ROWS, 128) if part == "speak_audio" else (None, WINDOW, None))
        except BadShape as problem:
            raise problem if part == "speak_audio" else BadFile(f"{problem}; {CUT}") from None
        if part.endswith("faces") and array.shape[2] < self.space.dim:
            raise BadFile(f"{path} has {array.shape[2]} channels; at least {self.space.dim} are expected")
        if len(array) != (count := len(self.places(half))):
            raise BadFile(f"{path} has {len(array)} windows, its speak_files has {count}")
        return array

    @lru_cache(maxsize=2)  # noqa: B019  # as above
    def places(self, half: str) -> list[tuple[str, int]]:
        """(video, first frame) of every window of a half."""
        return read_places(part_file(self.root, self.config.person, half, "speak_files"))

    @lru_cache(maxsize=2)  # noqa: B019  # as above
    def _runs(self, half: str) -> list[tuple[str, str, list[int]]]:
        """(clip id, video, windows): stretches of consecutive windows of one video, or every window alone."""
        runs: list[tuple[str, str, list[int]]] = []
        places = self.places(half)
        for i, (video, frame) in enumerate(places):
            if self.config.unit == "video" and runs and places[runs[-1][2][-1]] == (video, frame - WINDOW):
                runs[-1][2].append(i)
            else:
                runs.append((f"{self.config.person}/{video}/{frame}", video, [i]))
        return runs

    def _chosen(self, split: str) -> tuple[str, list[tuple[str, str, list[int]]]]:
        if split == "test":
            return "test", self._runs("test")
        if split not in ("train", "val"):
            raise DyadbenchError(f"there is no split {split!r}; Learning2Listen has train, val, test")
        videos = sorted({video for _, video, _ in self._runs("train")})
        val_count = max(1, round(self.config.validation * len(videos))) if len(videos) > 1 else 0
        # Every n-th video: fixed, seedless, and the same for tokenizer and predictor (the release drew it again each time).
        chosen = {videos[i] for i in evenly(len(videos), val_count)}
        return "train", [run for run in self._runs("train") if (run[1] in chosen) == (split == "val")]

    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip(name, video, WINDOW * len(windows)) for name, video, windows in self._chosen(split)[1]]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        half, runs = self._chosen(split)
        name, video, windows = runs[index]
        mel = (
            np.ascontiguousarray(self._part(half, "speak_audio")[windows].reshape(-1, 128).astype(np.float32))
            if audio
            else None
        )
        return Dyad(
            Clip(name, video, WINDOW * len(windows)),
            Track(self._motion(half, "speak_faces", windows), audio={} if mel is None else {"mel-128": mel}),
            Track(self._motion(half, "list_faces", windows)),
        )

    def _motion(self, half: str, part: str, windows: list[int]) -> np.ndarray:
        motion = self._faces(half, part, windows).reshape(-1, self.space.dim)
        if self.config.standardise != "none":
            mean, scale = self._statistics(part)
            motion = ((motion - mean) / scale).astype(np.float32)
        return np.ascontiguousarray(motion)

    def _faces(self, half: str, part: str, windows: Sequence[int]) -> np.ndarray:
        """(windows, 64, 56), each window smoothed by itself as in the release, whatever the unit."""
        faces = self._part(half, part)[windows][..., : self.space.dim].astype(np.float32)
        return np.stack([bilateral(window).astype(np.float32) for window in faces]) if self.config.smooth else faces

    @lru_cache(maxsize=2)  # noqa: B019  # as above
    def _statistics(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of the training half, validation videos among them. The release's scale is the spread over clips of per-clip deviations."""
        faces = self._faces("train", part, range(len(self._part("train", part)))).astype(np.float64)
        mean = faces.mean((0, 1))
        released = self.config.standardise == "l2l_released"
        return mean, (faces.std(1).std(0) if released else faces.std((0, 1))) + 1e-10

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(len(self._chosen(split)[1]), dtype=bool)

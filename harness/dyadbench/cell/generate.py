"""Sampling a predictor over a split into arrays on disk, and measuring what it did: speed, look-ahead, repeatability."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeInt

from dyadbench.api import EMOTION_DIM, Context, DyadbenchError, MotionSpace, Noise, Predictor, Reaction, Streaming
from dyadbench.cell.latency import measure_latency
from dyadbench.cell.lookahead import measure_lookahead, reads_emotion
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import FLOAT_ORDER, largest_gap, react, row_of
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import Split
from dyadbench.cell.units import calibration_split, thresholds_of
from dyadbench.datasets.readout import CALIBRATION_CLIPS, CALIBRATION_SAMPLES, EmotionReadout, with_binary_units
from dyadbench.errors import PluginError
from dyadbench.files.atomic import cannot_read, replacing, reserve
from dyadbench.files.npy import BadFile, read_header
from dyadbench.matrix.cells import Cell
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder

REPEATED = 1e-3  # relative to the size of the values: what parallel sums on a GPU may differ by is far below
REPEATED_CLIPS, REPEATED_SAMPLES = 3, 2
# A method that reads its own past amplifies rounding: sums in another order may change its reaction up to this many times as
# much as rounding the speaker once does.
AMPLIFIED = 10
UNEVEN = 7  # frames by which these clips differ where clips do: no multiple of a block or of a patch
LOOKAHEAD_FRAMES = 250  # of one clip: enough to see the reach of every method without a second full sampling


class Progress(BaseModel):
    """How far a `generate` stage is, in its progress.json."""

    spaces: tuple[str, ...] = ()  # of the arrays; all hold the first `done` clips
    done: NonNegativeInt = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    read_out: bool = False  # whether emotion was read from motion
    thresholds: tuple[float, ...] = ()  # of action units, where they are turned to 0 and 1

    @classmethod
    def of(cls, stage: Folder) -> Progress:
        return stage.read("progress.json", cls) or cls()

    def save(self, stage: Folder) -> None:
        """Not synced: an older one only costs time."""
        stage.write_json("progress.json", self.model_dump(), sync=False)

    def with_spaces(self, more: Sequence[str]) -> Progress:
        """For an array more all are filled again, so that one number says how far they are."""
        spaces = tuple(sorted({*self.spaces, *more}))
        return self if spaces == self.spaces else Progress(spaces=spaces)


class Sampled(BaseModel, extra="allow"):
    """What sampling measured, in facts.json, beside what the fits cost."""

    generate_seconds: float
    frames: int
    realtime_factor: float | None
    lookahead: int | None
    declared_lookahead: int | None
    sees_truth: bool


def _fits(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        actual, dtype = read_header(path)
    except BadFile:
        return False
    return actual == shape and dtype == np.float32


def _make(path: Path, shape: tuple[int, ...]) -> None:
    """An array of zeros that has all its place on the disk; whole under its name or not there."""
    with replacing(path, sync=False) as scratch:
        np.lib.format.open_memmap(scratch, mode="w+", dtype=np.float32, shape=shape)
        reserve(scratch, path)


def mapped(path: Path) -> np.ndarray:
    """The array, to be written where it lies."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r+")
    except OSError as error:
        raise cannot_read(path, error) from error
    return array


@dataclass
class Generation:
    """A predictor's reactions to the clips of a split."""

    cell: Cell
    host: Host
    runtime: Runtime
    split: Split
    space: MotionSpace
    predictor: Predictor
    readout: Callable[[], EmotionReadout]  # emotion from motion, for predictors that give motion alone
    binary_units: bool = False  # whether action units are turned to 0 and 1

    def arrays(self, stage: Folder, progress: Progress) -> dict[str, np.ndarray]:
        """The arrays on disk: those that an earlier run began, or new ones, of which `progress` then says that they are empty."""
        paths = {space: stage.folder / f"{space}.npy" for space in progress.spaces}
        if not all(_fits(path, self._shape(space)) for space, path in paths.items()):
            progress.done = 0
            progress.save(stage)  # before a new array exists: a later run must not take its zeros for reactions
            for space, path in paths.items():
                _make(path, self._shape(space))
        return {space: mapped(path) for space, path in paths.items()}

    def _shape(self, space: str) -> tuple[int, int, int, int]:
        """(clips, samples, frames, channels)"""
        channels = self.space.dim if space == "motion" else EMOTION_DIM
        return len(self.split.clips), self.cell.setting.samples, self.split.frames, channels

    def calibrate(self, stage: Folder, progress: Progress) -> None:
        """Fits the thresholds of action units on reactions to training clips, once per stage."""
        if not self.binary_units or progress.thresholds:
            return
        self.runtime.report("action units", 0, CALIBRATION_CLIPS)
        train = calibration_split(self.split)
        reactions: list[np.ndarray] = []  # (K, T, 25) for each clip
        total = len(train.clips)
        for first in range(0, total, self.runtime.batch):
            rows = range(first, min(first + self.runtime.batch, total))
            emotion = self._with_emotion(self._react(self._context(rows, split=train), CALIBRATION_SAMPLES)).emotion
            if emotion is not None:  # else nothing is to be turned, and filling says so
                reactions += list(emotion)
        if reactions:
            progress.thresholds = thresholds_of(reactions, self.split)
            progress.save(stage)

    def _with_emotion(self, reaction: Reaction) -> Reaction:
        """The reaction, with emotion read from its motion where it has none."""
        if reaction.emotion is not None or reaction.motion is None:
            return reaction
        return dataclasses.replace(reaction, emotion=self.readout()(reaction.motion))

    def fill(self, stage: Folder, arrays: dict[str, np.ndarray], progress: Progress) -> None:
        """Samples in rounds of one batch per process. Progress is a single count of clips."""
        world, total, size = self.runtime.world, len(self.split.clips), self.runtime.batch
        # Rounds, and not a share of the clips for each process: a single count then says what is finished, whatever number of
        # processes a later run has.
        for first in range(progress.done, total, size * world.size):
            if world.first:
                self.runtime.report("generate", first, total)
            mine = first + world.rank * size
            if mine < total:
                self._batch(range(mine, min(mine + size, total)), arrays, progress)
            world.wait()
            progress.done = min(first + size * world.size, total)
            if world.first:
                progress.save(stage)
        if world.first:
            self.runtime.report("generate", total, total)

    def _batch(self, rows: range, arrays: dict[str, np.ndarray], progress: Progress) -> None:
        context = self._context(rows)
        started, used = time.perf_counter(), time.process_time()
        reaction = self._react(context, self.cell.setting.samples)
        progress.seconds += time.perf_counter() - started
        progress.cpu_seconds += time.process_time() - used
        if "emotion" in arrays:
            whole = self._with_emotion(reaction)
            progress.read_out |= whole is not reaction
            if whole.emotion is not None and progress.thresholds:
                whole = dataclasses.replace(whole, emotion=with_binary_units(whole.emotion, progress.thresholds))
            reaction = whole
        for space, array in arrays.items():
            values = reaction.motion if space == "motion" else reaction.emotion
            if values is None:
                raise DyadbenchError(
                    f"{self.cell.predictor.name} returns no {space}, which suite {self.cell.setting.suite!r} of "
                    f"{self.cell.benchmark} scores"
                )
            # A run that was killed here may have left part of this batch.
            array[rows.start : rows.stop] = 0
            for i, row in enumerate(rows):
                length = self.split.clips[row].frames
                array[row, :, :length] = values[i, :, :length]
            # Before the count is saved: it must never promise rows that are only in memory.
            array.flush()  # type: ignore[attr-defined]  # a memory map

    def _context(
        self, rows: range, frames: int | NDArray[np.int64] | None = None, split: Split | None = None
    ) -> Context:
        of = split or self.split
        return of.context(rows, self.predictor.needs, privileged=self.privileged, frames=frames)

    def _react(self, context: Context, k: int, seed: int | None = None) -> Reaction:
        """The predictor's answer, checked; what it raises is blamed on its plugin."""

        def sample(context: Context, k: int, noise: Noise) -> Any:
            with self.host.blame("predictor", self.cell.predictor.name, "sample"):
                return self.predictor.sample(context, k, noise)

        noise = CellNoise(self.cell.seed if seed is None else seed)
        return react(sample, context, k, noise, self.space, self.cell.predictor.name)

    @property
    def privileged(self) -> bool:
        """Whether the predictor may see the true listener."""
        return self.host.get("predictor", self.cell.predictor.name).calibration

    def demand_repeatable(self) -> None:
        """Asks twice for the same reactions, and then for each clip alone. If they differ, the cell does not determine them.

        On a CPU the answers must be equal to the bit. On a GPU parallel sums have no fixed order, so they may differ by
        REPEATED; there a clip alone is not compared with its batch, where one token that is sampled differently changes the rest.
        """
        rows, name = range(min(REPEATED_CLIPS, len(self.split.clips))), self.cell.predictor.name
        # Clips of many lengths keep some: cut to one length they would have no padding, and a method that reads it would pass.
        uneven = len(set(self.split.lengths.tolist())) > 1
        limits = LOOKAHEAD_FRAMES - UNEVEN * uneven * np.arange(len(rows))
        context = self._context(rows, limits)
        # Twice the same question first: a predictor with a generator of its own answers differently.
        first, second = (self._react(context, REPEATED_SAMPLES) for _ in range(2))
        on_cpu = self.runtime.device == "cpu"
        if largest_gap(first, second) > (0 if on_cpu else REPEATED):
            raise PluginError(
                f"{name} gave two reactions to the same clips with the same noise, so nobody could repeat its numbers; let it "
                "draw from noise.stream(clip, sample) alone"
            )
        if self.host.get("predictor", name).deterministic and self.cell.tokenizer is None:
            other = self._react(context, REPEATED_SAMPLES, self.cell.seed + 1)
            if largest_gap(first, other) > (0 if on_cpu else REPEATED):
                raise PluginError(
                    f"{name} is registered with deterministic=True, and another seed gives another reaction; leave that out, so "
                    "that one seed is not taken for all there is to know"
                )
        for row in rows if on_cpu and len(rows) > 1 else ():
            frames = int(context.lengths[row])
            # Then each clip alone: a generator that is seeded per call passes the first test and fails this one.
            lonely = self._context(range(row, row + 1), limits[row : row + 1])
            alone = self._react(lonely, REPEATED_SAMPLES)
            gap = largest_gap(row_of(first, row, frames), row_of(alone, 0, frames))
            if gap > FLOAT_ORDER and gap > AMPLIFIED * self._made_of_rounding(lonely, alone):
                raise PluginError(
                    f"{name} reacts to clip {context.clips[row]} otherwise in a batch than alone, so --batch would change its "
                    "numbers; let it draw from noise.stream(clip, sample) alone, and look at no other clip and at nothing after a "
                    "clip's own length"
                )

    def _made_of_rounding(self, context: Context, reaction: Reaction) -> float:
        """By how much the reaction changes where each number of the speaker is one step of a float further."""
        return largest_gap(reaction, self._react(_rounded(context), REPEATED_SAMPLES))

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Speed, and the measured look-ahead beside the declared one."""
        frames = sum(clip.frames for clip in self.split.clips) * self.cell.setting.samples
        context = self._context(range(1), LOOKAHEAD_FRAMES)
        with self.host.blame("predictor", self.cell.predictor.name, "look-ahead"):
            lookahead = measure_lookahead(self.predictor, context, CellNoise(self.cell.seed), self.space.fps)
            emotion_read = reads_emotion(self.predictor, context, CellNoise(self.cell.seed))
        return {
            "generate_seconds": round(progress.seconds, 3),
            "generate_cpu_seconds": round(progress.cpu_seconds, 3),
            "frames": frames,
            "realtime_factor": round(frames / self.space.fps / progress.seconds, 1) if progress.seconds > 0 else None,
            "lookahead": lookahead,
            "declared_lookahead": self.predictor.needs.lookahead,
            "sees_truth": self.predictor.needs.truth,
            **({} if emotion_read is None else {"reads_emotion": emotion_read}),
            **({"two_sided": inputs} if (inputs := list(self.predictor.needs.two_sided)) else {}),
            **self._latency(context),
        }

    def _latency(self, context: Context) -> dict[str, Any]:
        """What a robot would wait for, on a CPU, where the predictor streams; online and offline cells share what is in the store."""
        if not isinstance(self.predictor, Streaming) or self.runtime.device != "cpu":
            return {}
        try:
            with self.host.blame("predictor", self.cell.predictor.name, "stream"):
                latency = measure_latency(self.predictor, context, CellNoise(self.cell.seed), self.space.fps)
        except DyadbenchError:
            if self.cell.setting.track == "online":
                raise
            latency = None  # nobody streams an offline cell, and its record has no latency
        return {"latency": latency.model_dump()} if latency else {}


def _rounded(context: Context) -> Context:
    """The same speakers, each number of face and sound one step of a float further."""
    return dataclasses.replace(
        context,
        speaker_motion=np.nextafter(context.speaker_motion, np.float32(np.inf)),
        audio={name: np.nextafter(values, np.float32(np.inf)) for name, values in context.audio.items()},
    )

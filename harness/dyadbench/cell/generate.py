"""Sampling a predictor over a split into arrays on disk, and measuring what it did: speed, look-ahead, repeatability."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dyadbench.api import DyadbenchError, MotionSpace, Predictor, Reaction
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import Split
from dyadbench.datasets.readout import EmotionReadout
from dyadbench.errors import PluginError
from dyadbench.files.atomic import reserve
from dyadbench.matrix.cells import Cell
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder

REPEATED = 1e-3  # relative; what parallel sums on a GPU may differ by is far below
LOOKAHEAD_FRAMES = 250  # of one clip: enough to see the reach of every method without a second full sampling


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

    def array(self, stage: Folder, space: str) -> np.ndarray:
        """(clips, samples, frames, channels) on disk: the one that an earlier run began, or a new one."""
        clips = self.split.clips
        channels = self.space.dim if space == "motion" else 25
        shape = (len(clips), self.cell.setting.samples, self.split.frames, channels)
        path = stage.folder / f"{space}.npy"
        if path.exists():
            try:
                array = np.load(path, mmap_mode="r+", allow_pickle=False)
                if array.shape == shape and array.dtype == np.float32:
                    reserve(path)
                    return array
            except (ValueError, OSError):
                pass  # cut short by a kill before its first batch: made anew below
        stage.write_json("progress.json", None)  # a new array holds nothing yet
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        reserve(path)
        return array

    def fill(self, stage: Folder, arrays: dict[str, np.ndarray], progress: dict[str, Any]) -> None:
        """Round by round, a batch for each process, so that what is done is one number whoever goes on from it."""
        world, total, size = self.runtime.world, len(self.split.clips), self.runtime.batch
        for first in range(progress["done"], total, size * world.size):
            if world.first:
                self.runtime.report("generate", first, total)
            mine = first + world.rank * size
            if mine < total:
                self._batch(range(mine, min(mine + size, total)), arrays, progress)
            world.wait()
            progress["done"] = min(first + size * world.size, total)
            if world.first:
                stage.write_json("progress.json", progress)
        if world.first:
            self.runtime.report("generate", total, total)

    def _batch(self, rows: range, arrays: dict[str, np.ndarray], progress: dict[str, Any]) -> None:
        context = self.split.context(rows, self.predictor.needs, privileged=self.privileged)
        started = time.perf_counter()
        with self.host.blame("predictor", self.cell.predictor.name, "sample"):
            reaction = self.predictor.sample(context, self.cell.setting.samples, CellNoise(self.cell.seed))
        progress["seconds"] += time.perf_counter() - started
        if "emotion" in arrays and reaction.emotion is None and reaction.motion is not None:
            reaction = dataclasses.replace(reaction, emotion=self.readout()(reaction.motion))
            progress["read_out"] = True
        for space, array in arrays.items():
            array[rows.start : rows.stop] = self._checked(reaction, space, rows)
            array.flush()  # type: ignore[attr-defined]  # a memory map

    @property
    def privileged(self) -> bool:
        """Whether the predictor may see the true listener."""
        return self.host.get("predictor", self.cell.predictor.name).calibration

    def demand_repeatable(self) -> None:
        """Asks twice for the same reaction. What differs is no function of the cell, and no look-ahead can be measured on it."""
        context = self.split.context(
            range(1), self.predictor.needs, privileged=self.privileged, frames=LOOKAHEAD_FRAMES
        )
        with self.host.blame("predictor", self.cell.predictor.name, "sample"):
            first, second = (self.predictor.sample(context, 1, CellNoise(self.cell.seed)) for _ in range(2))
            for one, two in ((first.motion, second.motion), (first.emotion, second.emotion)):
                if one is None or two is None:
                    continue
                if np.shape(one) == np.shape(two) and np.abs(np.subtract(one, two)).max(initial=0) > REPEATED * (
                    1 + np.abs(one).max(initial=0)
                ):
                    raise PluginError(
                        f"{self.cell.predictor.name} gave two reactions to the same clip with the same noise, so nobody could "
                        "repeat its numbers; let it draw from noise.stream(clip, sample) alone"
                    )

    def _checked(self, reaction: Reaction, space: str, rows: range) -> np.ndarray:
        """The batch's values, or a sentence that blames the plugin: wrong shape, NaN, nothing at all."""
        setting, name = self.cell.setting, self.cell.predictor.name
        with self.host.blame("predictor", name, "sample"):
            values = getattr(reaction, space)
            values = None if values is None else np.asarray(values)
        if values is not None and values.dtype.kind not in "fiub":
            raise PluginError(f"{name} returned {space} of {values.dtype} where numbers are wanted")
        if values is None:
            raise DyadbenchError(
                f"{name} returns no {space}, which suite {setting.suite!r} of {self.cell.benchmark} scores"
            )
        channels = self.space.dim if space == "motion" else 25
        frames = max(self.split.clips[row].frames for row in rows)
        wanted = (len(rows), setting.samples, frames, channels)
        if tuple(values.shape) != wanted:
            raise PluginError(
                f"{name} returned {space} of shape {tuple(values.shape)} where (clips, samples, frames, channels) is {wanted}"
            )
        filled = np.zeros((len(rows), setting.samples, self.split.frames, channels), np.float32)
        for i, row in enumerate(rows):
            length = self.split.clips[row].frames
            filled[i, :, :length] = values[i, :, :length]
            if not np.isfinite(filled[i]).all():
                raise PluginError(f"{name} returned NaN or infinite {space} for clip {self.split.clips[row].id}")
        return filled

    def measure(self, seconds: float) -> dict[str, Any]:
        """Speed, and the look-ahead as it is rather than as it is declared."""
        frames = sum(clip.frames for clip in self.split.clips) * self.cell.setting.samples
        context = self.split.context(
            range(1), self.predictor.needs, privileged=self.privileged, frames=LOOKAHEAD_FRAMES
        )
        with self.host.blame("predictor", self.cell.predictor.name, "look-ahead"):
            lookahead = measure_lookahead(self.predictor, context, CellNoise(self.cell.seed))
        return {
            "generate_seconds": round(seconds, 3),
            "frames": frames,
            "realtime_factor": round(frames / self.space.fps / seconds, 1) if seconds > 0 else None,
            "lookahead": lookahead,
            "declared_lookahead": self.predictor.needs.lookahead,
            "sees_truth": self.predictor.needs.truth,
        }

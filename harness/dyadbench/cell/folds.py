"""A cross-validated cell: fitted and sampled once per fold, scored and recorded once over the clips of all folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from dyadbench.api import Dataset, DyadbenchError, Predictor
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import Split
from dyadbench.datasets.folds import FoldedDataset, PooledDataset
from dyadbench.matrix.cells import Cell, Part
from dyadbench.matrix.keys import key_of
from dyadbench.records.record import Score, SuiteScores
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder
from dyadbench.training.curves import thinned

SUMMED = (  # of what a record says was measured
    "fit_seconds", "fit_cpu_seconds", "tokenizer_fit_seconds", "tokenizer_fit_cpu_seconds",
    "generate_seconds", "generate_cpu_seconds", "frames",
)  # fmt: skip
FOLD_POINTS = 20  # of a curve of one fold: all together are as small as the curves of a cell without folds


def run_of(cell: Cell, host: Host, runtime: Runtime, dataset: Dataset) -> CellRun:
    """The run of a cell over an open dataset, cross-validated where its benchmark is."""
    return (FoldedCellRun if cell.setting.folds else CellRun)(cell, host, runtime, dataset)


class FoldedCellRun(CellRun):
    """A `CellRun` whose parts are its folds, each with keys and stages of its own. `dataset` holds all clips as "test"."""

    def __post_init__(self) -> None:
        cell, folds = self.cell, self.cell.setting.folds
        if cell.setting.split != "test":
            raise DyadbenchError(
                f"{cell.benchmark} is cross-validated, so its split must be 'test', not {cell.setting.split!r}"
            )
        opened, self.dataset = self.dataset, PooledDataset(self.dataset)
        self.split = Split(self.dataset, "test")
        self._folds = [
            CellRun(cell, self.host, self.runtime, FoldedDataset(opened, fold, folds), fold) for fold in range(folds)
        ]
        self.tokenizer_key = ""  # every fold has its own
        # The reactions of all folds have no folder of their own: their key names those of the folds.
        self.generate_key = key_of("generate", folds=[part.generate_key for part in self._folds])

    @property
    def parts(self) -> list[CellRun]:
        return self._folds

    @cached_property
    def _rows(self) -> list[tuple[int, int]]:
        """(fold, row there) of every clip."""
        place = {
            clip.id: (fold, row) for fold, part in enumerate(self._folds) for row, clip in enumerate(part.split.clips)
        }
        return [place[clip.id] for clip in self.split.clips]

    def part_of(self, row: int) -> tuple[CellRun, int]:
        fold, there = self._rows[row]
        return self._folds[fold], there

    def fit(self) -> tuple[Predictor, dict[str, Any]]:
        raise NotImplementedError("every fold has a predictor of its own: ask the parts")

    def generate(self, spaces: Sequence[str]) -> tuple[Folder, dict[str, Any]]:
        """The reactions of every fold; the folder is the first fold's, whose plugin made them all."""
        outputs = [part.generate(spaces) for part in self._folds]
        facts = merge_facts([facts for _, facts in outputs])
        if seconds := facts.get("generate_seconds"):
            facts["realtime_factor"] = round(facts["frames"] / self.dataset.space.fps / seconds, 1)
        return outputs[0][0], facts

    def reactions(self, space: str) -> Any:
        arrays = [part.reactions(space) for part in self._folds]
        return None if any(array is None for array in arrays) else Joined(arrays, self._rows)

    def tokens(self, part: Part) -> tuple[SuiteScores, dict[str, Any]]:
        """Every fold's tokenizer on the clips that it never saw."""
        outputs = [run.tokens(part) for run in self._folds]
        scores = [each for each, _ in outputs]
        per_clip = {name: [scores[fold].per_clip[name][row] for fold, row in self._rows] for name in scores[0].per_clip}
        pooled = {name: _pooled_score([each.scores[name] for each in scores], v) for name, v in per_clip.items()}
        return SuiteScores(versions=scores[0].versions, scores=pooled, per_clip=per_clip), outputs[0][1]


class Joined:
    """Predictions of several folds as one array-like (N, K, T, C), read clip by clip. T is the longest fold's."""

    def __init__(self, arrays: Sequence[np.ndarray], rows: Sequence[tuple[int, int]]):
        self._arrays, self._rows = arrays, rows
        frames = max(array.shape[2] for array in arrays)
        self.shape = (len(rows), arrays[0].shape[1], frames, arrays[0].shape[3])
        self.dtype = arrays[0].dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, clip: int) -> np.ndarray:
        fold, row = self._rows[clip]
        return np.asarray(self._arrays[fold][row])


def merge_facts(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was measured in all folds as one: costs are summed, the look-ahead is the longest, the rest is the first fold's.

    `validation` and `curves` become mappings of folds, for every fold chose its weights by itself.
    """
    merged = dict(facts[0])
    for name in SUMMED:
        if all(name in each for each in facts):  # older fits in the store did not count processor seconds
            merged[name] = round(sum(each[name] for each in facts), 3)
        else:
            merged.pop(name, None)
    # A promise about the method holds only if it holds in every fold.
    if "lookahead" in merged:  # None is the whole clip
        reaches = [each["lookahead"] for each in facts]
        merged["lookahead"] = None if None in reaches else max(reaches)
    for name in ("validation", "tokenizer_validation", "curves", "tokenizer_curves"):
        if name in merged:
            small = thinned if name.endswith("curves") else lambda value, _: value
            merged[name] = {
                f"fold {fold}, {key}": small(v, FOLD_POINTS)
                for fold, each in enumerate(facts)
                for key, v in each.get(name, {}).items()
            }
    for name, numbers in (("readout", "rmse"), ("action_units", "thresholds")):
        if name in merged:
            each = [part[name][numbers] for part in facts]
            mean = {channel: round(float(np.mean([one[channel] for one in each])), 6) for channel in each[0]}
            merged[name] = {**merged[name], numbers: mean}
    return merged


def _pooled_score(scores: Sequence[Score], per_clip: Sequence[float | None]) -> Score:
    """Of one column over folds: the mean over the clips where it is defined, which weighs every fold by its clips."""
    values = [value for value in per_clip if value is not None]
    mean: Callable[[str], float] = lambda name: float(np.mean([score.detail[name] for score in scores]))  # noqa: E731  # a name for one expression
    return Score(
        value=float(np.mean(values)) if values else None,
        undefined=sum(score.undefined for score in scores),
        detail={name: mean(name) for name in scores[0].detail},
    )

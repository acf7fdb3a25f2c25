"""Scores one cell: its suites on the reactions, and its tokenizer by itself. Results are stored; what a suite returns is checked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from dyadbench.api import DyadbenchError, Evaluation, MotionSpace, Progress, Result, Suite, Tokenizer
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import Split
from dyadbench.errors import PluginError, first_fault, one_line
from dyadbench.matrix.keys import key_of
from dyadbench.metrics import tokens as token_metrics
from dyadbench.metrics.tokenizer import score_tokenizer
from dyadbench.records.record import Score, SuiteScores, mean_fault
from dyadbench.registry.host import Host

EDGE = 1e-4  # relative: how far rounding, or a small number within a logarithm, may carry a value beyond the range of its column


def open_suites(host: Host, names: Sequence[str]) -> dict[str, Suite]:
    """The suites by name; PluginError where the columns of one do not hold together."""
    suites: dict[str, Suite] = {}
    for name in names:
        suite: Suite = host.build("suite", name, {})
        with host.blame("suite", name, "build"):
            demand_columns(suite)
        suites[name] = suite
    return suites


def demand_groups(suites: Mapping[str, Suite], space: MotionSpace) -> None:
    """Raises DyadbenchError where a suite scores groups of channels (its `groups`) that the motion space does not have.

    A suite with `all_groups = False` needs one of them only. Said before anything is trained or sampled: the scores would
    fail after it.
    """
    for name, suite in suites.items():
        groups = getattr(suite, "groups", ())
        missing = [group for group in groups if group not in space.groups]
        enough = len(missing) < len(groups) and not getattr(suite, "all_groups", True)
        if missing and not enough and suite.space == "motion":
            raise DyadbenchError(
                f"suite {name} scores the channels {missing[0]!r}, which motion space {space.name!r} does not have "
                f"(it has {', '.join(space.groups) or 'no groups'}); choose a suite for this dataset"
            )


def demand_columns(suite: Suite) -> None:
    """Raises ValueError where tables could not be made of a suite's columns."""
    ids = [column.id for column in suite.columns]
    for name, count in Counter(ids).items():
        if count > 1:
            raise ValueError(f"two of its columns are {name!r}")
    for column in suite.columns:
        # A column that is never ranked may hold the target itself, and then has none.
        if column.direction == "match" and (column.ranked or column.target) and column.target not in ids:
            raise ValueError(f"column {column.id!r} is to match {column.target!r}, which is none of its columns")
    if suite.space not in ("emotion", "motion"):
        raise ValueError(f"its space is {suite.space!r}; it must be 'emotion' or 'motion'")


def evaluate(host: Host, name: str, suite: Suite, data: Evaluation, progress: Progress | None) -> Mapping[str, Result]:
    """The results of the suite, checked. Raises PluginError."""
    with host.blame("suite", name, "score"):
        results = suite.evaluate(data, progress)
    demand_whole(name, suite, results, len(data.clips))
    return results


def demand_whole(name: str, suite: Suite, results: Any, count: int) -> None:
    """One Result for each column: a number or None, and a value per clip of which it is the mean; PluginError otherwise."""
    if not isinstance(results, Mapping):
        raise PluginError(f"suite {name} gave a {type(results).__name__}; a mapping from column ids to Results is due")
    for column in suite.columns:
        result = results.get(column.id)
        if result is None:
            raise PluginError(f"suite {name} gave no {column.id}, one of its columns")
        try:
            value = Score(value=result.value, undefined=result.undefined, detail=dict(result.detail)).value
            per_clip = np.asarray(result.per_clip)
            if per_clip.dtype.kind not in "fiub":
                raise TypeError(f"per_clip holds {per_clip.dtype}, where numbers are due")
            per_clip = per_clip.astype(np.float64)
        except (AttributeError, TypeError, ValueError) as error:
            why = first_fault(error) if isinstance(error, ValidationError) else one_line(error, most=200)
            raise PluginError(f"suite {name} gave no api.Result of numbers for {column.id}: {why}") from None
        if value is not None and not np.isfinite(value):
            raise PluginError(f"suite {name} gave {value} for {column.id}; what is undefined is None")
        if per_clip.shape != (count,) or np.isinf(per_clip).any():
            raise PluginError(
                f"suite {name} gave {per_clip.shape} values of {column.id} for {count} clips, or infinite ones"
            )
        # Compared with NaN no value is out of range.
        low, high = (np.nan if bound is None else bound for bound in (column.low, column.high))
        if value is not None and (value < low - EDGE * (1 + abs(low)) or value > high + EDGE * (1 + abs(high))):
            raise PluginError(
                f"suite {name} gave {value:g} for {column.id}, which is declared to lie from {column.low} to {column.high}"
            )
        if fault := mean_fault(value, per_clip.tolist()):
            raise PluginError(
                f"suite {name}, {column.id}: {fault}; see api.Result for metrics that are not means over clips"
            )
    if strange := sorted(set(results) - {column.id for column in suite.columns}):
        raise PluginError(f"suite {name} gave {strange[0]}, which is none of its columns")


def scores_of(versions: Mapping[str, int], results: Mapping[str, Result]) -> SuiteScores:
    """Results as they are written: undefined values are null, never NaN."""
    return SuiteScores(
        versions=versions,
        scores={
            name: Score(value=result.value, undefined=result.undefined, detail=dict(result.detail))
            for name, result in results.items()
        },
        per_clip={
            name: [None if np.isnan(v) else float(v) for v in result.per_clip] for name, result in results.items()
        },
    )


class TokenScores(BaseModel):
    """tokens.json."""

    scores: SuiteScores
    facts: dict[str, Any]


@dataclass(frozen=True)
class Scoring:
    """The scores of one cell; each is computed once and read from the store afterwards."""

    host: Host
    runtime: Runtime
    split: Split
    generate_key: str
    tokenizer_key: str
    clips: int = 0  # that the benchmark scores; 0: all

    def key(self, name: str, suite: Suite) -> str:
        """Of one suite's scores in the store."""
        versions = {column.id: column.version for column in suite.columns}
        return key_of("score", generate=self.generate_key, suite=name, versions=versions)

    @property
    def tokens_key(self) -> str:
        return key_of(
            "tokens", tokenizer=self.tokenizer_key, split=self.split.name, versions=token_metrics.VERSIONS,
            **({"clips": self.clips} if self.clips else {}),
        )  # fmt: skip

    def suite(self, name: str, suite: Suite, data: Evaluation) -> SuiteScores:
        """One suite's scores, from the store where the same versions were computed before."""
        versions = {column.id: column.version for column in suite.columns}
        plugin = self.host.plugin_of(self.host.get("suite", name))
        sources = self.host.sources_of({"suite": name})
        with self.runtime.store.hold("score", self.key(name, suite), plugin=plugin, sources=sources) as stage:
            earlier = stage.read("scores.json", SuiteScores)
            if stage.done and earlier is not None and earlier.versions == versions:
                return earlier
            results = evaluate(self.host, name, suite, data, self.runtime.progress(f"score {name}"))
            scores = scores_of(versions, results)
            stage.write_json("scores.json", scores.model_dump(mode="json"), sync=False)
            stage.finish()
            return scores

    def tokens(self, name: str, fitted: Callable[[], Tokenizer]) -> tuple[SuiteScores, dict[str, Any]]:
        """The scores of the tokenizer `name` by itself on the split, and its grid; computed once for all predictors on it."""
        space = self.split.dataset.space
        plugin = self.host.plugin_of(self.host.get("tokenizer", name))
        sources = self.host.sources_of({"tokenizer": name})
        with self.runtime.store.hold("tokens", self.tokens_key, plugin=plugin, sources=sources) as stage:
            earlier = stage.read("tokens.json", TokenScores)
            if stage.done and earlier is not None:
                return earlier.scores, earlier.facts
            # Only now: where the scores are in the store, no tokenizer is built or restored.
            tokenizer = fitted()
            self.runtime.report(f"score {name}", 0, 1)
            motion, emotion = self.split.listeners()
            mean, emotion_mean = self.split.training_means()
            with self.host.blame("tokenizer", name, "score"):
                results = score_tokenizer(
                    tokenizer, motion, space, mean=mean, emotion=emotion, emotion_mean=emotion_mean
                )
            scores = scores_of({column: token_metrics.version_of(column) for column in results}, results)
            facts = {**dataclasses.asdict(tokenizer.tokens), "fps": space.fps}
            stage.write_json("tokens.json", {"scores": scores.model_dump(mode="json"), "facts": facts}, sync=False)
            stage.finish()
            return scores, facts

"""The record of predictions that were made elsewhere: their row in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.cell.recorded import recorded_config
from dyadbench.datasets.readout import units_facts
from dyadbench.errors import one_line
from dyadbench.files.digest import digest_of
from dyadbench.files.predictions import Predictions
from dyadbench.matrix.cells import demand_name_of
from dyadbench.matrix.keys import key_of
from dyadbench.python.score import Target, Thresholds, raw_units
from dyadbench.records import provenance
from dyadbench.records.record import Measured, Record, RecordedData, RecordedSetting, SuiteScores, slug

PREDICTIONS = "predictions"  # the predictor's name in a record that was scored from a file


def record_of(
    target: Target,
    name: str,
    predictions: Predictions,
    scores: Mapping[str, SuiteScores],
    thresholds: Thresholds | None = None,
) -> Record:
    """The record of a predictions file: a row that nobody can run again, so it has neither intervals nor a rank.

    Raises DyadbenchError for action units that could not stand beside those of the other rows.
    """
    if thresholds is None and (raw := raw_units(target, predictions)):
        raise DyadbenchError(f"{raw}, or leave --as out")
    binary = target.space == "emotion" and target.setting.action_units == "binary"
    rule: dict[str, Any] = {"action_units": units_facts(thresholds.values if thresholds else ())} if binary else {}
    key = digest_of(predictions.path, ".npy")
    files = {"sha256": key}
    if thresholds:
        train = digest_of(thresholds.path, ".npy")
        key = key_of("score", sha256=key, train=train)
        files |= {"train": one_line(thresholds.path.name), "train_sha256": train}
    return Record(
        key=key,
        benchmark=target.benchmark,
        benchmark_config=RecordedSetting(**target.setting.model_dump(mode="json")),
        method=name,
        preset=None,
        method_config={"predictor": {"name": PREDICTIONS, "version": 1, "config": files}},
        plugin=("", ""),
        entry_version=1,
        calibration=False,
        scored_from=one_line(predictions.path.name),
        trained=False,
        seed=0,
        dataset=RecordedData(
            name=target.part.name,
            version=target.part.version,
            digest=target.dataset.digest,
            simulated=target.dataset.simulated,
            normalisation=dict(target.dataset.normalisation()),
            split=target.setting.split,
            config=recorded_config(target.host, target.part),
        ),
        clips=target.clips,
        sessions=[clip.session for clip in target.split.clips],
        suites=dict(scores),
        measured=Measured(lookahead=None, declared_lookahead=None, **rule),
        provenance=provenance.snapshot("cpu", target.runtime.threads),
    )


def demand_free(target: Target, name: str, leaderboards: Path, replace: bool) -> None:
    """Raises DyadbenchError where a file's row has the name of a method, or another record lies in its place."""
    demand_name_of(target.host, name, PREDICTIONS)
    path = leaderboards / "records" / slug(target.benchmark) / slug(name) / "seed0.json"
    if path.exists() and not replace:
        raise DyadbenchError(f"{path} holds a record already; choose another --as NAME, or give it up with --replace")

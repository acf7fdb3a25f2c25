"""The benchmark verb measures what it says: our results and theirs agree, in the same run."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dyadbench.cli import app


def test_every_metric_is_compared_with_its_definition() -> None:
    outcome = CliRunner().invoke(app, ["bench", "metrics", "--clips", "2", "--only", "react", "--json"])
    assert outcome.exit_code == 0, outcome.output
    rows = {row["metric"]: row for row in json.loads(outcome.stdout)}
    assert set(rows) >= {"FRDist", "FRCorr", "FRSyn, all samples", "FRDiv + FRDvs + FRVar"}
    for name, tolerance in (
        ("FRDist", 1e-9),
        ("FRCorr", 1e-6),
        ("FRSyn, all samples", 0),
        ("FRDiv + FRDvs + FRVar", 1e-4),
    ):
        assert rows[name]["difference"] <= tolerance, name
        assert rows[name]["ratio"] > 0
        assert rows[name]["seconds"] > 0
    assert {"metric", "ratio", "difference", "seconds", "peak_mb"} <= set(rows["FRDist"])


def test_an_unknown_part_is_refused() -> None:
    outcome = CliRunner().invoke(app, ["bench", "metrics", "--only", "lunch"])
    assert "all, start, react, density, l2l, long" in str(outcome.exception)


@pytest.mark.slow
def test_a_new_process_is_timed_to_its_first_score() -> None:
    from dyadbench.bench.metrics import first_call_rows

    cold, warm = first_call_rows()
    assert cold.seconds > warm.seconds > 0

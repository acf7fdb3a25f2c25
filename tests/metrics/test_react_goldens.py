"""Every official number of the REACT golden cases, and every error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench import score_arrays
from dyadbench.metrics.react.frsyn import official_offset
from dyadbench.metrics.react.suites import official_clip

GOLDENS = Path(__file__).parents[1] / "goldens" / "react"
CASES = {case["case"]: case for case in json.loads((GOLDENS / "index.json").read_text())["cases"]}
# ours, theirs, relative and absolute tolerance; FRDvs is float32 in the official code, FRSyn a float32 mean
NUMBERS = (
    ("FRCorr", "FRC_mp", 1e-6, 0.0), ("FRDist", "FRD_mp", 1e-9, 1e-12), ("FRDiv", "S_MSE", 5e-6, 1e-12),
    ("FRVar", "FRVar", 1e-6, 0.0), ("FRDvs", "FRDvs", 5e-5, 1e-6), ("FRSyn", "TLCC_mp", 1e-6, 0.0),
)  # fmt: skip


def _load(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDENS / CASES[case]["file"]) as archive:
        return dict(archive)


def _inputs(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "pred": arrays["pred"],
        "listener": arrays["listener"],
        "speaker": arrays["speaker"],
        "appropriate": arrays["neighbour"],
    }


@pytest.mark.parametrize("case", [name for name in CASES if not name.startswith("err_")])
def test_official_numbers(case: str) -> None:
    arrays, official = _load(case), CASES[case]["official_react2024"]
    scores = score_arrays("react2024-official", **_inputs(arrays))
    for ours, theirs, rel, absolute in NUMBERS:
        expected = float(official[theirs])
        if math.isnan(expected):
            assert math.isnan(scores[ours]), ours
        else:
            assert scores[ours] == pytest.approx(expected, rel=rel, abs=absolute), ours
    if "out_tlcc_abs_offset" in arrays:
        pairs = [
            [official_offset(sample, speaker) for sample in clip]
            for clip, speaker in zip(arrays["pred"], arrays["speaker"], strict=True)
        ]
        assert np.array_equal(pairs, arrays["out_tlcc_abs_offset"]), "every sample's offset, exactly"


@pytest.mark.parametrize("case", ["standard", "short_continuous"])
def test_per_clip_values(case: str) -> None:
    arrays = _load(case)
    for n, expected in enumerate(arrays["out_frc_sum_over_k_per_clip"]):
        refs = arrays["listener"][arrays["neighbour"][n] == 1]
        assert official_clip(arrays["pred"][n], refs, arrays["speaker"][n])["FRCorr"] == pytest.approx(
            expected, rel=1e-6
        )


@pytest.mark.parametrize(("case", "message"), [("err_empty_row", "row 1"), ("err_matrix_2n_index", "there are 5")])
def test_official_crashes_are_sentences(case: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_arrays("react2024-official", **_inputs(_load(case)))


def test_a_matrix_with_fewer_rows_than_clips_is_refused() -> None:
    arrays = _inputs(_load("short_continuous"))
    with pytest.raises(ValueError, match="5 rows for 6 clips"):
        score_arrays("react2024-official", **{**arrays, "appropriate": arrays["appropriate"][:5]})


def test_torch_tensors_give_the_same() -> None:
    arrays = _inputs(_load("short_continuous"))
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    assert score_arrays("react2024-official", **tensors) == score_arrays("react2024-official", **arrays)


def test_threads_give_the_same() -> None:
    arrays = _inputs(_load("short_continuous"))
    assert score_arrays("react2024-official", threads=2, **arrays) == score_arrays("react2024-official", **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": np.zeros((60, 25))}, "pred has shape"),
        ({"speaker": np.zeros((6, 59, 25))}, "59 frames and pred 60"),
        ({"speaker": np.zeros((5, 60, 25))}, "5 clips and pred 6"),
        ({"listener": np.zeros((6, 60, 24))}, "listener has shape"),
        ({"appropriate": np.ones(6)}, "a matrix"),
        ({"pred": np.full((6, 1, 60, 25), "x")}, "numbers are expected"),
    ],
)
def test_bad_shapes_are_sentences(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_arrays("react2024-official", **{**_inputs(_load("short_continuous")), **change})


def test_the_corrected_suite_refuses_nan_and_names_the_clip() -> None:
    arrays = _inputs(_load("nan_value_in_pred"))
    clip = int(np.argwhere(np.isnan(arrays["pred"]))[0][0])
    with pytest.raises(ValueError, match=f"clip {clip}"):
        score_arrays("react2024", **arrays)

"""What a caller of `score_arrays` may hand in, whatever the suite, and what is refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dyadbench import score_arrays
from dyadbench.api import DECA_56, Evaluation, MotionSpace
from dyadbench.cell.score import demand_whole
from dyadbench.metrics.dyad import DyadSuite
from dyadbench.metrics.l2l.readings import score_l2l
from dyadbench.metrics.l2l.suite import L2LSuite
from dyadbench.metrics.react.suites import ReactOfficialSuite

REACT = ("react2024-official", "react2024")
KINDS: dict[str, Any] = {
    "half": lambda x: x.astype(np.float16),
    "other byte order": lambda x: x.astype(">f4"),
    "other byte order, double": lambda x: x.astype(">f8"),
    "long double": lambda x: x.astype(np.longdouble),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
}


def _plain(kind: str, value: Any) -> np.ndarray:
    if kind == "bfloat16":
        return value.float().numpy()
    return value.astype(np.float64 if kind == "other byte order, double" else np.float32)


def _case(suite: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    if suite == "l2l":
        return dict(zip(("pred", "listener", "speaker"), rng.random((3, 3, 70, 56), np.float32), strict=True))
    listener, speaker = rng.random((2, 3, 60, 25), np.float32)
    pred = rng.random((3, 2, 60, 25), np.float32)
    return {"pred": pred, "listener": listener, "speaker": speaker, "appropriate": np.eye(3)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suite", [*REACT, "l2l"])
def test_every_number_type_scores_as_float32(suite: str, kind: str) -> None:
    case = _case(suite)
    names = ("pred", "listener", "speaker")
    inputs = {**case, **{name: KINDS[kind](case[name]) for name in names}}
    plain = {**case, **{name: _plain(kind, inputs[name]) for name in names}}
    assert score_arrays(suite, **inputs) == pytest.approx(score_arrays(suite, **plain), rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("suite", [*REACT, "l2l"])
@pytest.mark.parametrize("name", ["listener", "speaker"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(1, 5, 5), (1,), (1, slice(-20, None))], ids=["a value", "a clip", "a tail"])
def test_references_that_are_not_finite_are_refused_by_name(suite: str, name: str, value: float, place: tuple) -> None:  # type: ignore[type-arg]
    case = _case(suite)
    case[name] = case[name].copy()
    case[name][place] = value
    with pytest.raises(ValueError, match=f"{name} holds NaN or infinity in clip 1") as caught:
        score_arrays(suite, **case)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suite", [*REACT, "l2l"])
def test_arguments_are_spelt_alike_for_every_suite(suite: str) -> None:
    case = _case(suite)
    with pytest.raises(ValueError, match="'target' is called 'listener' here"):
        score_arrays(suite, **case, target=case["listener"])
    with pytest.raises(ValueError, match="'weights' is none of its arguments"):
        score_arrays(suite, **case, weights=1)
    with pytest.raises(ValueError, match="there is no suite 'react2042'"):
        score_arrays("react2042", **case)
    del case["speaker"]
    with pytest.raises(TypeError, match="speaker"):
        score_arrays(suite, **case)
    if suite in REACT:
        del case["appropriate"]
        with pytest.raises(ValueError, match="give the matrix `appropriate`"):
            score_arrays(suite, **case, speaker=case["listener"])


def _evaluation(case: dict[str, Any], lengths: np.ndarray) -> Evaluation:
    return Evaluation(
        clips=("0", "1", "2"), lengths=lengths, space=DECA_56, predicted_motion=case["pred"], predicted_emotion=None,
        listener_motion=case["listener"], speaker_motion=case["speaker"],
    )  # fmt: skip


def test_l2l_gives_the_columns_of_the_tables_for_samples_and_lengths() -> None:
    rng = np.random.default_rng(2)
    case = {
        name: rng.random((3, *k, 70, 56), np.float32) for name, k in (("pred", (2,)), ("listener", ()), ("speaker", ()))
    }
    lengths = np.array([70, 50, 60])
    scores = score_arrays("l2l", **case, lengths=torch.from_numpy(lengths))
    expected = L2LSuite().evaluate(_evaluation(case, lengths))
    assert scores == {column.id: expected[column.id].value for column in L2LSuite.columns}
    padded = {
        name: np.where((np.arange(70) < lengths[:, None])[(slice(None), *[None] * (x.ndim - 3))][..., None], x, np.nan)
        for name, x in case.items()
    }
    assert score_arrays("l2l", **padded, lengths=lengths) == scores


@pytest.mark.parametrize("suite", ["react2024", "react2025", "react2025-official-aligner", "react2026"])
def test_without_the_matrix_of_appropriate_listeners_it_is_asked_for(suite: str) -> None:
    listener, speaker = np.random.default_rng(0).random((2, 3, 750, 25))
    with pytest.raises(ValueError, match="every appropriate listener: give the matrix `appropriate`"):
        score_arrays(suite, pred=listener[:, None], listener=listener, speaker=speaker)


def test_one_sample_needs_no_axis_of_its_own() -> None:
    for suite in (*REACT, "l2l"):
        case = _case(suite)
        pred = case.pop("pred")
        one = pred if suite == "l2l" else pred[:, 0]
        assert score_arrays(suite, pred=one, **case) == pytest.approx(
            score_arrays(suite, pred=one[:, None], **case), nan_ok=True
        )


def test_readings_of_learning2listen_are_means_over_the_samples() -> None:
    case = _case("l2l")
    pred = np.stack([case.pop("pred"), case["speaker"]], 1)
    each = [score_l2l(pred[:, k], case["listener"], case["speaker"]) for k in range(2)]
    scores = score_arrays("l2l-readings", pred=pred, **case)
    assert scores == pytest.approx({name: (each[0][name] + each[1][name]) / 2 for name in each[0]}, nan_ok=True)


def test_suites_of_ones_own_and_motion_of_ones_own() -> None:
    rng = np.random.default_rng(3)
    case = {name: rng.random((3, 40, 4), np.float32) for name in ("pred", "listener", "speaker")}
    space = MotionSpace("mine-4", 30.0, tuple("abcd"), {"smile": (0, 2), "nod": (2, 4)})
    scores = score_arrays(DyadSuite(("smile", "nod")), **case, space=space)
    assert scores["CCC.smile"] is not None and scores["L2.nod"] > 0
    perfect = score_arrays(DyadSuite(("smile",)), **{**case, "pred": case["listener"]}, space=space)
    assert perfect["CCC.smile"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"4 channels.*space=MotionSpace"):
        score_arrays("dyad-vc-dyads", **case)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads is 0; it must be 1 or more"),
        ({"space": "arkit"}, "space is 'arkit'; a MotionSpace is expected, for example dyadbench.api.DECA_56"),
    ],
)
def test_options_of_another_kind_are_a_sentence(options: dict[str, Any], message: str) -> None:
    one = np.zeros((2, 9, 56))
    with pytest.raises(ValueError, match=message):
        score_arrays("l2l", pred=one, listener=one, speaker=one, **options)


@pytest.mark.parametrize("suite", ["l2l", "dualtalk", "realism-motion"])
def test_listeners_beyond_the_clips_own_change_no_motion_suite(suite: str) -> None:
    """They ended in an IndexError: `lengths` has one entry for each listener."""
    case = _case("l2l")
    more = np.concatenate([case["listener"], np.random.default_rng(1).random((2, 70, 56), np.float32)])
    scores = score_arrays(suite, **{**case, "listener": more, "appropriate": np.ones((3, 5))})
    assert scores == pytest.approx(score_arrays(suite, **case), nan_ok=True)


def test_the_official_suite_names_clips_of_another_length() -> None:
    case = {**_case("react2024"), "appropriate": np.ones((3, 3)), "lengths": [60, 50, 60]}
    with pytest.raises(
        ValueError, match="clip 0 has 60 frames and its appropriate listener 1 50; the official metrics take"
    ):
        score_arrays("react2024-official", **case)


def test_an_official_value_that_one_clip_leaves_undefined_is_so_for_every_clip() -> None:
    """A record holds means over clips: values per clip without their mean were refused after sampling."""
    one = np.random.default_rng(2).random((2, 1, 1, 25), np.float32)
    data = Evaluation(
        clips=("a", "b"), lengths=np.array([1, 1]), space=DECA_56, predicted_motion=None, predicted_emotion=one,
        listener_motion=None, speaker_motion=None, listener_emotion=one[:, 0], speaker_emotion=one[:, 0], appropriate=np.eye(2, dtype=bool),
    )  # fmt: skip
    suite = ReactOfficialSuite()
    results = suite.evaluate(data)
    assert results["FRVar"].value is None and np.isnan(results["FRVar"].per_clip).all()
    demand_whole("react2024-official", suite, results, 2)

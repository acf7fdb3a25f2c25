"""What a caller of `score_arrays` may hand in, whatever the suite, and what is refused in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.metrics import score_arrays

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
    given = {**case, **{name: KINDS[kind](case[name]) for name in names}}
    plain = {**case, **{name: _plain(kind, given[name]) for name in names}}
    assert score_arrays(suite, **given) == pytest.approx(score_arrays(suite, **plain), rel=0, abs=0, nan_ok=True)


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
    with pytest.raises(ValueError, match="'weights' is none of them"):
        score_arrays(suite, **case, weights=1)
    del case["speaker"]
    with pytest.raises(ValueError, match="'speaker' is missing"):
        score_arrays(suite, **case)
    with pytest.raises(ValueError, match="no array suite 'react2042'"):
        score_arrays("react2042")

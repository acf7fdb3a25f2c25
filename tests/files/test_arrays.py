"""One door for numbers: every type comes in as float32 or float64 of this machine, and what is no number is a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyadbench.files.arrays import demand_finite, floats

VALUES = np.random.default_rng(0).standard_normal((3, 4))
LENGTHS = np.array([4, 4, 4])  # of three clips of one channel
TYPES = ["<f2", ">f2", "<f4", ">f4", "longdouble", "<i4", ">i8", "u1", "?"]


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_has_the_values_of_float32(kind: str) -> None:
    array = (VALUES * 3).astype(kind)
    values = floats(array)
    assert values.dtype == np.float32 and values.dtype.isnative
    assert np.array_equal(values, array.astype(np.float32))


def test_double_precision_stays_in_either_byte_order() -> None:
    for kind in ("<f8", ">f8"):
        values = floats(VALUES.astype(kind))
        assert values.dtype == np.float64 and values.dtype.isnative and np.array_equal(values, VALUES)
    assert floats(VALUES) is not None and np.shares_memory(floats(VALUES), VALUES), "what fits is not copied"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.bool])
def test_tensors_come_in_too_also_those_that_learn(kind: torch.dtype) -> None:
    tensor = torch.from_numpy(VALUES * 3).to(kind).requires_grad_(kind.is_floating_point)
    assert np.array_equal(floats(tensor), tensor.detach().double().numpy().astype(floats(tensor).dtype))


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([1j]), np.array([{}]), [[1.0], [1.0, 2.0]], "text"])
def test_what_is_no_number_is_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^pred (holds .*numbers are expected|is no array of numbers)"):
        floats(value, "pred")


def test_what_is_masked_is_not_scored_as_if_it_were_not() -> None:
    with pytest.raises(ValueError, match="pred is a masked array; fill what is masked"):
        floats(np.ma.masked_greater(VALUES, 0), "pred")


def test_the_first_clip_that_is_not_finite_is_named() -> None:
    for value in (np.nan, np.inf):
        values = VALUES.copy()
        values[1, 2] = value
        for array in (values[..., None], torch.from_numpy(values[..., None])):
            with pytest.raises(ValueError, match="listener holds NaN or infinity in clip 1"):
                demand_finite(array, "listener", LENGTHS)
    with pytest.raises(ValueError, match=r"listener holds values beyond 3.4e\+38 in clip 1"):
        demand_finite(np.stack([np.zeros((4, 1)), np.full((4, 1), -1e160)]), "listener", np.array([4, 4]))
    demand_finite(values[..., None], "listener", np.array([4, 2, 4]))  # it lies in the padding
    demand_finite(VALUES[..., None], "listener", LENGTHS)

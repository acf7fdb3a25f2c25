"""What a method without torch learnt, in the store and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from dyadbench.training.fit import _save


class Learnt:
    def state_dict(self) -> dict[str, np.ndarray]:
        return {"lag": np.array(5), "turned": np.arange(6.0).reshape(2, 3).T}


def test_a_number_stays_a_number_and_a_turned_array_is_as_it_was(tmp_path: Path) -> None:
    _save(Learnt(), tmp_path / "state.safetensors")  # type: ignore[arg-type]
    back = load_file(tmp_path / "state.safetensors")
    assert back["lag"].shape == () and back["lag"] == 5
    np.testing.assert_array_equal(back["turned"], Learnt().state_dict()["turned"])

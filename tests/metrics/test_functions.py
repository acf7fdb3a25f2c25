"""The metrics as functions under their own names: their examples run, and they are what their definitions say."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from dyadbench.metrics import clips
from dyadbench.metrics.react import closed_form, frdist, frdvs, frsyn, reference

MODULES = (clips, closed_form, frdist, frdvs, frsyn)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_examples_in_docstrings_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted and not results.failed


def test_each_function_is_the_plain_loop_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    pred, listener, speaker = rng.random((3, 2, 60, 25)), rng.random((4, 60, 25)), rng.random((3, 60, 25))
    rows = [[0, 2], [1], [1, 2, 3]]
    near = [listener[row] for row in rows]
    mean = lambda values: float(np.mean(list(values)))  # noqa: E731  # a name for one expression
    results = {
        "frcorr": mean(closed_form.frcorr(x, y) for x, y in zip(pred, near, strict=True)),
        "frdist": mean(frdist.frdist(x, list(y)).sum() for x, y in zip(pred, near, strict=True)),
        "frdiv": mean(closed_form.frdiv(x) for x in pred),
        "frvar": mean(closed_form.frvar(x) for x in pred),
        "frdvs": frdvs.frdvs(list(pred)),
        "frsyn": mean(frsyn.frsyn(x, s)[0] for x, s in zip(pred, speaker, strict=True)),
    }
    expected = {
        "frcorr": reference.frcorr(pred, listener, rows), "frdist": reference.frdist(pred, listener, rows),
        "frdiv": reference.frdiv(pred), "frvar": reference.frvar(pred), "frdvs": reference.frdvs(pred),
        "frsyn": reference.frsyn(pred, speaker),
    }  # fmt: skip
    assert results == pytest.approx(expected, rel=1e-9)
    assert reference.frdiv(pred[:, :1]) == closed_form.frdiv(pred[0, :1]) == 0.0
    assert np.isnan(reference.frdvs(pred[:1])) and np.isnan(frdvs.frdvs(list(pred[:1])))


def test_the_corrected_offset_leaves_out_what_stands_still() -> None:
    speaker = np.random.default_rng(1).standard_normal((300, 25)).cumsum(0)
    late = np.roll(speaker, 6, 0)
    late[:, 4] = 0.5
    assert frsyn.frsyn(late[None], speaker).tolist() == [49.0]
    assert frsyn.frsyn(late[None], speaker, corrected=True).tolist() == [6.0]

"""tcn learns what is nonlinear and late, and its spread is that of real listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from dyadbench.api import MotionSpace, Needs, Setup
from dyadbench.cell.keys import fit_keys
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import MethodSpec, make_cell
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench_baselines.config import TcnConfig
from dyadbench_baselines.tcn import Tcn

SPACE = MotionSpace("two", 25.0, ("a", "b"), {"all": (0, 2)})
SETUP = Setup(SPACE, {}, has_emotion=False, seed=0)
LATE = 5  # frames


class Folded(TinyCorpus):
    """The listener is the size of what the speaker did five frames ago: no linear regression can know it."""

    def _track(self, split: str, index: int, person: int, audio: object):  # type: ignore[no-untyped-def, override]
        track = super()._track(split, index, 0, ())
        rng = np.random.default_rng([len(split), index])
        values = rng.standard_normal((self.frames + LATE, 2)).astype(np.float32)
        track.motion[:] = values[LATE:] if person == 0 else np.abs(values[: self.frames])
        return track


CORPUS = Folded(SPACE, emotion=False, sound=False, clips=16)


def _config(spread: Literal["sampled", "matched", "none"] = "none") -> TcnConfig:
    return TcnConfig(
        spread=spread,
        width=24,
        layers=3,
        dropout=0.0,
        seconds=4.0,
        residuals=4,
        steps=150,
        warmup=5,
        lr=1e-2,
        validate_every=50,
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tcn, dict[str, float]]:
    model = Tcn(_config(), SETUP)
    folder: Path = tmp_path_factory.mktemp("fit")
    return model, fit(model, CORPUS, {}, FitOptions(folder, seed=0, speaker_gain=True))["regression"]


def _motion(model: Tcn, spread: Literal["sampled", "matched", "none"], rows: list[int], k: int = 3) -> np.ndarray:
    other = Tcn(_config(spread), SETUP)
    other.load_state_dict(model.state_dict())
    motion = other.sample(CORPUS.context(rows, Needs(), CORPUS.frames), k, CellNoise(0)).motion
    assert motion is not None
    return motion


def test_it_learns_what_no_linear_regression_can(fitted: tuple[Tcn, dict[str, float]]) -> None:
    _, facts = fitted
    assert facts["loss"] < 0.4, "the mean listener has 1, and so has a linear regression here"
    assert facts["speaker_gain"] > 1


def test_matched_moves_as_much_as_training_listeners(fitted: tuple[Tcn, dict[str, float]]) -> None:
    model, _ = fitted
    moved = np.concatenate([_motion(model, "matched", [row], 1)[0, 0] for row in range(CORPUS.count)])
    real = np.concatenate([dyad.listener.motion for dyad in CORPUS.dyads("train")])
    assert moved.std(0) == pytest.approx(real.std(0), rel=0.15)


def test_every_sample_has_the_residuals_of_one_validation_listener(fitted: tuple[Tcn, dict[str, float]]) -> None:
    model, _ = fitted
    added = _motion(model, "sampled", [0], 8) - _motion(model, "none", [0], 8)  # (1, K, T, D)
    step = CORPUS.count // 4
    dyads = list(CORPUS.dyads("val"))[::step]
    residuals = [
        d.listener.motion - model.sample(_context_of(d.speaker.motion), 1, CellNoise(0)).motion[0, 0]  # type: ignore[index]
        for d in dyads
    ]
    nearest = [min(np.abs(each - residual).max() for residual in residuals) for each in added[0]]
    assert max(nearest) < 1e-4
    assert len({each.tobytes() for each in added[0].round(4)}) > 1, "samples differ"


def _context_of(speaker: np.ndarray):  # type: ignore[no-untyped-def]
    import dataclasses

    return dataclasses.replace(CORPUS.context([0], Needs(), CORPUS.frames), speaker_motion=speaker[None])


def test_one_fit_serves_every_spread() -> None:
    host = Host()
    cells = [
        make_cell(host, "vc-dyads", MethodSpec(name="tcn", preset="small", settings={"predictor.spread": spread}), 0)
        for spread in ("sampled", "matched")
    ]
    one, other = (fit_keys(cell, host, "digest", 0) for cell in cells)
    assert one.predictor == other.predictor and one.sampling != other.sampling

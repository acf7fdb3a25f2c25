"""The simulated corpus: deterministic, in its bands, and deaf where its link is cut."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.split import Split
from dyadbench.datasets.simdyad import SimConfig, ensure, open_simdyad, write
from dyadbench.datasets.simdyad import config as sizes
from dyadbench.datasets.simdyad.acceptance import BANDS, SYNCHRONY, measure, sample, synchrony_effect
from dyadbench.datasets.simdyad.dyads import scripts_of
from dyadbench.datasets.simdyad.script import Event, Script
from dyadbench.datasets.simdyad.voice import CONTROL, RATE, contours, synthesise
from dyadbench.files.walk import files_below
from dyadbench.metrics.react.suites import corrected_frcorr
from dyadbench.registry.host import Host


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sizes.SIZES, "tiny", (1, 1, 2))


def _hash(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in files_below(folder):
        whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("layout", ["react2024", "l2l"])
def test_same_configuration_same_bytes(few: None, layout: str, tmp_path: Path) -> None:
    config = SimConfig(layout=layout, size="tiny", seconds=5.0, listeners=2)
    for name in ("a", "b"):
        write(tmp_path / name, config)
    assert _hash(tmp_path / "a") == _hash(tmp_path / "b")
    write(tmp_path / "c", config.model_copy(update={"seed": 1}))
    assert _hash(tmp_path / "a") != _hash(tmp_path / "c")


def test_the_cache_is_made_once(few: None, tmp_path: Path) -> None:
    config = SimConfig(size="tiny", seconds=5.0, listeners=1)
    folder = ensure(config, tmp_path)
    stamp = (folder / "SHA256SUMS").stat().st_mtime_ns
    assert ensure(config, tmp_path) == folder
    assert (folder / "SHA256SUMS").stat().st_mtime_ns == stamp
    assert ensure(config.model_copy(update={"seed": 2}), tmp_path) != folder


def test_both_layouts_read_back_through_the_adapters(few: None, tmp_path: Path) -> None:
    react = open_simdyad(SimConfig(size="tiny", seconds=5.0, listeners=3), tmp_path)
    assert len(react.clips("test")) == 2 * 2 * 3, "two contexts, three dyads each, both roles"
    dyad = react.dyad("test", 0, ("mfcc-78",))
    assert dyad.speaker.motion.shape == (125, 58)
    assert dyad.speaker.emotion.shape == (125, 25)
    assert dyad.speaker.audio["mfcc-78"].shape == (125, 78)
    matrix = react.appropriate("test")
    assert (matrix.sum(1) == 3).all()
    context = [clip.session for clip in react.clips("test")]
    assert all(context[i] == context[j] for i, j in np.argwhere(matrix))
    half = len(matrix) // 2
    assert not matrix[:half, half:].any(), "the two roles are never appropriate to each other"
    l2l = open_simdyad(SimConfig(layout="l2l", size="tiny", seconds=5.0, listeners=3), tmp_path)
    dyad = l2l.dyad("test", 0, ("mel-128",))
    assert dyad.speaker.motion.shape == (128, 56)
    assert dyad.speaker.audio["mel-128"].shape == (512, 128)
    assert react.simulated and l2l.simulated


@pytest.mark.parametrize("preset", ["clear", "hard"])
def test_measured_quantities_stay_in_their_bands(preset: str) -> None:
    found = measure(sample(SimConfig(preset=preset), 60))
    outside = {name: found[name] for name, (low, high, _) in BANDS.items() if not low <= found[name] <= high}
    assert not outside


def test_motion_synchrony_of_hard_is_that_of_real_dyads() -> None:
    effects = [synchrony_effect(sample(SimConfig(preset="hard", seed=seed), 30)) for seed in range(3)]
    assert SYNCHRONY[0] <= np.mean(effects) <= SYNCHRONY[1], effects


def test_cut_link_leaves_rates_alone_and_removes_timing() -> None:
    def gaps(link: float) -> tuple[float, float]:
        dyads = sample(SimConfig(preset="clear", link=link), 30)
        near = [
            any(0 < r.time - e.time < 1.2 for e in d.people[1 - who].script.events if e.kind == "cue")
            for d in dyads for who in (0, 1) for r in d.people[who].reactions if r.kind == "verbal"
        ]  # fmt: skip
        return float(np.mean(near)), len(near) / len(dyads)

    linked, cut = gaps(1.0), gaps(0.0)
    assert linked[0] > 0.95
    assert cut[0] < 0.4
    assert 0.6 < cut[1] / linked[1] < 1.6


def test_a_cue_lowers_the_pitch_of_its_phrase_end() -> None:
    script = Script(np.array([[0.0, 3.0]]), np.array([[0.0, 3.0]]), (Event("cue", 2.88, 1.0),))
    plain = Script(script.ipus, script.turns, ())
    low, normal = (contours(np.random.default_rng(0), s, [], 120.0, 4.0)[0] for s in (script, plain))
    end = slice(int(2.6 * CONTROL), int(2.9 * CONTROL))
    assert (low[end] < 0.8 * normal[end]).all()
    assert np.array_equal(low[:CONTROL], normal[:CONTROL])


def test_the_voice_speaks_when_the_script_does() -> None:
    script = scripts_of(SimConfig(), "test", 3)[0]
    sound = synthesise(np.random.default_rng(0), script, [], 150.0, 30.0).astype(float)
    power = np.add.reduceat(sound**2, np.arange(0, len(sound), RATE // 10))
    middle = (np.arange(len(power)) + 0.5) / 10
    speaking = np.array([any(a + 0.1 < t < b - 0.1 for a, b in script.ipus) for t in middle])
    quiet = np.array([not any(a - 0.2 < t < b + 0.2 for a, b in script.ipus) for t in middle])
    if speaking.any() and quiet.any():
        assert np.median(power[speaking]) > 100 * np.median(power[quiet])


# --- does listening pay? --------------------------------------------------------------------------------


def _frcorr(tmp_path: Path, names: tuple[str, ...], **config: object) -> dict[str, float]:
    dataset = open_simdyad(SimConfig(size="tiny", **config), tmp_path)  # type: ignore[arg-type]
    split, host = Split(dataset, "test"), Host()
    setup, found = Setup(dataset.space, dataset.audio, True, seed=0), {}
    truth = split._tracks["listener_emotion"]
    for name in names:
        predictor = host.build("predictor", name, {}, setup)
        if hasattr(predictor, "fit"):
            predictor.fit(split.training())
        pred = predictor.sample(
            split.context(range(len(split.clips)), predictor.needs, privileged=True), 2, CellNoise(0)
        ).emotion
        rows = [np.flatnonzero(row) for row in split.appropriate]
        found[name] = float(np.mean([corrected_frcorr(pred[n], truth[rows[n]]) for n in range(len(rows))]))
    return found


NAMES = ("oracle", "ridge", "lagged-mime", "mismatched-listener", "random")


@pytest.mark.slow
def test_listening_pays_on_clear_and_not_where_the_link_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sizes.SIZES, "tiny", (16, 1, 8))
    clear = _frcorr(tmp_path, NAMES, preset="clear")
    assert clear["oracle"] > clear["ridge"] > clear["lagged-mime"] > clear["mismatched-listener"] > clear["random"]
    cut = _frcorr(tmp_path, NAMES, preset="clear", link=0.0)
    assert cut["ridge"] < 1.1 * cut["mismatched-listener"]
    assert cut["lagged-mime"] < 1.25 * cut["mismatched-listener"]
    hard = _frcorr(tmp_path, NAMES, preset="hard")
    assert hard["lagged-mime"] > 0.9 * hard["ridge"], "as in published tables, where a late copy beats learned methods"

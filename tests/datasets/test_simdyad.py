"""The simulated corpus: deterministic, in its bands, and deaf where its link is cut."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import DrawsListeners, DyadbenchError, Needs, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.split import Split
from dyadbench.datasets.config import L2LDatasetConfig
from dyadbench.datasets.l2l import L2LDataset
from dyadbench.datasets.limit import LimitedDataset
from dyadbench.datasets.simdyad import SimConfig, ensure, open_simdyad, write
from dyadbench.datasets.simdyad import config as sizes
from dyadbench.datasets.simdyad import measures as m
from dyadbench.datasets.simdyad.acceptance import (
    couplings,
    explained,
    measure,
    measure_faces,
    sample,
    synchrony_effect,
)  # fmt: skip
from dyadbench.datasets.simdyad.bands import BANDS, BETWEEN, COUPLINGS, EXPLAINED, FACES, SYNCHRONY
from dyadbench.datasets.simdyad.config import MEANING, PRESETS
from dyadbench.datasets.simdyad.dyads import scripts_of
from dyadbench.datasets.simdyad.script import Event, Script
from dyadbench.datasets.simdyad.voice import CONTROL, RATE, contours, synthesise
from dyadbench.datasets.simdyad.words import ENDINGS, TAIL
from dyadbench.files.walk import files_below
from dyadbench.metrics.react.closed_form import frcorr
from dyadbench.registry.host import Host


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sizes.SIZES, "tiny", (1, 1, 2))


def _hash(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in files_below(folder):
        whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


def test_a_home_that_cannot_be_written_is_a_sentence(
    few: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It was blamed on the dataset's plugin."""

    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(DyadbenchError, match=r"cannot write .*/simdyad: Permission denied; .*write elsewhere"):
        ensure(SimConfig(size="tiny"), tmp_path / "simdyad")


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
    assert all(clip.id.startswith("simulated/") for clip in react.clips("test")), "no real site's name"
    l2l = open_simdyad(SimConfig(layout="l2l", size="tiny", seconds=5.0, listeners=3), tmp_path)
    dyad = l2l.dyad("test", 0, ("mel-128",))
    assert dyad.speaker.motion.shape == (128, 56)
    assert dyad.speaker.audio["mel-128"].shape == (512, 128)
    assert react.simulated and l2l.simulated
    plain = L2LDataset(L2LDatasetConfig(person="simulated"), l2l.root)
    assert plain.clips("test") == l2l.clips("test"), "the adapter of the release reads it as well"
    assert np.array_equal(plain.dyad("test", 0).listener.motion, dyad.listener.motion)


@pytest.mark.parametrize("layout", ["react2024", "l2l"])
def test_no_script_stands_in_two_splits(layout: str, tmp_path: Path) -> None:
    dataset = open_simdyad(SimConfig(layout=layout, size="tiny", seconds=4.5, listeners=3), tmp_path)
    voices: dict[bytes, set[str]] = {}
    for split in ("train", "val", "test"):
        for index, clip in enumerate(dataset.clips(split)):
            words = dataset.dyad(split, index).speaker.words
            if words:
                voices.setdefault(str(words).encode(), set()).add(f"{split}/{clip.session}")
    assert all(len(places) == 1 for places in voices.values()), "one script, one session of one split"
    sessions = [{clip.session for clip in dataset.clips(split)} for split in ("train", "val", "test")]
    assert not (sessions[0] & sessions[1] | sessions[0] & sessions[2] | sessions[1] & sessions[2])
    assert len(dataset.clips("test")) == len(sessions[2]) * (6 if layout == "react2024" else 3)


@pytest.mark.parametrize(("layout", "frames"), [("react2024", 112), ("l2l", 128)])
def test_what_is_said_without_the_data_is_what_they_are(layout: str, frames: int, tmp_path: Path) -> None:
    """`dyadbench show` says it before anything was generated."""
    config = SimConfig(layout=layout, size="tiny", seconds=4.5, listeners=1)
    dataset = open_simdyad(config, tmp_path)
    assert open_simdyad.shape_of(config) == (dataset.space, frames)
    assert {clip.frames for clip in dataset.clips("test")} == {frames}


def test_listeners_of_the_l2l_layout_only_listen(few: None, tmp_path: Path) -> None:
    dataset = open_simdyad(SimConfig(layout="l2l", size="tiny", seconds=20.0, listeners=2), tmp_path)
    for index in range(len(dataset.clips("test"))):
        dyad = dataset.dyad("test", index)
        assert {word.text for word in dyad.listener.words} <= {"mhm", "yeah", "right"}
        talk = sum(word.end - word.start for word in dyad.speaker.words)
        assert talk > 0.5 * dyad.clip.frames / 30, "the speaker does the talking"


def test_recorded_people_cannot_be_drawn_anew(few: None, tmp_path: Path) -> None:
    folder = open_simdyad(SimConfig(layout="l2l", size="tiny", seconds=5.0), tmp_path).root
    recorded = L2LDataset(L2LDatasetConfig(person="simulated"), folder)
    for dataset in (recorded, LimitedDataset(recorded, 1)):
        context = Split(dataset, "test").context(range(1), Needs(fresh=True), privileged=True)
        with pytest.raises(DyadbenchError, match="only simulated people can be drawn again"):
            context.fresh(0, 0)
    with pytest.raises(DyadbenchError, match="not registered with calibration"):
        Split(recorded, "test").context(range(1), Needs(fresh=True), privileged=False)


def test_words_are_said_when_the_voice_sounds_and_tell_the_event() -> None:
    script = next(s for s in (scripts_of(SimConfig(), "test", c)[0] for c in range(20)) if len(s.words) > 20)
    assert all(b.end > 0 and a.end <= b.start + 1e-9 for a, b in itertools.pairwise(script.words))
    for word in script.words:
        assert any(start - 1e-9 <= word.start and word.end <= end + 1e-9 for start, end in script.ipus)
    last = {round(word.end, 6): word.text for word in script.words}
    timed = [(e.kind, last[round(e.time + TAIL, 6)]) for e in script.events if round(e.time + TAIL, 6) in last]
    assert timed
    assert all(text == ENDINGS[kind][-1][0] for kind, text in timed)


@pytest.mark.parametrize("layout", ["react2024", "l2l"])
def test_fresh_listeners_are_new_people_in_the_same_place(few: None, layout: str, tmp_path: Path) -> None:
    dataset = open_simdyad(SimConfig(layout=layout, size="tiny", seconds=20.0, listeners=2), tmp_path)
    assert isinstance(dataset, DrawsListeners)
    listeners = [dataset.dyad("test", i).listener.motion for i in range(len(dataset.clips("test")))]
    first, again, other = (dataset.fresh("test", 1, draw) for draw in (0, 0, 1))
    assert np.array_equal(first.motion, again.motion)
    assert first.motion.shape == listeners[1].shape
    assert not np.allclose(first.motion, other.motion)
    assert np.array_equal(LimitedDataset(dataset, 1000).fresh("test", 1, 0).motion, first.motion)
    assert not any(np.allclose(first.motion, one) for one in listeners)
    sizes_of = [one.std(0).mean() for one in listeners]
    assert 0.3 * min(sizes_of) < first.motion.std(0).mean() < 3 * max(sizes_of), "the same normalisation"
    if layout == "react2024":
        assert set(np.unique(first.emotion[:, :15])) <= {0.0, 1.0}


@pytest.mark.parametrize("preset", ["clear", "hard"])
def test_measured_quantities_stay_in_their_bands(preset: str) -> None:
    measured = measure(sample(SimConfig(preset=preset), 60))
    outside = {name: measured[name] for name, (low, high, _) in BANDS.items() if not low <= measured[name] <= high}
    assert not outside


@pytest.mark.parametrize("preset", ["clear", "hard"])
def test_faces_stay_in_the_bands_of_real_recordings(preset: str) -> None:
    measured = measure_faces(SimConfig(preset=preset))
    outside = {name: measured[name] for name, (low, high, _) in FACES.items() if not low <= measured[name] <= high}
    assert not outside
    if preset == "hard":
        assert BETWEEN[0] <= measured["variance of emotion between clips"] <= BETWEEN[1]


@pytest.mark.parametrize("preset", ["clear", "hard"])
def test_the_speaker_explains_as_much_as_was_decided(preset: str) -> None:
    measured = explained(SimConfig(preset=preset))
    outside = {
        name: measured[name] for name, (low, high) in EXPLAINED[preset].items() if not low <= measured[name] <= high
    }
    assert not outside


def test_couplings_of_hard_are_those_of_real_dyads() -> None:
    measured = couplings(SimConfig(preset="hard"))
    outside = {name: measured[name] for name, (low, high, _) in COUPLINGS.items() if not low <= measured[name] <= high}
    assert not outside
    assert measured["AU12 at once"] > measured["AU12 1 s late"], "smiles are shared at once"
    assert measured["movement at once"] < measured["movement 1 s late"], "movement follows"
    cut = couplings(SimConfig(preset="hard", link=0.0))
    assert all(abs(cut[name]) < 0.03 for name in COUPLINGS if not name.startswith("gaze")), cut


def test_measures_know_what_they_measure() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(3000) / 30
    slow = np.stack([np.sin(0.9 * time), np.cos(0.31 * time), np.sin(0.17 * time)], 1)
    noisy = slow + np.sqrt(0.1 * slow.var(0) / 0.9) * rng.standard_normal(slow.shape)
    assert np.allclose(m.noise_share(noisy), 0.1, atol=0.01)
    assert (m.noise_share(slow) < 0.001).all()
    wide = slow @ rng.standard_normal((3, 20))
    assert m.components(wide, 0.999) == 3
    assert m.effective_rank(rng.standard_normal((4000, 5))) == pytest.approx(5, abs=0.05)
    assert m.autocorrelation(rng.standard_normal((5000, 1)), 3)[0] == pytest.approx(0, abs=0.05)
    both = rng.standard_normal((2000, 4))
    takes = [np.sqrt(0.3) * both + np.sqrt(0.7) * rng.standard_normal(both.shape) for _ in range(4)]
    assert m.common_share(takes) == pytest.approx(0.3, abs=0.03)
    assert m.bouts(np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool), 2.0).tolist() == [1.0, 0.5, 1.5]
    x = rng.standard_normal((50, 2))
    assert np.array_equal(m.late(x, 3)[3:], x[:-3])
    assert (m.late(x, 3)[:3] == x[0]).all()


def test_motion_synchrony_of_hard_is_that_of_real_dyads() -> None:
    effects = [synchrony_effect(sample(SimConfig(preset="hard", seed=seed), 30)) for seed in range(4)]
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


def test_what_the_presets_are_is_said_in_the_same_words_everywhere() -> None:
    root = Path(__file__).parents[2]
    assert set(MEANING) == set(PRESETS)
    for name, text in MEANING.items():
        for page in ("README.md", "docs/simdyad.md"):
            assert text in " ".join((root / page).read_text().split()), f"{name} in {page}"
        summaries = [e.summary for e in Host().entries("benchmark") if e.name.startswith(f"simdyad-{name}-")]
        assert summaries
        assert all(summary.startswith(text) for summary in summaries)


# --- does listening pay? --------------------------------------------------------------------------------


def _frcorr(tmp_path: Path, names: tuple[str, ...], **config: object) -> dict[str, float]:
    dataset = open_simdyad(SimConfig(size="tiny", **config), tmp_path)  # type: ignore[arg-type]
    split, host = Split(dataset, "test"), Host()
    setup, scores = Setup(dataset.space, dataset.audio, True, seed=0), {}
    truth = split._tracks["listener_emotion"]
    for name in names:
        predictor = host.build("predictor", name, {}, setup)
        if hasattr(predictor, "fit"):
            predictor.fit(split.training())
        pred = predictor.sample(
            split.context(range(len(split.clips)), predictor.needs, privileged=True), 2, CellNoise(0)
        ).emotion
        rows = [np.flatnonzero(row) for row in split.appropriate]
        scores[name] = float(np.mean([frcorr(pred[n], truth[rows[n]], corrected=True) for n in range(len(rows))]))
    return scores


NAMES = ("oracle", "fresh-listener", "ridge-matched", "ridge", "lagged-mime", "mime", "mismatched-listener", "random")


@pytest.mark.slow
def test_listening_pays_on_clear_and_not_where_the_link_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sizes.SIZES, "tiny", (16, 1, 8))
    clear = _frcorr(tmp_path, NAMES, preset="clear")
    assert clear["oracle"] > clear["fresh-listener"] > clear["ridge-matched"] > clear["ridge"] > clear["lagged-mime"]
    assert clear["lagged-mime"] > clear["mismatched-listener"] > clear["random"]
    cut = _frcorr(tmp_path, NAMES, preset="clear", link=0.0)
    for name in ("ridge-matched", "ridge", "lagged-mime", "mime"):
        gain, left = (scores[name] - scores["mismatched-listener"] for scores in (clear, cut))
        assert left < 0.5 * gain, f"{name}: nothing can be inferred, so what is left of its gain is chance"
    hard = _frcorr(tmp_path, NAMES, preset="hard")
    assert hard["fresh-listener"] > hard["ridge-matched"] > hard["mismatched-listener"]
    for copy in ("mime", "lagged-mime"):
        assert hard[copy] > 0.9 * hard["ridge"], "as in published tables, where a copy beats learned methods"
        assert hard[copy] > 1.5 * hard["mismatched-listener"]

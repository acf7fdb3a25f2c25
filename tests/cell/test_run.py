"""Stages of a cell: kept, resumed, and never silently wrong."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.corpora import ToyDataset
from tests.fixtures.hosts import shared_host

from dyadbench.api import EMOTION_CHANNELS, BenchmarkConfig, Context, DyadbenchError, Needs, Noise, Reaction
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.split import Split
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.errors import PluginError
from dyadbench.leaderboard.tables import make_table
from dyadbench.matrix.cells import Cell, MethodSpec, Part, make_cell, method_parts
from dyadbench.registry.host import Host


def _run(
    home: Path, method: str = "ridge-sampled", setting: dict[str, Any] | None = None, **runtime: object
) -> CellRun:
    predictor, _ = method_parts(shared_host(), MethodSpec(name=method))
    cell = Cell(
        benchmark="toy", setting=BenchmarkConfig(dataset="toy", samples=3, suite="react2024", **(setting or {})),
        dataset=Part(name="toy", version=1, config={}), method=method, predictor=predictor, seed=5,
    )  # fmt: skip
    return CellRun(cell, shared_host(), Runtime(home=home, **{"batch": 3, **runtime}), ToyDataset())  # type: ignore[arg-type]


def _emotion(run: CellRun) -> np.ndarray:
    stage, _ = run.generate(["emotion"])
    return np.load(stage.folder / "emotion.npy")


def test_batch_size_cannot_change_a_reaction(tmp_path: Path) -> None:
    assert np.array_equal(_emotion(_run(tmp_path / "a", batch=1)), _emotion(_run(tmp_path / "b", batch=8)))


def test_an_interrupted_generation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = _emotion(_run(tmp_path / "whole"))

    class Stop(BaseException):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "generate" and done == 6:
            raise Stop

    with pytest.raises(Stop):
        _run(tmp_path / "cut", report=stop).generate(["emotion"])
    progress: list[int] = []
    again = _run(
        tmp_path / "cut", report=lambda stage, process, total: progress.append(process) if stage == "generate" else None
    )
    assert np.array_equal(_emotion(again), whole)
    assert min(progress) == 6


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    _emotion(_run(tmp_path))
    calls: list[str] = []
    _emotion(_run(tmp_path, report=lambda stage, done, total: calls.append(stage)))
    assert calls == []


def test_what_only_sampling_reads_is_not_trained_again(tmp_path: Path) -> None:
    def run(**settings: object) -> CellRun:
        spec = MethodSpec(name="dense-fsq", preset="smoke", settings=settings)
        cell = make_cell(shared_host(), "simdyad-clear-react-online", spec, 0)
        return CellRun(cell, shared_host(), Runtime(home=tmp_path), ToyDataset())

    plain, cooler, other = run(), run(**{"predictor.temperature": 0.5}), run(**{"predictor.hide": 0.5})
    assert cooler.fit_key == plain.fit_key != other.fit_key
    assert len({r.generate_key for r in (plain, cooler, other)}) == 3


def test_the_threads_of_a_run_are_set_before_a_plugin_is_called(tmp_path: Path, capsys) -> None:
    """Otherwise the trainer's own setting looks like the plugin's, which is named and put back."""
    before = torch.get_num_threads()
    cell = make_cell(shared_host(), "simdyad-clear-react-online", MethodSpec(name="learning2listen", preset="smoke"), 0)
    try:
        CellRun(cell, Host(), Runtime(home=tmp_path, threads=before + 1), ToyDataset()).fit()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert "threads" not in capsys.readouterr().err


def test_a_broken_array_of_a_killed_run_is_made_anew(tmp_path: Path) -> None:
    whole = _emotion(_run(tmp_path / "whole"))
    run = _run(tmp_path / "cut")
    folder = run.runtime.store.stage("generate", run.generate_key).folder
    folder.mkdir(parents=True)
    (folder / "emotion.npy").write_bytes(b"\x93NUMPY")
    (folder / "progress.json").write_text('{"spaces": ["emotion"], "done": 6, "seconds": 1.0}')
    assert np.array_equal(_emotion(run), whole)


class Lying:
    needs = Needs()

    def __init__(self, change) -> None:
        self.change = change

    def sample(self, context, k, noise):
        return Reaction(None, self.change(np.zeros((len(context.clips), k, context.frames, 25), np.float32)))


def _spoil(values: np.ndarray) -> np.ndarray:
    values[0, 0, 0, 0] = np.nan
    return values


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v: v[:, :, 1:], PluginError, r"shape \(3, 2, 95, 25\) where .* \(3, 2, 96, 25\)"),
        (_spoil, PluginError, "NaN or infinite emotion for clip test/0"),
        (lambda v: None, PluginError, "returned neither motion nor emotion"),
    ],
)
def test_what_a_predictor_returns_is_checked(tmp_path: Path, monkeypatch, change, error, message: str) -> None:
    run = _run(tmp_path, "mime")
    monkeypatch.setattr(run, "fit", lambda: (Lying(change), {}))
    with pytest.raises(error, match=message):
        run.generate(["emotion"])


def test_motion_alone_is_read_out_and_the_table_says_so(tmp_path: Path, monkeypatch) -> None:
    class Mute:
        needs = Needs()

        def sample(self, context, k, noise):
            return Reaction(np.repeat(context.speaker_motion[:, None], k, 1))

    run = _run(tmp_path, "mime")
    monkeypatch.setattr(run, "fit", lambda: (Mute(), {}))
    record = run.run()
    assert set(record.measured.readout.rmse) == set(EMOTION_CHANNELS)
    suite = shared_host().build("suite", "react2024", {})
    [note] = [n for n in make_table([record], "react2024", suite.columns).notes if "readout" in n]
    assert note.startswith("mime: motion only")
    assert "AU12 0." in note


def test_action_units_are_0_or_1_unless_raw_ones_are_asked_for(tmp_path: Path) -> None:
    binary, raw = _run(tmp_path, "ridge"), _run(tmp_path, "ridge", {"action_units": "raw"})
    assert binary.generate_key != raw.generate_key
    one, other = _emotion(binary), _emotion(raw)
    assert set(np.unique(one[..., :15])) == {0, 1} != set(np.unique(other[..., :15]))
    assert np.array_equal(one[..., 15:], other[..., 15:])
    facts, record = binary.generate(["emotion"])[1], raw.run()
    thresholds = np.array([facts["action_units"]["thresholds"][name] for name in EMOTION_CHANNELS[:15]])
    clear = np.abs(other[..., :15] - thresholds) > 1e-5  # thresholds are written with six digits
    assert np.array_equal(one[..., :15][clear] == 1, (other[..., :15] > thresholds)[clear])
    assert record.measured.action_units is None and record.benchmark_config.action_units == "raw"


def test_who_reads_the_speakers_emotion_is_measured_and_said(tmp_path: Path) -> None:
    records = [_run(tmp_path, name).run() for name in ("ridge", "mean")]
    assert [record.measured.reads_emotion for record in records] == [True, False]
    notes = make_table(records, "react2024", shared_host().build("suite", "react2024", {}).columns).notes
    assert "‡: read the speaker's emotion beside face and voice, as every method may: ridge" in notes


def test_the_truth_is_only_for_calibration_rows() -> None:
    split = Split(ToyDataset(), "test")
    with pytest.raises(DyadbenchError, match="calibration"):
        split.context(range(1), Needs(truth=True), privileged=False)
    truth = split.context(range(2), Needs(truth=True), privileged=True).truth
    assert truth is not None
    own = [ToyDataset().dyad("test", i).listener.motion for i in (0, 1)]
    assert np.array_equal(truth.motion[1][0], own[1])
    assert np.array_equal(truth.motion[1][1], own[0])
    assert len(truth.motion[1]) == 2


def test_a_predictor_gets_only_what_it_needs_and_a_copy_of_it() -> None:
    split = Split(ToyDataset(), "test")
    blind = split.context(range(2), Needs(face=False, audio=("mfcc-78",)), privileged=False)
    assert not blind.speaker_motion.any()
    assert blind.audio["mfcc-78"].any()
    split.context(range(2), Needs(), privileged=False).speaker_motion[:] = 0
    assert split.context(range(2), Needs(), privileged=False).speaker_motion.any()
    with pytest.raises(DyadbenchError, match=r"needs audio feature 'wav2vec2'.*mfcc-78"):
        split.context(range(1), Needs(audio=("wav2vec2",)), privileged=False)


def test_look_ahead_is_measured_not_believed(tmp_path: Path) -> None:
    _, facts = _run(tmp_path, "lagged-mime").generate(["emotion"])
    assert facts["lookahead"] == 0
    _, facts = _run(tmp_path, "nearest-face").generate(["emotion"])
    assert facts["lookahead"] is None


class Early:
    """Looks 30 frames ahead in its first 40 frames, as what fills a first window does, and nowhere later."""

    needs = Needs()

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        ahead = np.where(np.arange(context.frames) < 40, np.arange(context.frames) + 30, np.arange(context.frames))
        echo = context.speaker_motion[:, np.minimum(ahead, context.frames - 1)]
        return Reaction(np.repeat(echo[:, None], k, 1), None)


def test_look_ahead_at_the_beginning_of_a_clip_is_seen() -> None:
    context = TinyCorpus().context([0], Needs(), 250)
    assert measure_lookahead(Early(), context, CellNoise(0)) == 30


def test_a_suite_cannot_change_what_is_scored_after_it() -> None:
    split = Split(ToyDataset(), "test")
    data = split.evaluation(None, None, 1, "cpu")
    for name in ("listener_motion", "speaker_motion", "listener_emotion", "speaker_emotion", "lengths", "appropriate"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(data, name)[:] = 0


def test_a_clip_without_a_frame_and_an_id_that_is_no_text_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = ToyDataset().clips("test")
    for change, words in (
        ({"frames": 0}, "has no frame"),
        ({"listener_frames": 0}, "has no frame"),
        ({"id": 7}, "the id of a clip is 7; text is due"),
    ):
        changed = [dataclasses.replace(clips[0], **change), *clips[1:]]
        monkeypatch.setattr(ToyDataset, "clips", lambda self, split, changed=changed: changed)
        with pytest.raises(DyadbenchError, match=words):
            Split(ToyDataset(), "test")


def test_without_training_clips_it_is_said_before_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, clips = _run(tmp_path, "ridge"), ToyDataset().clips("test")
    monkeypatch.setattr(ToyDataset, "clips", lambda self, split: [] if split == "train" else clips)
    with pytest.raises(
        DyadbenchError, match="split 'train' of the dataset holds no clips, so there is nothing to learn"
    ):
        run.fit()


def test_latency_is_recorded_online_alone_whichever_cell_ran_first(tmp_path: Path) -> None:
    for home, tracks in (("a", ("offline", "online")), ("b", ("online", "offline"))):
        for track in tracks:
            record = _run(tmp_path / home, "mime", {"track": track}).run()
            assert (record.measured.latency is not None) == (track == "online"), (home, track)


class Drawing:
    """Learns numbers of the global generators, as much of scikit-learn does."""

    needs = Needs(lookahead=0)

    def __init__(self) -> None:
        self.state = {"built": np.random.random(2), "fitted": np.zeros(3)}

    def fit(self, data: object) -> None:
        self.state["fitted"] = np.array([random.random(), np.random.random(), float(torch.rand(()))])

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.state

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.state = dict(state)

    def sample(self, context: object, k: int, noise: object) -> None: ...


def test_a_fit_that_uses_global_generators_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = shared_host().load
    factories = {"predictor": lambda config, setup: Drawing()}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    states = []
    for n in range(3):
        random.seed(n)
        np.random.seed(n)
        torch.manual_seed(n)
        run = _run(tmp_path / str(n))
        if n == 2:
            run = CellRun(run.cell.model_copy(update={"seed": 6}), run.host, run.runtime, run.dataset)
        predictor, _ = run.fit()
        states.append(np.concatenate(list(predictor.state_dict().values())))  # type: ignore[attr-defined]
    assert np.array_equal(states[0], states[1]) and not np.isin(states[2], states[0]).any()


class Broken:
    """Answers, and raises where it is to stream."""

    needs = Needs(lookahead=0)

    def sample(self, context: Context, k: int, noise: object) -> Reaction:
        return Reaction(np.repeat(context.speaker_motion[:, None], k, 1))

    def start(self, clips: object, k: int, noise: object) -> Broken:
        return self

    def step(self, context: object) -> None:
        raise RuntimeError("no stream today")


def test_a_stream_that_fails_fails_online_cells_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = shared_host().load
    factories = {"predictor": lambda config, setup: Broken()}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    assert _run(tmp_path / "a", "mime", {"track": "offline"}).run().measured.latency is None
    with pytest.raises(PluginError, match="no stream today"):
        _run(tmp_path / "b", "mime", {"track": "online"}).run()


class Mute(Broken):
    """Streams something else than it samples."""

    def __init__(self, frames: int, scale: float):
        self.frames, self.scale = frames, scale

    def start(self, clips: object, k: int, noise: object) -> Mute:
        return Mute(self.frames, self.scale)

    def step(self, context: Context) -> Reaction | None:  # type: ignore[override]
        self.frames -= 1
        return None if self.frames < 0 else Reaction(self.scale * context.speaker_motion[:, None])


@pytest.mark.parametrize(
    ("frames", "scale", "message"), [(9999, 0.0, "other motion than sample"), (1, 1.0, "gave 1 frames of motion")]
)
def test_no_latency_is_recorded_of_a_stream_that_is_not_what_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, scale: float, message: str
) -> None:
    load = shared_host().load
    factories = {"predictor": lambda config, setup: Mute(frames, scale)}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    with pytest.raises(DyadbenchError, match=message):
        _run(tmp_path, "mime", {"track": "online"}).run()


class Rolling(Broken):
    """Draws, though `mime`, whose place it takes, is registered as deterministic."""

    def sample(self, context: Context, k: int, noise: Any) -> Reaction:
        draws = np.array([[noise.stream(clip, n).random() for n in range(k)] for clip in context.clips])
        return Reaction((context.speaker_motion[:, None] + draws[:, :, None, None]).astype(np.float32))


def test_what_is_registered_as_deterministic_is_asked_under_two_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = shared_host().load
    factories = {"predictor": lambda config, setup: Rolling()}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    with pytest.raises(PluginError, match="mime is registered with deterministic=True, and another seed"):
        _run(tmp_path, "mime", {"track": "offline"}).run()


class Forgetful(Drawing):
    """Reacts by what its state leaves out."""

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.state = {name: 0 * values for name, values in state.items()}


def test_the_first_run_uses_what_later_ones_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = shared_host().load
    factories = {"predictor": lambda config, setup: Forgetful()}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    for _ in range(2):
        predictor, _ = _run(tmp_path).fit()
        assert not predictor.state["fitted"].any()  # type: ignore[attr-defined]


def test_a_tokenizer_that_does_not_fit_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    run = _run(tmp_path)
    frames, windows = (
        method_parts(shared_host(), MethodSpec(name=name), default_preset="smoke")
        for name in ("dense-fsq", "learning2listen")
    )
    for predictor, message in (
        (windows[0], "needs tokens of 2 or more frames"),
        (run.cell.predictor, "stands on no tokens"),
    ):
        cell = run.cell.model_copy(update={"predictor": predictor, "tokenizer": frames[1]})
        with pytest.raises(DyadbenchError, match=message):
            CellRun(cell, run.host, run.runtime, run.dataset).fit()
    assert not list(tmp_path.rglob("fit.json"))


class Chaotic(Broken):
    """Feeds on its own past so that a difference doubles with every frame; the batch changes `shift`, as an order of sums may."""

    def __init__(self, shift: float, growth: float):
        self.shift, self.growth = shift, growth

    def sample(self, context: Context, k: int, noise: object) -> Reaction:
        state = np.abs(context.speaker_motion[:, 0]) % 1 + self.shift * len(context.clips)
        frames = []
        for _ in range(context.frames):
            state = self.growth * state % 1
            frames.append(state)
        return Reaction(np.repeat(np.stack(frames, 1)[:, None], k, 1).astype(np.float32))


def test_a_reaction_that_amplifies_rounding_is_no_fault_and_one_of_its_batch_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, model = shared_host().load, Chaotic(1e-7, 1.9)
    factories = {"predictor": lambda config, setup: model}
    monkeypatch.setattr(shared_host(), "load", lambda kind, entry: factories.get(kind) or load(kind, entry))
    _run(tmp_path / "a", "mime", {"track": "offline"}).run()
    model.shift, model.growth = 0.01, 1.0
    with pytest.raises(PluginError, match="otherwise in a batch than alone"):
        _run(tmp_path / "b", "mime", {"track": "offline"}).run()

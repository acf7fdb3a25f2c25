"""What runs on a GPU, run on the CPU: the same numbers as the CPU's own path."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dyadbench import score_arrays
from dyadbench.api import FACEVERSE_58, Evaluation
from dyadbench.metrics.react import closed_form, frsyn, gpu, gpu_frdist, gpu_suites, reference
from dyadbench.metrics.react import suites as react_suites
from dyadbench.metrics.react.frdist import GROUPS, frdist

GOLDENS = Path(__file__).parents[1] / "goldens" / "react"
CASES = sorted(path.stem for path in GOLDENS.glob("*.npz") if not path.stem.startswith("err_"))
QUICK = settings(max_examples=20, deadline=None)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
seeds = st.integers(0, 2**31)
kinds = st.sampled_from(["binary", "constant", "walk", "noise"])
scales = st.sampled_from([1e-30, 1e-12, 1.0, 1e4, 1e16])


def _golden(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDENS / f"{case}.npz") as arrays:
        inputs = {name: arrays[name] for name in ("pred", "listener", "speaker")}
        samples = 1 if inputs["pred"].shape[2] > 300 else 3  # plain torch is slow on long clips
        return {**inputs, "pred": inputs["pred"][:, :samples], "appropriate": arrays["neighbour"]}


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites take the GPU's path, on a CPU."""
    monkeypatch.setattr(react_suites, "_on_gpu", lambda data: True)


@pytest.mark.parametrize("case", CASES)
def test_goldens_are_the_cpus(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, memo = _golden(case), {}
    suites = ["react2024-official"] + ["react2024"] * bool(np.isfinite(arrays["pred"]).all())
    expected = {suite: score_arrays(suite, **arrays) for suite in suites}
    monkeypatch.setattr(react_suites, "_on_gpu", lambda data: data.memo.update(memo) is None)
    distances = gpu_suites.frdist
    monkeypatch.setattr(gpu_suites, "frdist", lambda *arguments: memo.setdefault("frdist", distances(*arguments)))
    for suite in suites:
        scores = score_arrays(suite, **arrays)
        assert scores == pytest.approx(expected[suite], rel=1e-9, abs=1e-12, nan_ok=True), suite
        assert [scores[name] for name in ("FRDist", "FRSyn")] == pytest.approx(
            [expected[suite][name] for name in ("FRDist", "FRSyn")], rel=1e-15, nan_ok=True
        )


def _signal(rng: np.random.Generator, frames: int, kind: str, scale: float = 1.0) -> np.ndarray:
    if kind == "binary":
        values = (rng.random((frames, 25)) > 0.5).astype(np.float32)
    elif kind == "constant":
        values = np.tile(rng.random((1, 25)), (frames, 1))
    else:
        noise = rng.standard_normal((frames, 25))
        values = np.cumsum(noise, 0) if kind == "walk" else noise
    return (values * scale).astype(np.float32)


def _padded(sequences: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    out = torch.zeros(len(sequences), max(map(len, sequences)), 25)
    for place, values in zip(out, sequences, strict=True):
        place[: len(values)] = torch.from_numpy(values)
    return out, torch.tensor([len(values) for values in sequences])


def _pairs(a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(a).repeat_interleave(b), torch.arange(b).repeat(a)


@QUICK
@given(seeds, st.lists(st.integers(1, 40), min_size=1, max_size=3), st.lists(st.integers(1, 40), min_size=1, max_size=4),
       scales, kinds)  # fmt: skip
def test_the_nearest_is_the_cpus_to_the_bit(
    seed: int, rows: list[int], columns: list[int], scale: float, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    xs, ys = ([_signal(rng, n, kind, scale) for n in frames] for frames in (rows, columns))
    ys += ys[:1]  # a tie
    (x, x_frames), (y, y_frames) = _padded(xs), _padded(ys)
    nearest = gpu_frdist.nearest(x, y, x_frames, y_frames, *_pairs(len(xs), len(ys)))
    assert nearest.tolist() == [frdist(sample[None], ys)[0] for sample in xs]


@QUICK
@given(seeds, st.integers(1, 60), st.integers(1, 60), st.sampled_from(GROUPS), scales, kinds)
def test_float32_stays_within_what_its_bounds_say(
    seed: int, rows: int, columns: int, group: tuple[int, int], scale: float, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    x, y = _signal(rng, rows, kind, min(scale, 1e10)), _signal(rng, columns, kind, min(scale, 1e10))
    (a, n), (b, m) = _padded([x]), _padded([y])
    expected = reference.dtw(x[:, slice(*group)], y[:, slice(*group)]) ** 2
    [value] = gpu_frdist.wavefront(a, b, n, m, *_pairs(1, 1), group, torch.float32).tolist()
    cells, depth = rows + columns - 1, group[1] - group[0] + 4
    assert abs(value - expected) <= 1.05 * (cells + depth) * 2.0**-24 * expected + cells * depth * 2e-38


def test_float32_alone_would_have_chosen_wrongly() -> None:
    rng = np.random.default_rng(3)
    truth, other = _signal(rng, 30, "walk"), _signal(rng, 30, "walk")
    ys = [np.nextafter(other, rng.choice(np.float32([-1e9, 1e9]), other.shape)) for _ in range(40)]
    (x, n), (y, m) = _padded([truth]), _padded(ys)
    pairs = _pairs(1, 40)
    rounded = sum(gpu_frdist.wavefront(x, y, n, m, *pairs, g, torch.float32).sqrt() * w for *g, w in reference.GROUPS)
    assert reference.distance(truth, ys[int(rounded.argmin())]) > min(reference.distance(truth, y) for y in ys)
    [nearest] = gpu_frdist.nearest(x, y, n, m, *pairs).tolist()
    assert nearest == min(reference.distance(truth, other) for other in ys)


def _evaluation(rng: np.random.Generator, lengths: list[int], k: int, kind: str, scale: float = 1.0) -> Evaluation:
    def track(*lead: int) -> np.ndarray:
        out = np.full((*lead, max(lengths), 25), np.nan, np.float32)  # what lies after a clip's end is nobody's
        for place in np.ndindex(*lead):
            out[place][: lengths[place[0]]] = _signal(rng, lengths[place[0]], kind, scale)
        return out

    n = len(lengths)
    return Evaluation(
        clips=tuple(map(str, range(n))), lengths=np.array(lengths), space=FACEVERSE_58, predicted_motion=None,
        predicted_emotion=track(n, k), listener_motion=None, speaker_motion=None, listener_emotion=track(n),
        speaker_emotion=track(n), appropriate=(rng.random((n, n)) > 0.5) | np.eye(n, dtype=bool),
    )  # fmt: skip


def _agree(data: Evaluation, suite: react_suites.ReactSuite | react_suites.ReactOfficialSuite) -> None:
    cpu = suite.evaluate(data)
    data.memo.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(react_suites, "_on_gpu", lambda data: True)
        scores = suite.evaluate(data)
    data.memo.clear()
    for name, expected in cpu.items():
        ours, theirs = ([np.nan if r.value is None else r.value, *r.per_clip] for r in (scores[name], expected))
        scale = max((abs(v) for v in theirs if np.isfinite(v)), default=0.0)
        # What rounding leaves of a correlation of 0 is of no scale: -6e-22 on one side, 0 on the other.
        scale = max(scale, 1e-6) if name == "FRCorr" else scale
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * scale, err_msg=name)
        assert scores[name].undefined == expected.undefined, name


@QUICK
@given(seeds, st.lists(st.sampled_from([1, 2, 20, 60, 61]), min_size=1, max_size=4), st.integers(1, 3), kinds,
       st.sampled_from([1e-6, 1.0, 1e6]))  # fmt: skip
@example(680705, [1, 2], 3, "binary", 1e-6)
def test_the_corrected_suite_is_the_cpus_on_clips_of_any_length(
    seed: int, lengths: list[int], k: int, kind: str, scale: float
) -> None:
    _agree(_evaluation(np.random.default_rng(seed), lengths, k, kind, scale), react_suites.ReactSuite())


@QUICK
@given(seeds, st.sampled_from([1, 30, 52, 53, 70]), st.integers(1, 3), st.integers(1, 3), kinds)
def test_the_official_suite_is_the_cpus(seed: int, frames: int, clips: int, k: int, kind: str) -> None:
    _agree(_evaluation(np.random.default_rng(seed), [frames] * clips, k, kind), react_suites.ReactOfficialSuite())


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("place", ["predicted_emotion", "listener_emotion", "speaker_emotion"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_undefined_values_are_what_they_are_on_the_cpu(place: str, value: float) -> None:
    data = _evaluation(np.random.default_rng(0), [60] * 3, 2, "walk")
    getattr(data, place)[1, ..., 7:9, 3] = value
    _agree(data, react_suites.ReactOfficialSuite())


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:All-NaN")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("samples", [1, 2])
def test_predictions_without_any_finite_pair_are_what_they_are_on_the_cpu(value: float, samples: int) -> None:
    data = _evaluation(np.random.default_rng(0), [60] * 3, samples, "walk")
    data.predicted_emotion[:, :, 7, 3] = value
    _agree(data, react_suites.ReactOfficialSuite())


def test_frdiv_of_one_sample_is_zero_whatever_it_holds() -> None:
    one = np.full((2, 1, 5, 25), np.nan)
    assert gpu.diversity(torch.from_numpy(one), 1).tolist() == [0.0, 0.0] == [closed_form.moments(x)[0] for x in one]


def test_clips_a_few_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _evaluation(np.random.default_rng(1), [60, 58, 60, 60, 58], 2, "walk")
    monkeypatch.setattr(gpu_suites, "MEMORY", 2 * data.predicted_emotion[0].nbytes)
    monkeypatch.setattr(gpu, "VALUES", 60 * 25 * 3)
    monkeypatch.setattr(gpu_frdist, "VALUES", 15 * 60 * 4)
    assert len(list(gpu_suites.loaded(data).chunks())) == 3
    _agree(data, react_suites.ReactSuite())


def test_progress_is_told(on_gpu: None) -> None:
    calls: list[tuple[int, int]] = []
    data = _evaluation(np.random.default_rng(1), [5, 5], 1, "walk")
    react_suites.ReactSuite().evaluate(data, lambda done, total: calls.append((done, total)))
    assert calls == [(2, 2)]


def test_bad_input_is_a_sentence(on_gpu: None) -> None:
    data = _evaluation(np.random.default_rng(1), [5, 6], 1, "walk")
    data.appropriate[:] = True
    with pytest.raises(ValueError, match="clip 0 has 5 frames and its appropriate listener 1 6"):
        react_suites.ReactOfficialSuite().evaluate(data)
    data.memo.clear()
    data.appropriate[1] = False
    with pytest.raises(ValueError, match="clip 1 has no appropriate listener"):
        react_suites.ReactSuite().evaluate(data)


@QUICK
@given(seed=seeds, frames=st.integers(53, 130), kind=kinds, other=kinds)
def test_lags_are_the_cpus(seed: int, frames: int, kind: str, other: str) -> None:
    rng = np.random.default_rng(seed)
    x, y = (np.stack([_signal(rng, frames, k) for _ in range(3)]) for k in (kind, other))
    x[0], y[1, 5:, 3] = np.roll(y[0], 5, 0), 0  # constant in some windows
    x[2, :, :] = np.tile(x[2, :7], (frames // 7 + 1, 1))[:frames]  # periodic: ties, or nearly
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    assert gpu.official_offsets(a, b).tolist() == [frsyn.official_offset(*pair) for pair in zip(x, y, strict=True)]
    expected = np.array([frsyn.best_lag(*pair) for pair in zip(x, y, strict=True)])
    assert np.array_equal(gpu.best_lags(a, b).numpy(), expected, equal_nan=True)


INTERPRETED = """
import numpy as np, torch
from dyadbench.metrics.react import gpu_frdist
from dyadbench.metrics.react import gpu_kernels
rng = np.random.default_rng(0)
x, y = (torch.from_numpy(rng.standard_normal((n, t, 25)).astype(np.float32)) for n, t in ((3, 10), (12, 5)))
n, m = torch.tensor([10, 1, 8]), torch.tensor([5, 1, 4] * 4)
of = torch.arange(3).repeat_interleave(12), torch.arange(12).repeat(3)  # 36 pairs: a whole block and a short one
for group in gpu_frdist.GROUPS:
    for kind in (torch.float32, torch.float64):
        wanted = gpu_frdist.wavefront(x, y, n, m, *of, group, kind)
        found = gpu_kernels.dtw(x, y, n, m, *of, group, kind)
        assert torch.equal(found, wanted) if kind is torch.float64 else torch.allclose(found, wanted, rtol=1e-6), group
gpu_kernels.CHUNK = 1
assert torch.equal(gpu_kernels.dtw(x, y, n, m, *of, (15, 17), torch.float64),
                   gpu_frdist.wavefront(x, y, n, m, *of, (15, 17), torch.float64))
print("agree")
"""


@needs_triton
def test_the_kernel_is_the_wavefront_under_the_interpreter() -> None:
    process = subprocess.run(  # the interpreter is chosen when Triton is imported
        [sys.executable, "-c", INTERPRETED], env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    if "only 0-dimensional arrays" in process.stderr:
        pytest.skip("this Triton's interpreter does not run with this numpy")
    assert process.stdout.strip() == "agree", process.stderr


@needs_cuda
@pytest.mark.parametrize("case", CASES)
def test_goldens_on_cuda(case: str) -> None:
    arrays = _golden(case)
    tensors = {**arrays, "pred": torch.from_numpy(arrays["pred"]).cuda()}
    for suite in ["react2024-official"] + ["react2024"] * bool(np.isfinite(arrays["pred"]).all()):
        scores = score_arrays(suite, **arrays)
        assert score_arrays(suite, **tensors) == pytest.approx(scores, rel=1e-9, abs=1e-12, nan_ok=True), suite


@needs_cuda
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("group", GROUPS)
def test_the_kernel_on_cuda(group: tuple[int, int], kind: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    xs, ys = ([_signal(rng, n, "walk") for n in frames] for frames in ((200, 1, 77), (130, 1, 9)))
    padded = [v for pair in (_padded(xs), _padded(ys)) for v in pair]
    x, n, y, m, *of = [v.cuda() for v in [*padded, *_pairs(3, 3)]]
    distances = gpu_frdist.dtw(x, y, n, m, *of, group, kind).sqrt().cpu()
    expected = [reference.dtw(xs[a][:, slice(*group)], ys[b][:, slice(*group)]) for a in range(3) for b in range(3)]
    assert distances.tolist() == (pytest.approx(expected, rel=1e-4) if kind is torch.float32 else expected)

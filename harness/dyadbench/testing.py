"""The pytest plugin for method authors: fixtures that hold a predictor to the contract, and time it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dyadbench.api import Context, MotionSpace, Predictor, Reaction


@pytest.fixture
def dyadbench_check() -> Callable[..., Any]:
    """`dyadbench_check("name")` or `dyadbench_check(lambda setup: MyPredictor(config, setup))`; fails with the broken promises."""

    def run(method: Any) -> Any:
        from dyadbench.conformance.check import check
        from dyadbench.conformance.checks import check_factory
        from dyadbench.registry.host import Host

        report = check(method, Host()) if isinstance(method, str) else check_factory("predictor", method)
        broken = [f"{item.what}: {item.detail}" for item in report.items if not item.ok]
        if broken:
            pytest.fail("\n".join(broken), pytrace=False)
        return report

    return run


@pytest.fixture
def tiny_context() -> Any:
    """A Context of two speakers, 96 frames, faceverse-58 with emotion and mfcc-78."""
    from dyadbench.api import Needs
    from dyadbench.datasets.tiny_corpus import TinyCorpus

    return TinyCorpus().context([0, 1], Needs(audio=("mfcc-78",)), 96)


@pytest.fixture
def tiny_setup() -> Any:
    """The Setup that a component for `tiny_context` is built with."""
    from dyadbench.api import FACEVERSE_58, Setup
    from dyadbench.datasets.tiny_corpus import SOUND

    return Setup(FACEVERSE_58, SOUND, has_emotion=True, seed=0)


@dataclass(frozen=True)
class SamplingTime:
    """What sampling cost. Real time is one second of one sample of one clip; `first_frame_ms` is a clip of one frame, K = 1."""

    ms_per_frame: float
    realtime_factor: float
    first_frame_ms: float
    reaction: Reaction


@pytest.fixture
def sampling_bench(request: pytest.FixtureRequest) -> Callable[..., SamplingTime]:
    """`sampling_bench(predictor, k=10, frames=750)` samples made-up speakers and says what it cost: a `SamplingTime`.

    More keywords: `clips` at once, `space` (default faceverse-58), `device` (a GPU is waited for), `rounds` (the fastest one
    counts), `context` (speakers of your own). The speakers have what `predictor.needs` asks for. With pytest-benchmark
    installed the time is one of its rows, once per test, and the numbers are in its `extra_info`.
    """

    def run(predictor: Predictor, *, k: int = 10, frames: int = 750, clips: int = 1, space: MotionSpace | None = None,
            device: str = "cpu", rounds: int = 1, context: Context | None = None) -> SamplingTime:  # fmt: skip
        from dyadbench.api import FACEVERSE_58
        from dyadbench.cell.noise import CellNoise
        from dyadbench.datasets.tiny_corpus import TinyCorpus

        corpus = TinyCorpus(space or FACEVERSE_58, frames=frames, clips=clips)
        speakers = context or corpus.context(range(clips), predictor.needs, frames)
        one = corpus.context([0], predictor.needs, 1)
        for _ in range(2):  # the first call pays for what is compiled and loaded
            first, _ = _timed(lambda: predictor.sample(one, 1, CellNoise(0)), device)
        if device.startswith("cuda"):
            predictor.sample(speakers, k, CellNoise(0))  # loads the kernels of these sizes
        timings: list[tuple[float, Reaction]] = []

        def sample() -> None:
            timings.append(_timed(lambda: predictor.sample(speakers, k, CellNoise(0)), device))

        table = request.getfixturevalue("benchmark") if request.config.pluginmanager.hasplugin("benchmark") else None
        if table is not None:
            table.pedantic(sample, rounds=rounds)
        else:
            for _ in range(rounds):
                sample()
        seconds, reaction = min(timings, key=lambda each: each[0])
        speaker_frames = len(speakers.clips) * speakers.frames
        spent = SamplingTime(
            1e3 * seconds / speaker_frames, k * speaker_frames / corpus.space.fps / seconds, 1e3 * first, reaction
        )
        if table is not None:
            table.extra_info.update({name: getattr(spent, name) for name in NUMBERS})
        print("\n" + ", ".join(f"{name} {getattr(spent, name):.4g}" for name in NUMBERS))
        return spent

    return run


NUMBERS = ("ms_per_frame", "realtime_factor", "first_frame_ms")


def _timed(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds by the clock, and the result; what runs on a GPU has finished."""
    started = time.perf_counter()
    result = call()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
    return time.perf_counter() - started, result

"""The pytest plugin that method authors use: its fixtures pass a good method and say what a bad one breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GOOD = """
def test_a_baseline_keeps_the_contract(dyadbench_check):
    report = dyadbench_check("lagged-mime")
    assert all(item.ok for item in report.items)

def test_the_context_is_a_batch_of_two(tiny_context):
    assert tiny_context.speaker_motion.shape == (2, 96, 58)
    assert tiny_context.speaker_emotion.shape == (2, 96, 25)
    assert tiny_context.audio["mfcc-78"].shape == (2, 96, 78)
"""
TIMED = """
import time
import numpy as np
from dyadbench.api import Needs, Reaction

class Slow:
    needs = Needs(audio=("mel-128",))
    def sample(self, context, k, noise):
        assert context.audio["mel-128"].shape == (len(context.clips), 4 * context.frames, 128)
        time.sleep(0.002 * context.frames)
        return Reaction(np.zeros((len(context.clips), k, context.frames, 58), "f4"))

def test_speed(sampling_bench):
    spent = sampling_bench(Slow(), k=5, frames=100)
    assert spent.reaction.motion.shape == (1, 5, 100, 58)
    assert spent.ms_per_frame >= 2 and 2 <= spent.first_frame_ms
    assert abs(spent.realtime_factor * spent.ms_per_frame / 1e3 * 25 - 5) < 1e-6
"""
BAD = """
import numpy as np
from dyadbench.api import Needs, Reaction

class Forgetful:
    needs = Needs()
    def sample(self, context, k, noise):  # draws from numpy's global generator: nobody could repeat it
        shape = (len(context.clips), k, context.frames)
        return Reaction(np.random.random((*shape, 58)).astype("f4"), np.random.random((*shape, 25)).astype("f4"))

def test_it(dyadbench_check):
    dyadbench_check(lambda setup: Forgetful())
"""


def _run(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")  # installed plugins load by themselves


@pytest.mark.slow
def test_the_fixtures_pass_a_good_method(pytester: pytest.Pytester) -> None:
    _run(pytester, GOOD).assert_outcomes(passed=2)


@pytest.mark.slow
def test_the_fixture_fails_a_bad_method_with_its_broken_promises_and_without_a_traceback(
    pytester: pytest.Pytester,
) -> None:
    result = _run(pytester, BAD)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*noise.stream(clip, sample)*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("-p", "no:benchmark")], ids=["pytest-benchmark", "alone"])
def test_the_fixture_times_a_sampler_with_and_without_pytest_benchmark(
    pytester: pytest.Pytester, more: tuple[str, ...]
) -> None:
    pytester.makepyfile(TIMED)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-s", *more)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*ms_per_frame *, realtime_factor *, first_frame_ms *"])


@pytest.mark.slow
def test_the_tests_shown_in_the_readme_pass(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parents[1]
    [example] = re.findall(
        r"```python\n(from delayed_mime .*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    # Here the plugin is not installed, so its entry is not known by name; the other form is shown beside it.
    example = example.replace('"delayed-mime")', "lambda setup: DelayedMime(DelayConfig(), setup))").replace(
        "> 25", "> 0"
    )
    pytester.makepyfile(delayed_mime=(root / "plugins" / "template" / "delayed_mime.py").read_text())
    _run(pytester, example).assert_outcomes(passed=2)

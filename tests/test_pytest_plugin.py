"""The pytest plugin that method authors use: its fixtures pass a good method and say what a bad one breaks."""

from __future__ import annotations

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

"""What was found wrong in published numbers, each shown in a few lines (leaderboards/claims/checked/wrong-in-print.toml)."""

from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench import score_arrays

CLIPS, SAMPLES, FRAMES = 6, 10, 120


def _walk(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """(..., T, 25) smooth signals within [0, 1], other ones for every clip."""
    walk = np.cumsum(rng.standard_normal((*shape, FRAMES, 25)), -2)
    low, high = walk.min(-2, keepdims=True), walk.max(-2, keepdims=True)
    return ((walk - low) / (high - low)).astype(np.float32)


def _case(seed: int = 0) -> dict[str, Any]:
    """Six clips whose only appropriate listener is their own."""
    rng = np.random.default_rng(seed)
    listener, speaker = _walk(rng, CLIPS), _walk(rng, CLIPS)
    return {"listener": listener, "speaker": speaker, "appropriate": np.eye(CLIPS, dtype=bool)}


def test_one_constant_channel_makes_the_official_frsyn_49() -> None:
    case = _case()
    copies = np.repeat(case["speaker"][:, None], SAMPLES, 1)
    late = np.roll(copies, 6, 2)  # a listener that follows the speaker by six frames, in every channel
    assert score_arrays("react2024-official", pred=late, **case)["FRSyn"] == 6
    late[..., 3] = 0.0  # an action unit that never occurs
    assert score_arrays("react2024-official", pred=late, **case)["FRSyn"] == 49
    assert score_arrays("react2024", pred=late, **case)["FRSyn"] == 6


def test_a_mean_beside_sums_of_ten_looks_ten_times_worse_than_it_is() -> None:
    case = _case()
    rng = np.random.default_rng(1)
    weak = 0.2 * case["listener"][:, None] + 0.8 * _walk(rng, CLIPS, SAMPLES)
    truth = np.repeat(case["listener"][:, None], SAMPLES, 1)
    as_sum = {name: score_arrays("react2024-official", pred=pred, **case)["FRCorr"] for name, pred in (("weak", weak), ("truth", truth))}  # fmt: skip
    as_mean = {name: score_arrays("react2024", pred=pred, **case)["FRCorr"] for name, pred in (("weak", weak), ("truth", truth))}  # fmt: skip
    assert as_sum["truth"] > 9.99
    assert as_mean["truth"] > 0.999
    # A weak method's sum beside the truth's mean: it seems to do better than the truth itself, which it is far from.
    assert as_sum["weak"] > as_mean["truth"]
    assert as_mean["weak"] < 0.5


def test_samples_regrouped_across_clips_are_scored_as_diverse_and_wrong() -> None:
    case = _case()
    rng = np.random.default_rng(2)
    right = np.clip(case["listener"][:, None] + 0.02 * rng.standard_normal((CLIPS, SAMPLES, FRAMES, 25)), 0, 1)
    # Ten passes over the clips, one after another, and then `reshape` as if the ten of each clip lay together.
    passes = right.transpose(1, 0, 2, 3).reshape(SAMPLES * CLIPS, FRAMES, 25)
    regrouped = passes.reshape(CLIPS, SAMPLES, FRAMES, 25)
    sources = np.arange(SAMPLES * CLIPS).reshape(CLIPS, SAMPLES) % CLIPS
    assert (sources != np.arange(CLIPS)[:, None]).mean() >= 0.8, "nearly every sample stands beside another clip's"
    good, bad = (score_arrays("react2024", pred=p.astype(np.float32), **case) for p in (right, regrouped))
    assert good["FRCorr"] > 0.95
    assert bad["FRCorr"] < 0.5
    assert bad["FRDiv"] > 20 * good["FRDiv"]
    # What is then called diversity within a clip is diversity between clips: the two columns agree, as they do in print.
    assert abs(bad["FRDiv"] - bad["FRDvs"]) < 0.3 * bad["FRDvs"]
    assert good["FRDiv"] < 0.05 * good["FRDvs"]

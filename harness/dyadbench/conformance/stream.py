"""Whether a predictor that streams gives, step by step, what it samples at once, and gives it in time."""

from __future__ import annotations

from typing import Any

from dyadbench.api import DyadbenchError, Noise, Reaction
from dyadbench.cell.latency import cut_frames, joined
from dyadbench.cell.lookahead import first_difference
from dyadbench.cell.react import FLOAT_ORDER, largest_gap
from dyadbench.datasets.tiny_corpus import TinyCorpus

STEPS = (1, 1, 1, 5, 1, 16, 2, 8, 3)  # new frames of one step after another, over and over
FRAMES = 61  # no multiple of any patch


def check_stream(predictor: Any, corpus: TinyCorpus, noise: Noise) -> str:
    """AssertionError where streamed reactions differ from sampled ones, or come later than the declared look-ahead."""
    context, k = corpus.context([0, 1], predictor.needs, FRAMES), 2
    try:
        stream = predictor.start(context.clips, k, noise)
    except DyadbenchError as refusal:
        return f"not in this configuration: {refusal}"
    ahead = predictor.needs.lookahead
    parts: list[Reaction] = []
    frames_in = frames_out = turn = 0
    while frames_in < FRAMES:
        size = min(STEPS[turn % len(STEPS)], FRAMES - frames_in)
        part = stream.step(cut_frames(context, frames_in, frames_in + size, corpus.space.fps))
        frames_in, turn = frames_in + size, turn + 1
        if part is not None:
            parts.append(part)
            frames_out += _frames(part)
        late = 0 if ahead is None else frames_in - ahead - frames_out
        assert late <= 0, (
            f"after {frames_in} frames it gave {frames_out}; with a look-ahead of {ahead} it owes {late} more"
        )
    if (rest := stream.finish()) is not None:
        parts.append(rest)
    streamed, sampled = joined(parts, FRAMES), predictor.sample(context, k, noise)
    assert streamed is not None and _frames(streamed) == FRAMES, "the stream ended before all frames were given"
    gap = largest_gap(sampled, streamed)
    assert gap <= FLOAT_ORDER, (
        f"what it streams differs from what it samples, from frame {first_difference(sampled, streamed)}"
    )
    return "equal to the bit" if gap == 0 else f"within {gap:.0e} of the size: sums in another order"


def _frames(reaction: Reaction) -> int:
    values = reaction.motion if reaction.motion is not None else reaction.emotion
    assert values is not None, "a step returned neither motion nor emotion; return None where nothing is due"
    return int(values.shape[2])

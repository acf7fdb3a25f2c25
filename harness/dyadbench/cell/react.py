"""One call of a predictor, and the one place where its answer is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dyadbench.api import (
    EMOTION_DIM,
    Context,
    DyadbenchError,
    MotionSpace,
    Needs,
    Noise,
    Reaction,
    Track,
    Truth,
)
from dyadbench.errors import PluginError, one_line
from dyadbench.files.predictions import RANGES

Sample = Callable[[Context, int, Noise], Any]  # Predictor.sample, or something around it


def demand_predictor(predictor: Any, name: str) -> None:
    """Raises PluginError if the object is not an api.Predictor."""
    if not isinstance(getattr(predictor, "needs", None), Needs):
        raise PluginError(f"{name} does not say what it needs; give it an attribute needs = Needs(...)")
    if not callable(getattr(predictor, "sample", None)):
        raise PluginError(f"{name} has no method sample(context, k, noise)")


def demand_sides(sides: Sequence[str], name: str, benchmark: str, *, two_sided: bool) -> None:
    """Raises DyadbenchError where a predictor asks for the listener (`Needs.two_sided`) on a benchmark that is not two-sided."""
    if sides and not two_sided:
        raise DyadbenchError(
            f"{name} uses the listener's {' and '.join(sides)}, which {benchmark} gives to nobody: there the listener "
            "is what is to be generated; run it on a two-sided benchmark (DualTalk, Seamless)"
        )


def react(sample: Sample, context: Context, k: int, noise: Noise, space: MotionSpace, name: str) -> Reaction:
    """The reactions of a batch as float32 arrays (B, k, T, C), zero after each clip's end.

    A clip is never alone in its batch: matrix products of one row take another path through the linear algebra and add up
    in another order, and a number must not depend on the batch size. Raises PluginError where the predictor `name` returns
    anything else.
    """
    # See the docstring: one row takes another path through BLAS (gemv instead of gemm).
    alone = len(context.clips) == 1
    reaction = sample(_twice(context) if alone else context, k, noise)
    if not isinstance(reaction, Reaction):
        raise PluginError(f"{name} returned a {type(reaction).__name__}; return an api.Reaction(motion, emotion)")
    if reaction.motion is None and reaction.emotion is None:
        raise PluginError(f"{name} returned neither motion nor emotion")
    due = (len(context.clips) * (2 if alone else 1), k, context.frames)
    motion = _checked(reaction.motion, "motion", (*due, space.dim), context, name)
    emotion = _checked(reaction.emotion, "emotion", (*due, EMOTION_DIM), context, name)
    return Reaction(motion, emotion)


def _checked(values: Any, what: str, due: tuple[int, ...], context: Context, name: str) -> np.ndarray | None:
    if values is None:
        return None
    if type(values).__module__.partition(".")[0] == "torch":
        raise PluginError(f"{name} returned {what} as a torch tensor; return {what}.detach().cpu().numpy()")
    if isinstance(values, np.ma.MaskedArray):
        raise PluginError(f"{name} returned {what} as a masked array; return an array in which every frame has a value")
    try:
        values = np.asarray(values)
    except ValueError as error:
        raise PluginError(
            f"{name} returned {what} that is no array ({one_line(error, most=200)}); give all clips and samples the same frames"
        ) from None
    if values.dtype.kind not in "fiu":  # truth values cannot be subtracted, which every metric and check does
        raise PluginError(f"{name} returned {what} of {values.dtype} where numbers are due")
    if values.shape != due:
        # The message counts the clips that were asked for; a single clip was doubled above.
        shapes = [
            (len(context.clips), *shape[1:]) if shape[:1] == due[:1] else shape for shape in (tuple(values.shape), due)
        ]
        raise PluginError(
            f"{name} returned {what} of shape {shapes[0]} where (clips, samples, frames, channels) is {shapes[1]}"
        )
    # A copy: the predictor may still hold the array that it returned.
    # Finite is asked only of frames that exist: a method may leave anything in the padding.
    cut = np.array(values[: len(context.clips)], np.float32)
    for row, (clip, length) in enumerate(zip(context.clips, context.lengths, strict=True)):
        cut[row, :, length:] = 0
        if not np.isfinite(cut[row]).all():
            raise PluginError(f"{name} returned NaN or infinite {what} for clip {clip}")
        if what == "emotion" and length and (size := np.abs(cut[row, :, :length]).mean()) > RANGES["emotion"][1]:
            # The mean, since a frame of a poor method may be anywhere; one that is in percent is so everywhere.
            raise PluginError(
                f"{name} returned emotion of mean size {size:.3g} for clip {clip}; action units and probabilities lie in "
                "[0, 1], valence and arousal in [-1, 1]"
            )
    return cut


def _twice(context: Context) -> Context:
    """A batch of one clip as a batch of two equal ones."""

    def both(values: Any) -> Any:
        return None if values is None else np.concatenate([values, values])

    truth = context.truth and Truth(context.truth.motion * 2, context.truth.emotion * 2)
    return dataclasses.replace(
        context, clips=context.clips * 2, lengths=both(context.lengths), speaker_motion=both(context.speaker_motion),
        speaker_emotion=both(context.speaker_emotion), audio={name: both(a) for name, a in context.audio.items()},
        own_audio={name: both(a) for name, a in context.own_audio.items()}, own_past=both(context.own_past),
        own_past_lengths=both(context.own_past_lengths), words=None if context.words is None else context.words * 2, truth=truth,
        fresh=None if (fresh := context.fresh) is None else partial(_first_row, fresh),
    )  # fmt: skip


def _first_row(fresh: Callable[[int, int], Track], row: int, draw: int) -> Track:
    return fresh(0, draw)


def row_of(reaction: Reaction, row: int, frames: int) -> Reaction:
    """One clip of a batch, cut to its own frames."""
    return Reaction(*(None if v is None else v[row : row + 1, :, :frames] for v in (reaction.motion, reaction.emotion)))


FLOAT_ORDER = 1e-4  # of `largest_gap`: what another number of rows may change in the order of sums


def largest_gap(a: Reaction, b: Reaction) -> float:
    """The greatest difference relative to 1 + the size of the values; infinite where one has a space that the other lacks."""
    gaps = [0.0]
    for one, two in ((a.motion, b.motion), (a.emotion, b.emotion)):
        if (one is None) != (two is None):
            return float("inf")
        if one is not None and two is not None:
            gaps.append(float(np.abs(one - two).max(initial=0) / (1 + np.abs(one).max(initial=0))))
    return max(gaps)

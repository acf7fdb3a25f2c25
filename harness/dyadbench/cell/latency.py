"""How long a streaming predictor makes a listener's next frame wait, on one core."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from pydantic import BaseModel

from dyadbench.api import Array, Context, DyadbenchError, Noise, Reaction, Streaming, Word
from dyadbench.cell.react import FLOAT_ORDER, largest_gap

WARM = 64  # steps of a first conversation that is not timed, in which caches of the processor and of libraries fill
COMPARED = 50  # frames of a stream that are held against what is sampled
TIMES = 3  # the same conversation; a step's time is the least, so that it is the method's and not another program's


class Latency(BaseModel, frozen=True):
    """Of one conversation, K = 1, one new speaker frame a step, one core. Milliseconds are the clock's."""

    first_frame_ms: float  # from the speaker's first frame to the listener's: frames to wait for, and the computation
    first_frame_after: int  # speaker frames that must be heard before the listener's first frame comes
    step_p50_ms: float
    step_p99_ms: float
    step_p99_cpu_ms: float  # of the processor: what p99 would be on a machine with nothing else to do
    budget_ms: float  # one frame
    frames: int


def cut_frames(context: Context, first: int, stop: int, fps: float) -> Context:
    """The speakers from frame `first` to `stop` alone, with the words that end in these frames, timed from `first` on."""

    def cut(features: Mapping[str, Array]) -> dict[str, Array]:
        rates = {name: a.shape[1] // context.frames for name, a in features.items()}
        return {name: a[:, first * rates[name] : stop * rates[name]] for name, a in features.items()}

    def words_of(words: Sequence[Word]) -> tuple[Word, ...]:
        late, length = first / fps, (stop - first) / fps
        return tuple(
            Word(word.text, word.start - late, min(word.end - late, length))  # rounding must not move it out
            for word in words
            if first < math.ceil(word.end * fps) <= stop
        )

    emotion = context.speaker_emotion
    return dataclasses.replace(
        context,
        lengths=np.full(len(context.clips), stop - first),
        speaker_motion=context.speaker_motion[:, first:stop],
        speaker_emotion=None if emotion is None else emotion[:, first:stop],
        audio=cut(context.audio),
        own_audio=cut(context.own_audio),
        words=None if context.words is None else tuple(map(words_of, context.words)),
    )


def joined(parts: Sequence[Reaction], frames: int) -> Reaction | None:
    """What the steps gave, one after another, cut to `frames`; None where they gave nothing."""
    if not parts:
        return None
    motion = [part.motion for part in parts if part.motion is not None]
    emotion = [part.emotion for part in parts if part.emotion is not None]
    return Reaction(
        np.concatenate(motion, 2)[:, :, :frames] if motion else None,  # (B, K, T, D)
        np.concatenate(emotion, 2)[:, :, :frames] if emotion else None,
    )


def measure_latency(predictor: Streaming, context: Context, noise: Noise, fps: float) -> Latency | None:
    """Streams the one clip of `context` frame by frame. None where this configuration does not stream.

    Raises DyadbenchError where the stream gave nothing, or other reactions than `sample`: those are what is scored.
    """
    try:
        predictor.start(context.clips, 1, noise)
    except DyadbenchError:
        return None
    with _one_core():
        _steps(predictor, context, noise, min(WARM, context.frames), fps)
        runs = [_steps(predictor, context, noise, context.frames, fps) for _ in range(TIMES)]
    (spent, worked), parts = np.min([times for times, _ in runs], axis=0), runs[0][1]
    first = next((at for at, part in enumerate(parts) if part is not None), None)
    if first is None:
        raise DyadbenchError(f"the stream gave no frame in {context.frames} steps")
    _demand_the_same(predictor.sample(context, 1, noise), [part for part in parts if part is not None], context.frames)
    return Latency(
        first_frame_ms=round((first + 1) / fps * 1e3 + float(spent[first]) * 1e3, 3),
        first_frame_after=first + 1,
        step_p50_ms=round(float(np.median(spent)) * 1e3, 3),
        step_p99_ms=_p99(spent),
        step_p99_cpu_ms=_p99(worked),
        budget_ms=round(1e3 / fps, 3),
        frames=context.frames,
    )


def _p99(seconds: np.ndarray) -> float:
    """Milliseconds that 99 of 100 steps do not exceed."""
    return round(float(np.sort(seconds)[math.ceil(0.99 * len(seconds)) - 1]) * 1e3, 3)


def _demand_the_same(sampled: Reaction, parts: Sequence[Reaction], frames: int) -> None:
    """Raises DyadbenchError where a stream lacks half of the frames, or its first COMPARED ones are not what is sampled."""
    # Not all frames: sums in another order may draw another token some time, and everything after it is another reaction.
    streamed = joined(parts, frames)
    for what in ("motion", "emotion"):
        whole, part = getattr(sampled, what), getattr(streamed, what)
        count = 0 if part is None else part.shape[2]
        if 2 * count < (0 if whole is None else frames):
            raise DyadbenchError(f"the stream gave {count} frames of {what} for {frames}")
        if whole is None:
            continue
        first = slice(min(count, COMPARED))
        if largest_gap(Reaction(whole[:, :, first]), Reaction(part[:, :, first])) > FLOAT_ORDER:
            raise DyadbenchError(f"the stream gave other {what} than sample; `dyadbench check` says from which frame")


def _steps(
    predictor: Streaming, context: Context, noise: Noise, frames: int, fps: float
) -> tuple[np.ndarray, list[Reaction | None]]:
    """Seconds of each step by the clock and of the processor (2, frames), and what each step gave."""
    stream, spent = predictor.start(context.clips, 1, noise), np.zeros((2, frames))
    answers: list[Reaction | None] = []
    for at in range(frames):
        new = cut_frames(context, at, at + 1, fps)
        started = time.perf_counter(), time.process_time()
        reaction = stream.step(new)
        spent[:, at] = time.perf_counter() - started[0], time.process_time() - started[1]
        answers.append(reaction)
    return spent, answers


@contextmanager
def _one_core() -> Iterator[None]:
    """One thread of torch; the linear algebra of numpy has one in every run."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)

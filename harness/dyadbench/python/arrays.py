"""Scores for people who only want the numbers: numpy or torch arrays in, the numbers of the tables out."""

from __future__ import annotations

from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import DECA_56, EMOTION_DIM, FACEVERSE_58, DyadbenchError, Evaluation, MotionSpace, Progress, Suite
from dyadbench.files.arrays import demand_finite, floats
from dyadbench.files.predictions import LazyTensor
from dyadbench.registry.host import Host

READINGS = "l2l-readings"  # not a suite: every reading of Learning2Listen's metrics, by `score_l2l`
NAN_ALLOWED = ("react2024-official",)  # takes NaN in `pred`, as the published code does
SPELLING = {"target": "listener", "neighbour": "appropriate", "neighbours": "appropriate"}  # what others call them
SPACES = {space.dim: space for space in (FACEVERSE_58, DECA_56)}


@cache
def plugins() -> Host:
    """What is installed, loaded once."""
    return Host()


def score_arrays(
    suite: str | Suite,
    *,
    pred: Any,
    listener: Any,
    speaker: Any,
    appropriate: Any = None,
    lengths: Any = None,
    space: MotionSpace | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    **others: Any,
) -> dict[str, float]:
    """The metrics of a suite by name: every column that the tables have, in their order.

    Args:
        suite: the name of an installed suite, your own among them (`dyadbench list suites`), or a suite itself.
            "l2l-readings" gives every reading of Learning2Listen's metrics that is in print
            (`dyadbench.metrics.l2l.readings.score_l2l`, which takes more options); several samples are averaged.
        pred: (N, K, T, C), or (N, T, C) where there is one sample: N clips, K samples, T frames, C channels, which are
            the 25 emotion channels or the motion channels, whichever the suite scores.
        listener: (M, T, C) true listeners, M = N but where `appropriate` names more listeners than there are clips.
        speaker: (N, T, C).
        appropriate: (N or more, M or more), where 1 marks an appropriate listener; the REACT suites need it.
        lengths: (N,) or (M,) frames of each clip, where they are padded; default: all T.
        space: the motion space, for motion that is neither faceverse-58 (58 channels, 25 frames a second) nor deca-56 (56
            channels, 30), and for emotion that does not have 25 frames a second: the suites over-time and realism count seconds.
        threads: CPU threads; they never change a number.

    Arrays are numpy arrays or tensors of any number type on any device; half precision and the like count as
    `.astype(float32)`. An undefined metric is NaN. Predictions on a CUDA device are scored there by the REACT suites, to the
    same numbers. Raises ValueError with one sentence for bad shapes, NaN or infinity (the official suite takes them in
    `pred`, as the published code does), a row without an appropriate listener, or a matrix with fewer rows than clips, of
    which the published code would silently score the first rows only.

    >>> rng = np.random.default_rng(0)
    >>> listener, speaker = rng.random((2, 3, 60, 25))
    >>> scores = score_arrays("react2024", pred=listener, listener=listener, speaker=speaker, appropriate=np.eye(3))
    >>> round(scores["FRCorr"], 6), scores["FRDist"]
    (1.0, 0.0)
    """
    if others:
        name = next(iter(others))
        reason = (
            f"is called {SPELLING[name]!r} here, for every suite" if name in SPELLING else "is none of its arguments"
        )
        raise ValueError(
            f"{name!r} {reason}; score_arrays takes pred, listener, speaker, appropriate, lengths and space"
        )
    if suite == READINGS:
        return _readings(pred, listener, speaker, lengths)
    if not isinstance(threads, Integral) or threads < 1:
        raise ValueError(f"threads is {threads!r}; it must be 1 or more, a whole number")
    if space is not None and not isinstance(space, MotionSpace):
        raise ValueError(f"space is {space!r}; a MotionSpace is expected, for example dyadbench.api.DECA_56")
    evaluator = _suite(suite) if isinstance(suite, str) else suite
    data = _evaluation(evaluator, suite, pred, listener, speaker, appropriate, lengths, space, threads)
    results = evaluator.evaluate(data, progress)
    values = {column.id: results[column.id].value for column in evaluator.columns}
    return {name: float("nan") if value is None else float(value) for name, value in values.items()}


def _suite(name: str) -> Suite:
    try:
        suite: Suite = plugins().build("suite", name, {})
    except DyadbenchError as error:
        raise ValueError(str(error)) from None
    return suite


def _evaluation(
    suite: Suite, name: str | Suite, pred: Any, listener: Any, speaker: Any, appropriate: Any, lengths: Any,
    space: MotionSpace | None, threads: int,
) -> Evaluation:  # fmt: skip
    """What the suite looks at; raises ValueError with what is wrong."""
    gpu = bool(getattr(pred, "is_cuda", False)) and suite.space == "emotion"
    pred = pred.detach() if gpu else pred if isinstance(pred, LazyTensor) else floats(pred, "pred")
    if len(pred.shape) == 3:
        pred = (pred.whole() if isinstance(pred, LazyTensor) else pred)[:, None]  # (N, 1, T, C)
    others = {"listener": floats(listener, "listener"), "speaker": floats(speaker, "speaker")}
    channels = EMOTION_DIM if suite.space == "emotion" else _channels(space, others["listener"])
    _demand_shapes(pred, others, channels)
    count = max(len(pred), len(others["listener"]))
    frames = frames_of(lengths, len(pred), count, pred.shape[2])
    nan_allowed = ("pred",) if name in NAN_ALLOWED else ()
    for what, array in {**others, "pred": pred}.items():
        if what not in nan_allowed:
            demand_finite(array, what, frames)
    matrix = (
        None if appropriate is None else _matrix(floats(appropriate, "appropriate"), len(pred), len(others["listener"]))
    )
    motion = suite.space == "motion"
    return Evaluation(
        clips=tuple(map(str, range(len(pred)))),
        lengths=frames,
        space=space or SPACES.get(channels, FACEVERSE_58),
        predicted_motion=pred if motion else None,
        predicted_emotion=None if motion else pred,
        listener_motion=others["listener"] if motion else None,
        speaker_motion=others["speaker"] if motion else None,
        listener_emotion=None if motion else others["listener"],
        speaker_emotion=None if motion else others["speaker"],
        appropriate=matrix,
        threads=threads,
        device=str(pred.device) if gpu else "cpu",
    )


def _channels(space: MotionSpace | None, listener: NDArray[Any]) -> int:
    channels = int(listener.shape[-1]) if listener.ndim else 0
    if space is None and channels not in SPACES:
        raise ValueError(
            f"listener has {channels} channels, which are neither faceverse-58 nor deca-56; say what they are with space=MotionSpace(...)"
        )
    return channels if space is None else space.dim


def _demand_shapes(pred: Any, others: dict[str, NDArray[Any]], channels: int) -> None:
    shape = tuple(pred.shape)
    if len(shape) != 4 or shape[3] != channels or 0 in shape:
        raise ValueError(f"pred has shape {shape}; (clips, samples, frames, {channels}) is expected")
    for name, array in others.items():
        if array.ndim != 3 or array.shape[2] != channels:
            raise ValueError(f"{name} has shape {array.shape}; (clips, frames, {channels}) is expected")
        if array.shape[1] != shape[2]:
            raise ValueError(f"{name} has {array.shape[1]} frames and pred {shape[2]}; cut them to one length")
    if len(others["speaker"]) != shape[0]:
        raise ValueError(f"speaker has {len(others['speaker'])} clips and pred {shape[0]}")
    if len(others["listener"]) < shape[0]:
        raise ValueError(f"listener has {len(others['listener'])} clips and pred {shape[0]}")


def frames_of(lengths: Any, clips: int, listeners: int, frames: int) -> NDArray[np.int64]:
    """(listeners,) frames of each clip."""
    if lengths is None:
        return np.full(listeners, frames, np.int64)
    counts = np.asarray(lengths.detach().cpu() if hasattr(lengths, "detach") else lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) not in (clips, listeners):
        raise ValueError(
            f"lengths has {counts.dtype} of shape {counts.shape}; {clips} whole numbers are expected, one per clip"
        )
    if counts.min() < 1 or counts.max() > frames:
        raise ValueError(f"lengths goes from {counts.min()} to {counts.max()}; 1 to {frames} frames are possible")
    rest = np.full(listeners - len(counts), frames, np.int64)  # listeners that belong to no clip are not padded
    return np.concatenate([counts.astype(np.int64), rest])


def _matrix(appropriate: NDArray[Any], clips: int, listeners: int) -> NDArray[np.bool_]:
    """(clips, listeners): who is appropriate. Raises ValueError with what is wrong."""
    if appropriate.ndim != 2:
        raise ValueError(f"appropriate has shape {appropriate.shape}; a matrix of clips by listeners is expected")
    if len(appropriate) < clips:
        raise ValueError(f"appropriate has {len(appropriate)} rows for {clips} clips; every clip needs its row")
    matrix = np.zeros((clips, listeners), bool)
    for n, row in enumerate(appropriate[:clips]):
        marked = np.flatnonzero(row == 1)  # exactly 1, as the official code
        if not len(marked):
            raise ValueError(f"row {n} of appropriate marks no listener with 1; every clip needs at least one")
        if marked[-1] >= listeners:
            raise ValueError(f"row {n} of appropriate names listener {marked[-1]}, but there are {listeners}")
        matrix[n, marked] = True
    return matrix


def _readings(pred: Any, listener: Any, speaker: Any, lengths: Any) -> dict[str, float]:
    """Every reading of Learning2Listen's metrics, mean over the samples."""
    from dyadbench.metrics.l2l.readings import score_l2l

    motion = floats(pred.whole() if isinstance(pred, LazyTensor) else pred, "pred")
    samples = [motion[:, k] for k in range(motion.shape[1])] if motion.ndim == 4 else [motion]
    readings = [score_l2l(sample, listener, speaker, lengths) for sample in samples]
    return {name: float(np.mean([each[name] for each in readings])) for name in readings[0]}

"""Scores for people who only want the numbers: numpy or torch arrays in, official numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.api import FACEVERSE_58, Evaluation, Progress
from dyadbench.files.arrays import demand_finite, floats
from dyadbench.files.predictions import LazyTensor

REACT = ("react2024-official", "react2024")
SPELLING = {"target": "listener", "neighbour": "appropriate", "neighbours": "appropriate"}  # what others call them


def score_arrays(suite: str, *, threads: int = 1, progress: Progress | None = None, **arrays: Any) -> dict[str, float]:
    """The metrics of `suite` by name.

    Args:
        suite: "react2024-official" or "react2024" on the 25 emotion channels, or "l2l" on 56 motion coefficients.
        arrays: numpy arrays or tensors of any number type; half precision and the like count as `.astype(float32)`.
            For the REACT suites `pred` (N, K, T, 25), `listener` (M, T, 25), `speaker` (N, T, 25) and `appropriate`
            (N or more, M or more), where 1 marks an appropriate listener. For "l2l" `pred`, `listener` and `speaker`
            (N, T, 56), or (sum of lengths, 56) together with `lengths` (N,), and what `score_l2l` takes besides.
        threads: CPU threads; they never change a number.

    An undefined metric is NaN. Predictions that are a tensor on a CUDA device are scored there, to the same numbers.
    Raises ValueError with one sentence for bad shapes, NaN or infinity (the official suite takes them in `pred`, as the
    published code does), a row without an appropriate listener, or a matrix with fewer rows than clips, of which the
    published code would silently score the first rows only.
    """
    if suite not in (*REACT, "l2l"):
        raise ValueError(f"there is no array suite {suite!r}; there are {', '.join((*REACT, 'l2l'))}")
    if other := next((name for name in arrays if name in SPELLING), None):
        raise ValueError(f"{other!r} is called {SPELLING[other]!r} here, for every suite")
    if suite == "l2l":
        from dyadbench.metrics.l2l.readings import score_l2l

        _demand(suite, arrays, ("pred", "listener", "speaker"), ("lengths", "centroids", "train", "fit", "seed"))
        return score_l2l(arrays.pop("pred"), arrays.pop("listener"), arrays.pop("speaker"), **arrays)
    _demand(suite, arrays, ("pred", "listener", "speaker", "appropriate"))
    listener, speaker = (floats(arrays[name], name) for name in ("listener", "speaker"))
    pred = arrays["pred"].detach() if _on_gpu(arrays["pred"]) else _kept_on_disk(arrays["pred"])
    rows = _checked(pred, listener, speaker, floats(arrays["appropriate"], "appropriate"))
    for name, array in (("listener", listener), ("speaker", speaker), *[("pred", pred)] * (suite == "react2024")):
        demand_finite(array, name)
    return _evaluate(suite, pred, listener, speaker, rows, threads, progress)


def _demand(suite: str, arrays: dict[str, Any], needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """Raises ValueError where an array is missing, or one is there that the suite does not take."""
    missing = [name for name in needed if name not in arrays]
    strange = [name for name in arrays if name not in (*needed, *optional)]
    if missing or strange:
        what = f"{missing[0]!r} is missing" if missing else f"{strange[0]!r} is none of them"
        raise ValueError(f"{suite} takes {', '.join((*needed, *optional))}; {what}")


def _on_gpu(value: Any) -> bool:
    return bool(getattr(value, "is_cuda", False))


def _kept_on_disk(value: Any) -> Any:
    """Numbers; what is read from disk clip by clip stays there."""
    return value if isinstance(value, LazyTensor) else floats(value, "pred")


def _checked(pred: np.ndarray, listener: np.ndarray, speaker: np.ndarray, appropriate: np.ndarray) -> list[list[int]]:
    """The appropriate listeners of every clip; raises ValueError with what is wrong."""
    if len(pred.shape) != 4 or pred.shape[3] != 25 or 0 in pred.shape:
        raise ValueError(f"pred has shape {pred.shape}; (clips, samples, frames, 25) is expected")
    clips, _, frames, _ = pred.shape
    for name, array in (("listener", listener), ("speaker", speaker)):
        if array.ndim != 3 or array.shape[2] != 25:
            raise ValueError(f"{name} has shape {array.shape}; (clips, frames, 25) is expected")
        if array.shape[1] != frames:
            raise ValueError(f"{name} has {array.shape[1]} frames and pred {frames}; cut them to one length")
    if len(speaker) != clips:
        raise ValueError(f"speaker has {len(speaker)} clips and pred {clips}")
    if appropriate.ndim != 2:
        raise ValueError(f"appropriate has shape {appropriate.shape}; a matrix of clips by listeners is expected")
    if len(appropriate) < clips:
        raise ValueError(f"appropriate has {len(appropriate)} rows for {clips} clips; every clip needs its row")
    rows = [np.flatnonzero(row == 1).tolist() for row in appropriate[:clips]]  # exactly 1, as the official code
    for n, row in enumerate(rows):
        if not row:
            raise ValueError(f"row {n} of appropriate marks no listener with 1; every clip needs at least one")
        if row[-1] >= len(listener):
            raise ValueError(f"row {n} of appropriate names listener {row[-1]}, but there are {len(listener)}")
    return rows


def _evaluate(
    suite: str, pred: Any, listener: np.ndarray, speaker: np.ndarray, rows: list[list[int]], threads: int,
    progress: Progress | None,
) -> dict[str, float]:  # fmt: skip
    matrix = np.zeros((len(pred), len(listener)), bool)
    for n, row in enumerate(rows):
        matrix[n, row] = True
    data = Evaluation(
        clips=tuple(map(str, range(len(pred)))),
        lengths=np.full(max(len(pred), len(listener)), pred.shape[2]),
        space=FACEVERSE_58,
        predicted_motion=None,
        predicted_emotion=pred,
        listener_motion=None,
        speaker_motion=None,
        listener_emotion=listener,
        speaker_emotion=speaker,
        appropriate=matrix,
        threads=threads,
        device=str(pred.device) if _on_gpu(pred) else "cpu",
    )
    from dyadbench.metrics.react.suites import ReactOfficialSuite, ReactSuite

    made: ReactOfficialSuite | ReactSuite = ReactSuite() if suite == "react2024" else ReactOfficialSuite()
    results = made.evaluate(data, progress)
    return {name: float("nan") if result.value is None else result.value for name, result in results.items()}

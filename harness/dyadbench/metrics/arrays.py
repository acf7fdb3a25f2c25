"""Scores for people who only want the numbers: numpy or torch arrays in, official numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.api import Progress
from dyadbench.files.predictions import LazyTensor

REACT = ("react2024-official", "react2024")


def _on_gpu(value: Any) -> bool:
    return bool(getattr(value, "is_cuda", False))


def _array(value: Any, name: str) -> Any:
    """A float array; what is read from disk clip by clip (predictions.LazyTensor) stays there."""
    if isinstance(value, LazyTensor):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {array.dtype}; numbers are wanted")
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def score_arrays(suite: str, *, threads: int = 1, progress: Progress | None = None, **arrays: Any) -> dict[str, float]:
    """The metrics of `suite` by name.

    "react2024-official" and "react2024": pred (N, K, T, 25), listener (M, T, 25), speaker (N, T, 25), appropriate
    (N or more, N or more) where 1 marks an appropriate listener. "l2l": pred, target, speaker (N, T, 56) or (sum of
    lengths, 56), and lengths. An undefined metric is NaN. Raises ValueError with one sentence for bad shapes, a row
    without an appropriate listener, or a matrix with fewer rows than clips (the official code would silently score
    the first rows only). Predictions that are a tensor on a CUDA device are scored there, to the same numbers.
    """
    if suite == "l2l":
        from dyadbench.metrics.l2l.readings import score_l2l

        return score_l2l(**arrays)
    if suite not in REACT:
        raise ValueError(f"there is no array suite {suite!r}; there are {', '.join((*REACT, 'l2l'))}")
    missing = [name for name in ("pred", "listener", "speaker", "appropriate") if name not in arrays]
    if missing or len(arrays) > 4:
        raise ValueError(
            f"{suite} takes pred, listener, speaker and appropriate; {'missing: ' + missing[0] if missing else 'more were given'}"
        )
    listener, speaker = (_array(arrays[name], name) for name in ("listener", "speaker"))
    pred = arrays["pred"].detach() if _on_gpu(arrays["pred"]) else _array(arrays["pred"], "pred")
    appropriate = np.asarray(
        arrays["appropriate"].detach().cpu() if hasattr(arrays["appropriate"], "detach") else arrays["appropriate"]
    )
    rows = _checked(pred, listener, speaker, appropriate)
    if suite == "react2024":
        _refuse_undefined(pred)
    found = _evaluate(suite, pred, listener, speaker, rows, threads, progress)
    names = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
    return {name: found[name] for name in names} if suite == "react2024-official" else found


def _checked(pred: np.ndarray, listener: np.ndarray, speaker: np.ndarray, appropriate: np.ndarray) -> list[list[int]]:
    """The appropriate listeners of every clip; raises ValueError with what is wrong."""
    if len(pred.shape) != 4 or pred.shape[3] != 25 or 0 in pred.shape:
        raise ValueError(f"pred has shape {pred.shape}; (clips, samples, frames, 25) is wanted")
    clips, _, frames, _ = pred.shape
    for name, array in (("listener", listener), ("speaker", speaker)):
        if array.ndim != 3 or array.shape[2] != 25:
            raise ValueError(f"{name} has shape {array.shape}; (clips, frames, 25) is wanted")
        if array.shape[1] != frames:
            raise ValueError(f"{name} has {array.shape[1]} frames and pred {frames}; cut them to one length")
    if len(speaker) != clips:
        raise ValueError(f"speaker has {len(speaker)} clips and pred {clips}")
    if appropriate.ndim != 2:
        raise ValueError(f"appropriate has shape {appropriate.shape}; a matrix of clips by listeners is wanted")
    if len(appropriate) < clips:
        raise ValueError(f"appropriate has {len(appropriate)} rows for {clips} clips; every clip needs its row")
    rows = [np.flatnonzero(row == 1).tolist() for row in appropriate[:clips]]  # exactly 1, as the official code
    for n, row in enumerate(rows):
        if not row:
            raise ValueError(f"row {n} of appropriate marks no listener with 1; every clip needs at least one")
        if row[-1] >= len(listener):
            raise ValueError(f"row {n} of appropriate names listener {row[-1]}, but there are {len(listener)}")
    return rows


def _refuse_undefined(pred: Any) -> None:
    for clip in range(len(pred)):
        if not (pred[clip].isfinite() if _on_gpu(pred) else np.isfinite(pred[clip])).all():
            raise ValueError(
                f"pred holds NaN or infinity in clip {clip}; the corrected suite scores finite predictions only"
            )


def _evaluate(
    suite: str, pred: Any, listener: np.ndarray, speaker: np.ndarray, rows: list[list[int]], threads: int,
    progress: Progress | None,
) -> dict[str, float]:  # fmt: skip
    from dyadbench.api import FACEVERSE_58, Evaluation
    from dyadbench.metrics.react import suites as react_suites

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
    official = suite == "react2024-official"
    made: react_suites.ReactOfficialSuite | react_suites.ReactSuite = (
        react_suites.ReactOfficialSuite() if official else react_suites.ReactSuite()
    )
    results = made.evaluate(data, progress)
    return {name: float("nan") if result.value is None else result.value for name, result in results.items()}

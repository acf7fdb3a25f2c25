"""What the REACT suites need of an evaluation on a CUDA device, many clips at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import Evaluation, Progress
from dyadbench.metrics.react import gpu, gpu_frdist
from dyadbench.metrics.react.closed_form import demand_one_length
from dyadbench.metrics.react.frdist import frdist as frdist_of_clip

MEMORY = 2**31  # bytes of predictions on the device at a time
Clips = tuple[Tensor, np.ndarray]  # (N, ..., T, C), zero after each clip's frames, and those


@dataclass(frozen=True)
class Chunk:
    """Clips `rows` of an evaluation."""

    rows: range
    frames: np.ndarray  # (n,)
    pred: Tensor  # (n, K, T, C)
    speaker: Tensor  # (n, T, C)
    pairs: np.ndarray  # (P, 2): a clip, counted from the chunk's first, and a listener appropriate to it


def _tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _stacked(values: Any, rows: range, frames: np.ndarray, device: str) -> Tensor:
    """Clips `rows` of an array-like, cut to their frames and padded with zeros."""
    *lead, _, channels = values[rows[0]].shape
    kind = torch.promote_types(_tensor(values[rows[0]]).dtype, torch.float32)
    out = torch.zeros(len(rows), *lead, int(frames.max()), channels, dtype=kind, device=device)
    for place, row, length in zip(out, rows, frames.tolist(), strict=True):
        place[..., :length, :] = _tensor(values[row])[..., :length, :]
    return out


class Loaded:
    """An evaluation's tracks on its device; its predictions a chunk at a time."""

    def __init__(self, data: Evaluation):
        assert data.appropriate is not None
        self.data, self.count = data, len(data.clips)
        self.frames = np.asarray(data.lengths)
        everyone = range(len(data.listener_emotion))
        self.listeners = _stacked(data.listener_emotion, everyone, self.frames[: len(everyone)], data.device)
        self.step = max(1, MEMORY // (4 * int(np.prod(data.predicted_emotion[0].shape))))
        empty = np.flatnonzero(~np.asarray(data.appropriate).any(1))
        if len(empty):
            raise ValueError(f"clip {data.clips[empty[0]]} has no appropriate listener; every clip needs at least one")
        self._last: Chunk | None = None

    def chunks(self) -> Iterator[Chunk]:
        for first in range(0, self.count, self.step):
            rows = range(first, min(first + self.step, self.count))
            if self._last is None or self._last.rows != rows:
                self._last = None  # make room first
                self._last = self._chunk(rows)
            yield self._last

    def _chunk(self, rows: range) -> Chunk:
        assert self.data.appropriate is not None
        frames = self.frames[rows.start : rows.stop]
        pairs = np.argwhere(self.data.appropriate[rows.start : rows.stop])
        pred, speaker = (
            _stacked(values, rows, frames, self.data.device)
            for values in (self.data.predicted_emotion, self.data.speaker_emotion)
        )
        return Chunk(rows, frames, pred, speaker, pairs)

    def own(self, chunk: Chunk) -> Clips:
        """The clips' own listeners, as predictions of one sample."""
        return self.listeners[chunk.rows.start : chunk.rows.stop, None], chunk.frames


def loaded(data: Evaluation) -> Loaded:
    if "gpu" not in data.memo:
        data.memo["gpu"] = Loaded(data)
    tensors = data.memo["gpu"]
    assert isinstance(tensors, Loaded)
    return tensors


def frdist(data: Evaluation, progress: Progress | None) -> np.ndarray:
    """(N, K): `frdist` of every clip."""
    chunks, inputs = [], loaded(data)
    for chunk in inputs.chunks():
        chunks.append(_distances(chunk, inputs))
        if progress:
            progress(chunk.rows.stop, inputs.count)
    return np.concatenate(chunks)


def _distances(chunk: Chunk, inputs: Loaded) -> np.ndarray:
    n, k, frames, channels = chunk.pred.shape
    device = chunk.pred.device
    x, y = chunk.pred.reshape(n * k, frames, channels).float(), inputs.listeners.float()
    sound_x, sound_y = (v.isfinite().all(2).all(1) for v in (x, y))
    clip, listener = torch.from_numpy(chunk.pairs).to(device).T
    x_of = (clip[:, None] * k + torch.arange(k, device=device)).flatten()
    y_of = listener.repeat_interleave(k)
    bad = ~sound_x
    bad[x_of[~sound_y[y_of]]] = True
    keep = ~bad[x_of]
    x_frames = torch.from_numpy(np.repeat(chunk.frames, k)).to(device)
    y_frames = torch.from_numpy(inputs.frames[: len(y)]).to(device)
    x, y = (torch.where(sound[:, None, None], v, 0.0) for v, sound in ((x, sound_x), (y, sound_y)))
    distances = gpu_frdist.nearest(x, y, x_frames, y_frames, x_of[keep], y_of[keep]).reshape(n, k)
    for i, j in np.argwhere(bad.cpu().numpy().reshape(n, k)):  # NaN and infinity: as frdist has it
        pred = chunk.pred[i, j, : chunk.frames[i]].cpu().numpy()
        near = [inputs.listeners[m, : inputs.frames[m]].cpu().numpy() for m in chunk.pairs[chunk.pairs[:, 0] == i, 1]]
        distances[i, j] = frdist_of_clip(pred[None], near)[0]
    return distances


def _by_length(work: Callable[..., Tensor], frames: np.ndarray, values: int, *clips: Tensor) -> np.ndarray:
    """(N,) `work` on clips (N, ..., T, C) of one length at a time, cut to it."""
    out = np.empty(len(frames))
    for length, chosen in gpu.alike(frames, values):
        of = torch.from_numpy(chosen).to(clips[0].device)
        out[chosen] = work(*(v[of, ..., :length, :] for v in clips)).cpu().numpy()
    return out


def _moments(x: Tensor, frames: np.ndarray) -> dict[str, np.ndarray]:
    size = x.shape[1] * x.shape[3]
    spread = _by_length(lambda v: gpu.diversity(v, v.shape[1]), frames, size, x)
    return {"FRDiv": spread, "FRVar": _by_length(gpu.variance, frames, size, x)}


def _common(chunk: Chunk, inputs: Loaded) -> np.ndarray:
    return np.minimum(chunk.frames[chunk.pairs[:, 0]], inputs.frames[chunk.pairs[:, 1]])


def _lags(work: Callable[..., Tensor], x: Tensor, chunk: Chunk) -> np.ndarray:
    """(n, K) `work` on every sample (n, K, T, C) and its clip's speaker."""
    k = x.shape[1]
    offsets = [_by_length(work, chunk.frames, 4 * x.shape[3], x[:, i], chunk.speaker) for i in range(k)]
    return np.stack(offsets, 1)


def official(data: Evaluation) -> dict[str, np.ndarray]:
    """(N,) values of the clips: what `suites.official_clip` gives.

    Raises ValueError where a clip and a listener appropriate to it differ in length.
    """
    inputs = loaded(data)
    return _joined([_official(chunk, inputs) for chunk in inputs.chunks()])


def _official(chunk: Chunk, inputs: Loaded) -> dict[str, np.ndarray]:
    unequal = np.flatnonzero(chunk.frames[chunk.pairs[:, 0]] != inputs.frames[chunk.pairs[:, 1]])
    if len(unequal):
        clip, listener = chunk.pairs[unequal[0]]
        demand_one_length(int(chunk.rows[clip]), int(chunk.frames[clip]), {int(listener): int(inputs.frames[listener])})
    common = _common(chunk, inputs)
    frcorr = gpu.frcorr(chunk.pred, inputs.listeners, chunk.pairs, common, corrected=False)
    lags = _lags(gpu.official_offsets, chunk.pred[:, :1], chunk)
    return {"FRCorr": frcorr.cpu().numpy(), "FRSyn": lags[:, 0], **_moments(chunk.pred, chunk.frames)}


def corrected(data: Evaluation) -> dict[str, np.ndarray]:
    """(N,) values of the clips as `suites.ReactSuite` defines them; "no lag" counts samples without an FRSyn."""
    inputs = loaded(data)
    return _joined([_corrected(chunk, inputs) for chunk in inputs.chunks()])


def _corrected(chunk: Chunk, inputs: Loaded) -> dict[str, np.ndarray]:
    common, (own, _) = _common(chunk, inputs), inputs.own(chunk)
    frcorr = gpu.frcorr(chunk.pred, inputs.listeners, chunk.pairs, common, corrected=True)
    lags = _lags(gpu.best_lags, chunk.pred, chunk)
    defined = ~np.isnan(lags)
    with np.errstate(invalid="ignore"):
        frsyn = np.where(defined, lags, 0.0).sum(1) / defined.sum(1)
    return {
        "FRCorr": frcorr.cpu().numpy(),
        "FRSyn": frsyn,
        "no lag": (~defined).sum(1).astype(np.float64),
        "FRDiv_target": _set_diversity(chunk, inputs),
        "FRVar_target": _by_length(gpu.variance, chunk.frames, own.shape[3], own),
        "FRSyn_target": _lags(gpu.best_lags, own, chunk)[:, 0],
        **_moments(chunk.pred, chunk.frames),
    }


def _set_diversity(chunk: Chunk, inputs: Loaded) -> np.ndarray:
    """(n,) diversity within the appropriate set over the frames that all have; NaN for a set of one."""
    (_, near), frames = gpu.table(chunk.pairs), np.full(len(chunk.rows), np.iinfo(np.int64).max)
    np.minimum.at(frames, chunk.pairs[:, 0], inputs.frames[chunk.pairs[:, 1]])
    size = np.bincount(chunk.pairs[:, 0])
    out = np.empty(len(frames))
    for length, chosen in gpu.alike(frames, near.shape[1] * inputs.listeners.shape[2]):
        of, count = (torch.from_numpy(v[chosen]).to(inputs.listeners.device) for v in (near, size))
        out[chosen] = gpu.diversity(inputs.listeners[of, :length], count).cpu().numpy()
    return np.where(size > 1, out, np.nan)


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def spread(data: Evaluation, *, target: bool) -> tuple[float, np.ndarray]:
    """FRDvs of the predictions, or of the true listeners, and its pseudo-values: `frdvs.spread_of`."""
    from dyadbench.metrics.react.frdvs import spread as combine

    inputs = loaded(data)
    shortest = int(inputs.frames[: inputs.count].min())

    def parts() -> Iterator[Tensor]:
        for chunk in inputs.chunks():
            clips = inputs.own(chunk)[0] if target else chunk.pred
            for part in clips.split(max(1, gpu.VALUES // max(1, clips[0].numel()))):
                yield part[:, :, :shortest].double()

    origin = next(parts())[0].clone()  # a common origin keeps large offsets out of the squares
    squares, total = [], torch.zeros_like(origin)
    for part in parts():
        d = part - origin
        total += d.sum(0)
        squares.append(d.square().sum((1, 2, 3)))

    def cross() -> np.ndarray:
        return torch.cat([((part - origin) * total).sum((1, 2, 3)) for part in parts()]).cpu().numpy()

    return combine(torch.cat(squares).cpu().numpy(), cross, float(total.square().sum()), total.numel())

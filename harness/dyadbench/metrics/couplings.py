"""How strongly two people of a dataset move together, before anything is learnt: what a method has to beat.

A row of the table is the concordance correlation (CCC) of something with the true listener, by channel, as a mean over
the clips of all splits: of a copy of the speaker, of copies that are late (the first frame is repeated until then), of
the listeners of other sessions, and of the same person at other times. The last two are means over *all* such pairs of
clips, so that nothing is random. CCC has moments of ddof 0 and 1e-8 in its denominator; a channel that is constant
counts 0. Tables made with numpy's defaults divide the covariance by T - 1 and the variances by T, which makes every
number T / (T - 1) times as large; `sample_covariance` gives those.

The last two rows are Pearson correlations: of the two people of a clip, and of all pseudo pairs, a speaker and a listener
of two different sessions. They tell how much of the agreement is the conversation's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.api import Dataset, DyadbenchError, KnowsListeners
from dyadbench.metrics.react.closed_form import ccc

LATE = (0.5, 1.0, 2.0)  # seconds
SPLITS = ("train", "val", "test")


def couplings(dataset: Dataset, *, sample_covariance: bool = False) -> Mapping[str, np.ndarray]:
    """Row -> CCC (D,) with the true listener, mean over clips, then two rows of correlations. Clips are compared over the frames that both have.

    The row of the same person is left out where the dataset does not know its listeners, or where nobody is filmed
    twice. Raises DyadbenchError where there are no clips.
    """
    speakers, listeners, sessions, people = _read(dataset)
    if not listeners:
        raise DyadbenchError("the dataset has no clips, so nothing can be coupled")
    rows = {"copy of the speaker": _own(speakers, listeners, 0, sample_covariance)}
    for seconds in LATE:
        rows[f"copy {seconds:g} s late"] = _own(
            speakers, listeners, round(seconds * dataset.space.fps), sample_covariance
        )
    if (elsewhere := sessions[:, None] != sessions).any():
        rows["a listener of another session"] = _others(listeners, elsewhere, sample_covariance)
    if people is not None and (again := (people[:, None] == people) & ~np.eye(len(people), dtype=bool)).any():
        rows["the same person at another time"] = _others(listeners, again, sample_covariance)
    rows["correlation of the two people"] = np.mean(
        [_correlations(speaker[None], true)[0] for speaker, true in zip(speakers, listeners, strict=True)], axis=0
    )
    if elsewhere.any():
        rows["correlation of people of two sessions"] = _pseudo_pairs(speakers, listeners, elsewhere)
    return rows


def _read(dataset: Dataset) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray | None]:
    """Speakers and listeners, each (T, D), their sessions (N,), and the listeners' names (N,) where they are known."""
    speakers, listeners, sessions = [], [], []
    people: list[str] | None = [] if isinstance(dataset, KnowsListeners) else None
    for split in SPLITS:
        clips = dataset.clips(split)
        for index, clip in enumerate(clips):
            dyad = dataset.dyad(split, index)
            speakers.append(dyad.speaker.motion)
            listeners.append(dyad.listener.motion)
            sessions.append(clip.session)
        if people is not None and isinstance(dataset, KnowsListeners):
            names = dataset.listeners(split) if clips else []
            people = None if names is None else [*people, *names]
    return speakers, listeners, np.array(sessions), np.array(people) if people else None


def _own(speakers: Sequence[np.ndarray], listeners: Sequence[np.ndarray], late: int, sample: bool) -> np.ndarray:
    """(D,) of speakers `late` frames later with their own listeners."""
    copies = [speaker[np.maximum(np.arange(len(speaker)) - late, 0)] for speaker in speakers]
    return np.mean(
        [_ccc(copy[None], true[None], sample)[0, 0] for copy, true in zip(copies, listeners, strict=True)], axis=0
    )


def _pseudo_pairs(speakers: Sequence[np.ndarray], listeners: Sequence[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """(D,): Pearson correlation of each listener with every speaker of another session (pseudo pairs)."""
    total: Any = 0.0
    for n, listener in enumerate(listeners):
        others = [speakers[int(j)] for j in np.flatnonzero(pairs[n])]
        for frames in {len(other) for other in others}:
            total += _correlations(np.stack([other for other in others if len(other) == frames]), listener).sum(0)
    mean: np.ndarray = total / pairs.sum()
    return mean


def _correlations(speakers: np.ndarray, listener: np.ndarray) -> np.ndarray:
    """(J, D) of (J, T, D) with (T, D), over the frames that both have; a channel that is constant counts 0."""
    frames = min(speakers.shape[1], len(listener))
    x, y = (values[..., :frames, :].astype(np.float64) for values in (speakers, listener))
    x, y = x - x.mean(-2, keepdims=True), y - y.mean(-2, keepdims=True)
    size = np.sqrt((x**2).sum(1) * (y**2).sum(0))  # (J, D)
    constant = size < 1e-12
    r: np.ndarray = np.where(constant, 0.0, np.einsum("jtd,td->jd", x, y) / np.where(constant, 1.0, size))
    return r


def _others(listeners: Sequence[np.ndarray], pairs: np.ndarray, sample: bool) -> np.ndarray:
    """(D,) over the pairs of listeners that `pairs` (N, N) marks."""
    total: Any = 0.0
    for n in range(len(listeners)):
        others = [listeners[int(j)] for j in np.flatnonzero(pairs[n])]
        for frames in {len(other) for other in others}:
            alike = np.stack([other for other in others if len(other) == frames])
            total += _ccc(listeners[n][None], alike, sample).sum((0, 1))
    mean: np.ndarray = total / pairs.sum()
    return mean


def _ccc(pred: np.ndarray, true: np.ndarray, sample: bool) -> np.ndarray:
    """(K, J, D) of (K, T, D) with (J, T, D), over the frames that both have."""
    frames = min(pred.shape[1], true.shape[1])
    values = ccc(np.ascontiguousarray(pred[:, :frames]), np.ascontiguousarray(true[:, :frames]))[0]
    return values * frames / (frames - 1) if sample and frames > 1 else values

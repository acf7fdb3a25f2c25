"""Timing the metrics against the plain loops of their definitions and against tslearn, all in one process.

The data are made up: binary action units that hold for a second or so, drifting valence and arousal, expression
probabilities; no channel is constant. Plain loops are timed on one clip (the alignments on a few pairs) and scaled to
the number of clips, since they are linear in it; FRDvs, which is quadratic in clips, is timed whole. Seconds are the
processor's, so that what else a machine does matters less; a first call's are the clock's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dyadbench.api import DECA_56, EMOTION_DIM, FACEVERSE_58, Config, Evaluation
from dyadbench.bench.memory import PeakMemory
from dyadbench.leaderboard.stats import bootstrap
from dyadbench.metrics.l2l import shannon
from dyadbench.metrics.react import closed_form, frsyn, frsyn_kernels, reference
from dyadbench.metrics.react.frdist import frdist
from dyadbench.metrics.react.frdvs import spread_of
from dyadbench.metrics.react.suites import ReactOfficialSuite

K, FRAMES, NEIGHBOURS = 10, 750, 15
DENSITIES = (5, 15, 30, 60)
STARTED = """
import time
start = time.perf_counter()
import numpy
from dyadbench import score_arrays
x = numpy.random.default_rng(0).random((2, 2, 60, 25), numpy.float32)
score_arrays("react2024-official", pred=x, listener=x[:, 0], speaker=x[:, 1], appropriate=numpy.eye(2))
print(time.perf_counter() - start)
"""


class Row(Config):
    """One measurement. `ratio`: their seconds over ours; None where there is nothing to compare with."""

    metric: str
    ratio: float | None
    difference: float | None  # largest relative difference between the two results
    seconds: float  # ours
    peak_mb: float | None  # memory beyond what was held before; None where the system does not tell
    against: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Case:
    """pred (N, K, T, 25), listener (N, T, 25), speaker (N, T, 25); every clip has the same number of listeners."""

    pred: np.ndarray
    listener: np.ndarray
    speaker: np.ndarray
    rows: list[list[int]]


def made_up(rng: np.random.Generator, count: int, frames: int = FRAMES) -> np.ndarray:
    """(count, T, 25) float32."""
    hold_frames, slow = (frames // 20 + 2, frames // 50 + 2)
    units = np.repeat(rng.random((count, hold_frames, 15)) < 0.5, 20, 1)[:, :frames]
    affect = np.clip(np.cumsum(rng.standard_normal((count, frames, 2)) * 0.03, 1), -1, 1)
    faces = np.repeat(rng.dirichlet(np.ones(8), (count, slow)), 50, 1)[:, :frames]
    return np.concatenate([units, affect, faces], 2).astype(np.float32)


def made_up_case(clips: int, neighbours: int = NEIGHBOURS) -> Case:
    rng = np.random.default_rng(0)
    pool = made_up(rng, max(clips, neighbours))
    pred = np.stack([made_up(rng, K) for _ in range(clips)])
    rows = [sorted({(n + i) % len(pool) for i in range(neighbours)}) for n in range(clips)]
    return Case(pred, pool, made_up(rng, clips), rows)


def peak_of(call: Callable[[], Any]) -> tuple[Any, float, float | None]:
    """Result, seconds, and how many MB of memory the call needed on top. A short call is timed again: the median of five."""
    with PeakMemory() as peak:
        result, seconds = _timed(call)
    if seconds < 0.2:
        seconds = float(np.median([_timed(call)[1] for _ in range(5)]))
    return result, seconds, peak.extra_mb


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    return call(), time.process_time() - started


def _row(metric: str, ours: Callable[[], Any], theirs: tuple[Any, float] | None, *, scale: float = 1.0,
         part: Callable[[Any], Any] | None = None, against: str = "plain loops", detail: str = "") -> Row:  # fmt: skip
    """`theirs` is a result and its seconds, which `scale` brings to our size; `part` picks what both computed."""
    result, seconds, peak = peak_of(ours)
    if theirs is None:
        return Row(metric=metric, ratio=None, difference=None, seconds=seconds, peak_mb=peak, detail=detail)
    expected, spent = theirs
    mine = np.asarray(part(result) if part else result, np.float64)
    difference = float(np.max(np.abs(mine - expected) / np.maximum(np.abs(expected), 1e-12)))
    return Row(metric=metric, ratio=spent * scale / seconds, difference=difference, seconds=seconds, peak_mb=peak,
               against=against, detail=detail)  # fmt: skip


def versions() -> dict[str, str]:
    """What the figures depend on."""
    import importlib.metadata
    import platform

    versions_by_name = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("numpy", "numba", "scipy", "tslearn", "scikit-learn"):
        try:
            versions_by_name[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions_by_name[name] = "missing"
    return versions_by_name


def _pairs(x: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, float, str]:
    """Distances of x (T, 25) to each listener by tslearn, or by plain loops; seconds a pair; which of the two."""
    distance, name = reference.distance, "plain loops (tslearn is not installed)"
    try:
        from tslearn.metrics import dtw
    except ImportError:
        pass
    else:

        def distance(x: np.ndarray, y: np.ndarray) -> float:
            return float(sum(w * dtw(x[:, a:b], y[:, a:b]) for a, b, w in reference.GROUPS))

        name = "tslearn"
        distance(x, listeners[0])  # compiled
    distances, seconds = _timed(lambda: np.array([distance(x, y) for y in listeners]))
    return distances, seconds / len(listeners), name


def _frdist(case: Case, pairs: int) -> Row:
    clips = len(case.pred)

    def ours() -> np.ndarray:
        return np.array([frdist(case.pred[n], list(case.listener[case.rows[n]])) for n in range(clips)])

    theirs, seconds, against = _pairs(case.pred[0, 0], case.listener[case.rows[0]])
    frdist(case.pred[0, :1, :60], list(case.listener[:1, :60]))  # compiled
    count = clips * K * pairs
    row = _row("FRDist", ours, (theirs.min(), seconds), scale=count, part=lambda result: result[0, 0], against=against)
    return row.model_copy(update={"detail": f"{row.seconds / count * 1e6:.0f} us a pair, {pairs} neighbours"})


def metric_rows(clips: int) -> Iterator[Row]:
    """Every metric at `clips` clips of K = 10 samples, 750 frames, 15 neighbours, on one thread."""
    case = made_up_case(clips)
    pred, speaker = case.pred, case.speaker
    near = [case.listener[row] for row in case.rows]
    closed_form.ccc(pred[0, :2], near[0])
    wave = np.sin(np.arange(FRAMES)[:, None] * (np.pi / 10) + np.arange(EMOTION_DIM)).astype(np.float32)
    offsets(wave[None], wave)  # a tie between lags: what decides ties is compiled, too
    closed_form.moments(pred[0])
    _published_moments(pred[:2, :, :9])  # torch is imported
    yield _frdist(case, NEIGHBOURS)
    yield _row(
        "FRCorr",
        lambda: [float(closed_form.ccc(pred[n], near[n])[0].mean(2).max(1).sum()) for n in range(clips)],
        _timed(lambda: reference.frcorr(pred[:1], case.listener, case.rows[:1])),
        scale=clips, part=lambda result: result[0],
    )  # fmt: skip
    yield _row(
        "FRSyn, all samples",
        lambda: [offsets(pred[n], speaker[n]) for n in range(clips)],
        _timed(lambda: reference.frsyn(pred[:1], speaker[:1], samples=2)),
        scale=clips * K / 2, part=lambda result: np.mean(result[0][:2]),
    )  # fmt: skip
    yield _row(
        "FRDiv + FRDvs + FRVar",
        lambda: [*np.mean([closed_form.moments(x) for x in pred], 0), spread_of(clips, lambda n: pred[n])[0]],
        _timed(lambda: _published_moments(pred)), against="torch, as published",
    )  # fmt: skip
    yield _suite(case)


def offsets(pred: np.ndarray, speaker: np.ndarray) -> list[int]:
    """The official lag of each prediction of one clip: pred (K, T, 25), speaker (T, 25)."""
    speaker_standard = frsyn_kernels.standard(speaker)
    return [frsyn.official_offset(x, speaker, speaker_standard) for x in pred]


def _published_moments(pred: np.ndarray) -> list[float]:
    """FRDiv, FRVar and FRDvs by pairwise distances in float32, the shape of the published computation."""
    import torch

    x = torch.from_numpy(pred)
    count, k = x.shape[:2]
    flat = x.reshape(count, k, -1)
    diversity = np.mean([float((torch.cdist(c, c) ** 2).sum()) / (k * (k - 1) * flat.shape[2]) for c in flat])
    clips = flat.transpose(0, 1)
    apart = sum(float((torch.cdist(c, c) ** 2).sum()) for c in clips)
    return [float(diversity), float(x.var(2).mean()), apart / (count * (count - 1) * x[0].numel())]


def _suite(case: Case) -> Row:
    clips = len(case.pred)
    appropriate = np.zeros((clips, len(case.listener)), bool)
    for n, row in enumerate(case.rows):
        appropriate[n, row] = True
    data = Evaluation(
        tuple(map(str, range(clips))), np.full(len(case.listener), FRAMES), FACEVERSE_58, None, case.pred,
        None, None, speaker_emotion=case.speaker, listener_emotion=case.listener, appropriate=appropriate,
    )  # fmt: skip
    pairs = NEIGHBOURS * K
    parts = [
        _timed(lambda: reference.frcorr(case.pred[:1], case.listener, case.rows[:1]))[1],
        _timed(lambda: reference.frsyn(case.pred[:1], case.speaker[:1], samples=1))[1],
        _pairs(case.pred[0, 0], case.listener[case.rows[0]])[1] * pairs,
        _timed(lambda: _published_moments(case.pred))[1] / clips,
    ]
    results, seconds, peak = peak_of(lambda: ReactOfficialSuite().evaluate(data))
    assert results["FRCorr"].value is not None
    return Row(metric="react2024-official, whole suite", ratio=sum(parts) * clips / seconds, difference=None, seconds=seconds,
               peak_mb=peak, against="all of the above", detail=f"{clips} clips, one thread")  # fmt: skip


def density_rows() -> Iterator[Row]:
    """FRDist by how many neighbours a clip has."""
    for neighbours in DENSITIES:
        row = _frdist(made_up_case(2, neighbours), neighbours)
        yield row.model_copy(update={"metric": f"FRDist, {neighbours} neighbours"})


def l2l_rows(frames: int = 130_000, channels: int = 50, k: int = 15) -> Iterator[Row]:
    """SI of a second method, the suite, the bootstrap."""
    rng = np.random.default_rng(0)
    scale = np.linspace(1.0, 0.1, channels)
    walk = rng.normal(size=(frames // 100, 100, channels)).cumsum(1).reshape(frames, channels) * scale / 10
    target = walk.astype(np.float32)
    pred = (walk + 0.3 * rng.normal(size=walk.shape)).astype(np.float32)
    centroids = shannon.centroids_for(target, k)
    yield _row("SI, second method", lambda: shannon.entropy(shannon.histograms([pred], centroids).sum(0)),
               _refitted(target, pred, centroids), against="k-means fitted again")  # fmt: skip
    yield _l2l_suite(rng)
    values = [rng.random((3, 553, 20)) for _ in range(12)]
    sessions = [str(i // 4) for i in range(553)]
    yield _row("bootstrap, 2000 draws", lambda: bootstrap(values, sessions, draws=2000), None,
               detail="12 methods, 3 seeds, 553 clips, 20 columns")  # fmt: skip


def _refitted(target: np.ndarray, pred: np.ndarray, centroids: np.ndarray) -> tuple[Any, float] | None:
    """The entropy by the same centroids, in the time of fitting them again; None without scikit-learn."""
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        return None
    truth, guess = target.astype(np.float64), pred.astype(np.float64)
    _, seconds = _timed(lambda: KMeans(len(centroids), random_state=0, n_init=1).fit(truth).predict(guess))
    nearest = np.argmin(((guess[:, None] - centroids[None]) ** 2).sum(2), 1)
    return shannon.entropy(np.bincount(nearest, minlength=len(centroids))), seconds


def _l2l_suite(rng: np.random.Generator, clips: int = 16) -> Row:
    from dyadbench.metrics.l2l.suite import L2LSuite

    target = rng.normal(size=(clips, FRAMES, 56)).cumsum(1).astype(np.float32)
    speaker = rng.normal(size=target.shape).cumsum(1).astype(np.float32)
    pred = target[:, None] + rng.normal(size=(clips, K, FRAMES, 56)).astype(np.float32)
    data = Evaluation(tuple(map(str, range(clips))), np.full(clips, FRAMES), DECA_56, pred, None, target, speaker)
    return _row("l2l, whole suite", lambda: L2LSuite().evaluate(data), None, detail=f"{clips} clips")


def first_call_rows() -> Iterator[Row]:
    """A new process, from import to the first score, with an empty and with a filled compilation cache."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "OMP_NUM_THREADS": "1"}
            process = subprocess.run(
                [sys.executable, "-c", STARTED], env=environment, capture_output=True, text=True, check=True
            )
            yield Row(metric=f"first call, {name} cache", ratio=None, difference=None, seconds=float(process.stdout),
                      peak_mb=None, detail="import included")  # fmt: skip

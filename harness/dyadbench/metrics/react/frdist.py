"""FRDist: exact dynamic time warping to the nearest appropriate listener (REACT 2024, metric/FRD.py).

d(x, y) = DTW(AU) / 15 + DTW(valence, arousal) + DTW(expression) / 8, each DTW a square root of the cheapest monotone
path's summed squared distances; three alignments of their own, no window, no length normalisation.

float32 finds the candidates, float64 decides among them, and the result is that of the official recursion in float64,
to the bit. Candidates go by their distance along the diagonal (an upper bound where lengths agree), then group by
group, each bounded by the best so far. float32 runs backwards in time: what it leaves behind is, for every strip
boundary, what a path still has to cost, and that keeps the float64 pass to a narrow corridor.

Why a float32 cost bounds the float64 one (`Search.error`), u = 2^-24 being half a unit in the last place:

1. A cell is |x|^2 + |y|^2 - 2 x y. With N = |x|^2 + |y|^2, the norms' C products and C - 1 sums round by at most C u N; their
   sum rounds by u N; each of the C products is then added with one rounding of a partial sum, which is at most 2 N. Together
   (3 C + 1) u N; taken are 2 (1.5 C + 4) u N, for N is known as a float32 only, and 1e-37 for numbers below its normal range.
2. A path has at most n + m - 1 cells. Their errors add up to `slack`; each of the sums along it rounds once, by a factor of
   at most 1 + u, and (1 + u)^cells <= 1 + 1.1 cells u = `rate` for cells u < 0.1.
3. The float32 minimum is at most that of the float64 optimal path as float32 sums it, and at least its own path's float64
   cost as float32 sums it: (cost - slack) / rate <= exact <= (cost + slack) rate. Square roots keep the order; factors of
   1e-9 and 1e-6 pay for float64's own roundings and for `bound` being a float32.

The diagonal is one path among those allowed where lengths agree, so its summed squares are an upper bound; they are added up
in float32 over n frames, which 1 + 1e-6 n pays for 16 times over.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dyadbench.api import EMOTION_DIM, EMOTION_GROUPS
from dyadbench.metrics.compiled import njit
from dyadbench.metrics.react.frdist_kernels import (
    CHANNELS,
    LANES,
    STRIP,
    dtw,
    scratch_size,
    strips,
)
from dyadbench.metrics.react.frdist_packing import pack64, pack_columns32, pack_rows32

GROUPS = tuple(EMOTION_GROUPS.values())
WEIGHTS = (1 / 15, 1.0, 1 / 8)
CHEAPEST_FIRST = (1, 2, 0)
UNIT = 2.0**-24  # of float32
# Bytes of `Search.keep` at most; longer clips are aligned without, in memory that grows with length alone.
STATE_BYTES = 64 << 20
LARGEST = 1e30  # squared norms above this leave float32 to float64
NOTHING = np.empty((0, 0))


@njit(nogil=True, fastmath={"contract", "nsz"})
def diagonals(x: Any, listeners: Any) -> Any:
    """(J, 25): by channel, the summed squared distance of frame t of x with frame t of each listener; in float32."""
    total = np.zeros((len(listeners), EMOTION_DIM), np.float32)
    for j in range(len(listeners)):
        row, y = total[j], listeners[j]
        for t in range(x.shape[0]):
            for c in range(EMOTION_DIM):
                d = x[t, c] - y[t, c]
                row[c] += d * d
    return total


class Listeners:
    """The appropriate listeners of one clip, (T_j, 25) each, packed once for all its samples."""

    def __init__(self, listeners: Sequence[np.ndarray]):
        self.frames = [len(y) for y in listeners]
        self.values = np.zeros((len(listeners), max(self.frames), EMOTION_DIM), np.float32)
        for place, y in zip(self.values, listeners, strict=True):
            place[: len(y)] = y  # the official code casts to float32 first
        self.columns: list[list[np.ndarray]] = []
        self.norms: list[list[float]] = []  # the largest squared norm of a frame
        for y, m in zip(self.values, self.frames, strict=True):
            packed = [np.empty((c + 1) * (m + 2 * (LANES - 1)), np.float32) for c in CHANNELS]
            self.norms.append([float(pack_columns32(y[:m], *g, out)) for g, out in zip(GROUPS, packed, strict=True)])
            self.columns.append(packed)


class Search:
    """Finds the nearest of a clip's listeners for one prediction after another, (n, 25) float32 each."""

    def __init__(self, packed: Listeners, n: int):
        count, longest = len(packed.frames), packed.values.shape[1]
        self.n, self.packed, self.strips = n, packed, -(-n // STRIP)
        self.rows = [np.empty(self.strips * STRIP * (c + 1), np.float32) for c in CHANNELS]
        self.scratch = np.empty(scratch_size(longest), np.float32)
        # (J, group, strip, column): what float32 leaves behind for the float64 corridor.
        # Without it the corridor is wide: as exact, and slower.
        slots = self.strips if 12 * count * self.strips * longest <= STATE_BYTES else 0
        self.keep = np.empty((count, 3, slots, longest), np.float32)
        self.rows64 = np.empty(self.strips * STRIP * max(CHANNELS))
        self.columns64 = np.empty(max(CHANNELS) * (longest + 2 * (LANES - 1)))
        self.scratch64 = np.empty(scratch_size(longest))

    def distance(self, x: np.ndarray) -> float:
        """min over the listeners of d(x, y), exact."""
        count, answer = len(self.packed.frames), math.inf
        self.x, self.largest = x, [float(pack_rows32(x, *g, out)) for g, out in zip(GROUPS, self.rows, strict=True)]
        self.low = [[0.0] * 3 for _ in range(count)]  # bounds of the groups' DTW
        self.high = [[math.inf] * 3 for _ in range(count)]
        norms = [*self.largest, *(norm for row in self.packed.norms for norm in row)]
        # `not <=` and not `>`: a NaN takes the float64 path, too.
        plain = not max(norms) <= LARGEST
        # Candidates come with the lowest bound first: once a bound exceeds the answer, so do all later ones.
        for lower, j in [(0.0, j) for j in range(count)] if plain else self.candidates():
            if lower <= answer:
                answer = min(answer, self.exact(j, answer))
        return answer

    def error(self, j: int, g: int) -> tuple[float, float]:
        """How far a float32 cost may be off, absolutely and as a factor."""
        cells = self.n + self.packed.frames[j] - 1
        norms = self.largest[g] + self.packed.norms[j][g]
        return cells * ((1.5 * CHANNELS[g] + 4) * UNIT * 2 * norms + 1e-37), 1 + 1.1 * cells * UNIT

    def bound32(self, j: int, g: int, room: float) -> None:
        """Bounds one group's DTW to listener j by float32; both bounds infinite where it must exceed `room`."""
        slack, rate = self.error(j, g)
        # `room` is a bound of the exact distance; squared, times rate, plus slack it bounds the float32 cost (3. above, solved
        # for the cost). 3e38: the largest finite float32 stands for "no bound".
        bound = np.float32(min((room * room * rate + slack) * (1 + 1e-6), 3e38))
        y, m, states = self.packed.columns[j][g], self.packed.frames[j], self.keep[j, g]
        cost = dtw(
            strips(True)[g], CHANNELS[g] + 1, self.rows[g], y, self.n, m, 0, bound, states[:0], states, self.scratch
        )
        self.low[j][g] = math.sqrt(max(0.0, cost - slack) / rate)
        self.high[j][g] = math.sqrt((cost + slack) * rate) * (1 + 1e-9)

    def exact(self, j: int, limit: float) -> float:
        """d(x, y_j) in float64, or inf where it must exceed `limit`."""
        m, roots, lower = self.packed.frames[j], [0.0] * 3, list(self.low[j])
        for g in CHEAPEST_FIRST:
            pack64(self.x, *GROUPS[g], True, self.rows64)
            pack64(self.packed.values[j, :m], *GROUPS[g], False, self.columns64)
            lower[g] = 0.0
            # What this group may cost at most, if the other groups cost at least their lower bounds.
            room = max(0.0, (limit - _weighted(lower)) / WEIGHTS[g]) * (1 + 1e-9)
            bound = min(room, self.high[j][g]) ** 2 * (1 + 1e-9)
            rest = self._remaining(j, g) if self.high[j][g] < math.inf else NOTHING
            cost = dtw(strips(False)[g], CHANNELS[g], self.rows64, self.columns64, self.n, m, self.strips - 1, bound, rest,
                       NOTHING, self.scratch64)  # fmt: skip
            if not cost < math.inf:
                return math.inf
            roots[g] = lower[g] = math.sqrt(cost)
        return _weighted(roots)

    def _remaining(self, j: int, g: int) -> np.ndarray:
        """(strips - 1, m): a lower bound of what a path costs from each column of the row after each strip."""
        if not self.keep.shape[2]:
            return NOTHING
        slack, rate = self.error(j, g)
        # float32 ran backwards in time, so its first strip is the last one here, and columns are reversed as well.
        backwards = self.keep[j, g, : self.strips - 1, : self.packed.frames[j]]
        return np.ascontiguousarray(backwards[::-1, ::-1], np.float64) / rate - slack

    def candidates(self) -> list[tuple[float, int]]:
        """(lower bound of d, listener), best first, of those that float32 cannot rule out."""
        count = len(self.packed.frames)
        totals, upper = [0.0] * count, [math.inf] * count
        if all(m == self.n for m in self.packed.frames):
            parts = np.add.reduceat(diagonals(self.x, self.packed.values), [start for start, _ in GROUPS], axis=1)
            upper = [_weighted(row) * (1 + 1e-6 * self.n) for row in np.sqrt(parts).tolist()]
        best = min(upper)
        order = sorted(range(count), key=upper.__getitem__)

        def advance(j: int, groups: Sequence[int]) -> None:
            nonlocal best
            for g in groups:
                self.bound32(j, g, max(0.0, best - totals[j]) / WEIGHTS[g])
                totals[j] += WEIGHTS[g] * self.low[j][g]
                if totals[j] > best:
                    totals[j] = math.inf
                    return
            best = min(best, _weighted(self.high[j]))

        # The listener nearest along the diagonal first, to the end: its upper bound then cuts most others short.
        advance(order[0], CHEAPEST_FIRST)
        others = order[1:]
        # Valence and arousal are two channels of 25, so their bound is cheap, and it weighs most: it goes first for all.
        for j in others:
            advance(j, CHEAPEST_FIRST[:1])
        for j in sorted(others, key=totals.__getitem__):
            if totals[j] <= best:
                advance(j, CHEAPEST_FIRST[1:])
        return sorted((total, j) for j, total in enumerate(totals) if total <= best)


def _weighted(parts: Sequence[float]) -> float:
    return WEIGHTS[0] * parts[0] + WEIGHTS[1] * parts[1] + WEIGHTS[2] * parts[2]


def frdist(pred: np.ndarray, listeners: Sequence[np.ndarray]) -> np.ndarray:
    """FRDist of one clip: the distance of each sample to the nearest appropriate listener, however time is warped.

        min_j DTW(AU) / 15 + DTW(valence, arousal) + DTW(expression) / 8

    each DTW the square root of the cheapest monotone path's summed squared distances. Source: REACT 2024, metric/FRD.py,
    whose number is the sum over samples, mean over clips. Units of the data, grows with the length; less is better; exact.

    As the official code has it, trailing frames without any number are dropped, group by group; any other NaN makes
    the distance NaN, infinity makes it infinite.

    Args:
        pred: (K, T, 25) samples.
        listeners: J of (T_j, 25).

    Returns (K,) distances.

    >>> held = np.zeros((4, 25))
    >>> f"{frdist(held[None] + 1, [held])[0]:.4f}"  # sqrt(4 * 15) / 15 + sqrt(4 * 2) + sqrt(4 * 8) / 8
    '4.0519'
    """
    packed = Listeners(listeners)
    values = np.ascontiguousarray(pred, np.float32)
    clean, search = bool(np.isfinite(packed.values).all()), Search(packed, values.shape[1])
    return np.array([
        search.distance(x) if clean and np.isfinite(x).all() else _unclean(x, listeners) for x in values
    ])  # fmt: skip


def _unclean(x: np.ndarray, listeners: Sequence[np.ndarray]) -> float:
    cast = [y.astype(np.float32) for y in listeners]
    distances = [_weighted([_trimmed(x[:, a:b], y[:, a:b], g) for g, (a, b) in enumerate(GROUPS)]) for y in cast]
    return float(np.min(distances))  # one NaN among them is enough


def group_dtw(x: np.ndarray, y: np.ndarray, g: int) -> float:
    """Exact DTW of one group's channels, (n, C) and (m, C), to the bit of the float64 recursion; memory O(n + m)."""
    (n, channels), m = x.shape, len(y)
    count = -(-n // STRIP)
    rows, columns = np.empty(count * STRIP * channels), np.empty(channels * (m + 2 * (LANES - 1)))
    pack64(np.ascontiguousarray(x, np.float32), 0, channels, True, rows)
    pack64(np.ascontiguousarray(y, np.float32), 0, channels, False, columns)
    cost = dtw(
        strips(False)[g],
        channels,
        rows,
        columns,
        n,
        m,
        count - 1,
        math.inf,
        NOTHING,
        NOTHING,
        np.empty(scratch_size(m)),
    )
    return math.sqrt(cost)


def _trimmed(x: np.ndarray, y: np.ndarray, g: int) -> float:
    trimmed = []
    for sequence in (x, y):
        rows = np.flatnonzero(~np.isnan(sequence).all(1))
        trimmed.append(sequence[: rows[-1] + 1] if len(rows) else sequence[:0])
    if not all(map(len, trimmed)) or any(np.isnan(k).any() for k in trimmed):
        return math.nan
    return math.inf if any(np.isinf(k).any() for k in trimmed) else group_dtw(trimmed[0], trimmed[1], g)

"""Dynamic time warping as a strip-mined wavefront.

A cell needs its neighbours above, left and diagonally above. A strip is LANES blocks of ROWS consecutive rows; lane l works
on column s - l at step s, so what it needs of the lane above was made a step ago: all lanes are independent, and one vector
instruction serves them all. With 4 lanes of 2 rows (here 16 of 8), the number being the step at which a cell is made:

                   columns of y
                   0  1  2  3  4  5
       above .................................  the last row of the strip before (`above`)
      lane 0  row 0 0  1  2  3  4  5
              row 1 0  1  2  3  4  5
      lane 1  row 2 1  2  3  4  5  6
    x         row 3 1  2  3  4  5  6            at step 3 the wavefront is column 3 of lane 0,
      lane 2  row 4 2  3  4  5  6  7            2 of lane 1, 1 of lane 2, 0 of lane 3;
              row 5 2  3  4  5  6  7            lane l hands its last row to lane l + 1 by a shuffle
      lane 3  row 6 3  4  5  6  7  8
              row 7 3  4  5  6  7  8
       below .................................  this strip's last row, all that the next strip needs (`below`)

`work` holds, between calls, the last column of every row, each lane's last row, and the row above each lane a column back
(the diagonal). The loop over steps is written as LLVM vector code: left to itself the compiler keeps half of it scalar and
takes ten times as long.

Two kernels come from the same text. float32 computes |x|^2 + |y|^2 - 2 x y, one operation a channel instead of two,
and is only used inside rigorous error bounds. float64 computes sum_c (x - y)^2 in channel order and then adds the
minimum: the operations of the reference recursion in the same order, hence the same bits.
"""

# mypy: disable-error-code="untyped-decorator, call-arg"
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from dyadbench.api import EMOTION_GROUPS
from dyadbench.metrics.compiled import cfunc, njit

CHANNELS = tuple(stop - start for start, stop in EMOTION_GROUPS.values())
LANES, ROWS = 16, 8
STRIP = LANES * ROWS
WORK = STRIP + 2 * LANES  # the last column of every row; each lane's last row; the row above each lane, a column back
CHUNK = 64  # steps between looks at whether the rest of a strip is dead
VECTOR_BITS = 512 if binding.get_host_cpu_features().get("avx512f") else 256


class _Emitter:
    """Vector loads, stores and minima at element offsets of one function under construction."""

    def __init__(self, builder: ir.IRBuilder, real: ir.Type, width: int, bytes_each: int):
        self.b, self.vector, self.align = builder, ir.VectorType(real, width), bytes_each

    def place(self, pointer: Any, offset: Any) -> Any:
        return self.b.bitcast(self.b.gep(pointer, [offset]), self.vector.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Any:
        return self.b.load(self.place(pointer, offset), align=self.align)

    def store(self, value: Any, pointer: Any, offset: Any) -> None:
        self.b.store(value, self.place(pointer, offset), align=self.align)

    def least(self, a: Any, c: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered("<", a, c), a, c)


def _costs(e: _Emitter, x: Any, y: Any, columns: list[Any], first: int, dot: bool, const: Callable[[int], Any]) -> list:
    """ROWS vectors of squared distances; `columns` are the offsets into y, one a channel (the norms first, if dot)."""
    rows: list[Any] = [None] * ROWS
    for c, column in enumerate(columns):
        values = e.load(y, column)
        for r in range(ROWS):
            other = e.load(x, const(c * STRIP + r * LANES + first))
            if dot and c == 0:
                rows[r] = e.b.fadd(other, values)
            elif dot:
                rows[r] = e.b.fadd(e.b.fmul(other, values, flags=["contract"]), rows[r], flags=["contract"])
            else:
                d = e.b.fsub(other, values)
                rows[r] = e.b.fmul(d, d) if c == 0 else e.b.fadd(rows[r], e.b.fmul(d, d))
    return rows


@intrinsic(prefer_literal=True)
def _steps(typing: Any, channels: Any, dot: Any, x: Any, y: Any, above: Any, below: Any, work: Any, width: Any,
           cell: Any, lane: Any, start: Any, stop: Any) -> Any:  # fmt: skip
    """Steps [start, stop) of one strip; see `_strip`. `channels` and `dot` are literals."""
    channels, dot = channels.literal_value, bool(dot.literal_value)
    real, bits = (ir.FloatType(), 32) if dot else (ir.DoubleType(), 64)
    lanes = VECTOR_BITS // bits
    vectors = LANES // lanes

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        x, y, above, below, work, width, cell, lane, start, stop = args[2:]
        e = _Emitter(b, real, lanes, bits // 8)
        const = lambda n: ir.Constant(start.type, n)  # noqa: E731
        shift = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [lanes - 1 + i for i in range(lanes)])
        entry, loop, end = b.block, b.append_basic_block("loop"), b.append_basic_block("done")
        before = [e.load(work, const(STRIP + i * lanes)) for i in range(2 * vectors)]
        b.branch(loop)

        b.position_at_end(loop)
        step = b.phi(start.type)
        # Phis: these vectors stay in registers from step to step.
        phis = [b.phi(e.vector) for _ in before]  # each lane's last row, then the row above each lane
        # Columns are stored backwards: lane l reads column step - l, so consecutive lanes read consecutive addresses.
        base = b.sub(b.sub(width, const(LANES)), step)
        offsets = [b.add(base, b.mul(width, const(c))) for c in range(channels + dot)]
        head = b.load(b.gep(above, [b.add(step, const(LANES + 1))]))
        entering = b.insert_element(ir.Constant(e.vector, ir.Undefined), head, ir.Constant(ir.IntType(32), lanes - 1))
        fresh, tops = [], []
        for v in range(vectors):
            up = b.shuffle_vector(phis[v - 1] if v else entering, phis[v], shift)  # every lane takes its neighbour's
            diagonal = phis[vectors + v]
            tops.append(up)
            cost = _costs(e, x, y, [b.add(o, const(v * lanes)) for o in offsets], v * lanes, dot, const)
            for r in range(ROWS):
                # min(up, min(left, diagonal)) + cost, in this order: it is the reference's, and so are the bits.
                left = e.load(work, const(r * LANES + v * lanes))
                up = b.fadd(e.least(up, e.least(left, diagonal)), cost[r])
                e.store(up, work, const(r * LANES + v * lanes))
                diagonal = left
            fresh.append(up)
        # The strip's last row is its lower boundary, from which the next strip starts.
        last = b.load(b.gep(work, [cell]))
        b.store(last, b.gep(below, [b.sub(b.add(step, const(LANES + 1)), lane)]))
        following = b.add(step, const(1))
        b.cbranch(b.icmp_signed("<", following, stop), loop, end)

        step.add_incoming(start, entry)
        step.add_incoming(following, loop)
        for phi, old, new in zip(phis, before, fresh + tops, strict=True):
            phi.add_incoming(old, entry)
            phi.add_incoming(new, loop)
        b.position_at_end(end)
        for i, value in enumerate(fresh + tops):
            e.store(value, work, const(STRIP + i * lanes))
        return context.get_dummy_value()

    types_of = (x, y, above, below, work, width, cell, lane, start, stop)
    return types.none(types.literal(channels), types.literal(int(dot)), *types_of), emit


def _strip(channels: int, dot: int) -> Any:
    """A C function that runs steps [start, stop) of one strip of a `channels`-channel alignment.

    x: one packed strip; y: packed columns, `width` a channel; above, below: boundary rows, column j at LANES + 1 + j;
    work: WORK values kept between calls; cell: the place in `work` of the strip's last row, whose column at step s is
    s - lane. float32 if `dot`, else float64.
    """
    number = types.float32 if dot else types.float64

    @cfunc(types.void(*[types.CPointer(number)] * 5, *[types.intp] * 5))
    def strip(x: Any, y: Any, above: Any, below: Any, work: Any, width: Any, cell: Any, lane: Any,
              start: Any, stop: Any) -> None:  # fmt: skip
        _steps(channels, dot, x, y, above, below, work, width, cell, lane, start, stop)

    return strip


@cache
def strips(dot: bool) -> np.ndarray:
    """(3,) addresses of the strip functions of the three groups, compiled or loaded on first use."""
    _alive[dot] = [_strip(channels, int(dot)) for channels in CHANNELS]
    return np.array([function.address for function in _alive[dot]])


_alive: dict[bool, list[Any]] = {}  # what the addresses point to


@intrinsic
def run_strip(typing: Any, address: Any, x: Any, y: Any, above: Any, below: Any, work: Any, width: Any, cell: Any,
              lane: Any, start: Any, stop: Any) -> Any:  # fmt: skip
    """Calls the strip function at `address` on arrays."""
    arrays = (x, y, above, below, work)

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = [context.make_array(t)(context, b, v).data for t, v in zip(arrays, args[1:6], strict=True)]
        operands = [*data, *args[6:]]
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in operands])
        b.call(b.inttoptr(args[0], kind.as_pointer()), operands)
        return context.get_dummy_value()

    return types.none(types.intp, *arrays, *[types.intp] * 5), emit


@njit(nogil=True)
def _live(below: Any, rest: Any, guided: Any, bound: Any) -> Any:
    """First and last column at which a path within `bound` can enter the next strip; (m, -1) where none can.

    below: (m + 1,), from column -1 on.
    """
    low, high = 0, len(below) - 2
    if guided:
        while low <= high and not min(below[low], below[low + 1]) + rest[low] <= bound:
            low += 1
        while low <= high and not min(below[high], below[high + 1]) + rest[high] <= bound:
            high -= 1
    else:
        while low <= high and not below[low + 1] <= bound:
            low += 1
        while low <= high and not below[high + 1] <= bound:
            high -= 1
    return low, high


@njit(nogil=True, fastmath={"nnan", "nsz", "reassoc"})
def _least(values: Any) -> Any:
    """Of all that a strip still stands on: its rows, and what is on its way from one lane to the next."""
    least = values[0]
    for i in range(WORK):
        least = values[i] if values[i] < least else least
    return least


@njit(nogil=True)
def dtw(address: Any, depth: Any, x: Any, y: Any, n: Any, m: Any, short: Any, bound: Any, rest: Any,
        keep: Any, scratch: Any) -> Any:  # fmt: skip
    """Squared DTW cost, or inf where it must exceed `bound`; `address` and `depth` are a strip function's.

    x: packed rows, `depth` values each; their strip of n % STRIP rows is the first or the last (`short`: its index).
    y: packed columns. Cells beyond `bound` are dead: a strip starts at the first live column above it and ends when
    all is dead. keep: (strips or 0, m) takes every strip's last row. rest: (strips - 1 or 0, m), a lower bound of what
    a path still costs from each column of the row after each strip: paths are then cut by what they
    must become. scratch: scratch_size(m) values.
    """
    size, origin, length = m + 2 * LANES + 1, LANES + 1, depth * STRIP
    above, below, tail = scratch[:size], scratch[size : 2 * size], scratch[2 * size : 3 * size]
    work = scratch[3 * size : 3 * size + WORK]
    width, count = m + 2 * (LANES - 1), (n + STRIP - 1) // STRIP
    # Boundary rows have room for LANES + 1 columns before the first: lanes that have not started yet read infinity there.
    above[:] = np.inf
    above[LANES] = 0  # the virtual corner
    low, high = 0, 0
    for p in range(count):
        height = n - (count - 1) * STRIP if p == short else STRIP
        lane, row = (height - 1) // ROWS, (height - 1) % ROWS
        final = p == count - 1
        guided = len(rest) > 0 and not final
        if guided:  # tail[j]: the least that a path leaving this strip at column j or later still costs
            tail[m - 1] = rest[p, m - 1]
            for j in range(m - 2, -1, -1):
                tail[j] = min(tail[j + 1], rest[p, j])
        # Nothing lies left of the first live column; only lane 0 has a diagonal neighbour, in the row above.
        work[:] = np.inf
        work[STRIP + LANES] = above[origin + low - 1]
        below[: origin + low] = np.inf
        end, s = m + lane, low
        while s < end:
            stop = min(s + CHUNK, end)
            strip_x = x[p * length : (p + 1) * length]
            run_strip(address, strip_x, y, above, below, work, width, row * LANES + lane, lane, s, stop)
            s = stop
            # Beyond `high` nothing enters from above, so costs only grow: once all in work exceed the bound, the rest is dead.
            if s > high + LANES and s < end:
                future = tail[s - LANES] if guided else 0.0
                if _least(work) + future > bound:
                    break
        # Columns that were not reached keep an old strip's values: they must read as dead.
        below[origin + max(0, s - lane) : origin + m] = np.inf
        if len(keep) > 0:
            for j in range(m):  # numba compiles two seconds longer for slices that might not fit
                keep[p, j] = below[origin + j]
        if final:
            break
        low, high = _live(below[origin - 1 : origin + m], rest[p] if guided else below, guided, bound)
        if high < low:
            return np.inf
        # The lower boundary becomes the next strip's upper one; the arrays are exchanged, not copied.
        above, below = below, above
    return np.float64(below[origin + m - 1])


@njit(nogil=True)
def scratch_size(columns: Any) -> Any:
    """Values of `scratch` for `columns` columns."""
    return 3 * (columns + 2 * LANES + 1) + WORK

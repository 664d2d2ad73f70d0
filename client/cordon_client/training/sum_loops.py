"""The sums over rows, compiled: float32 or float64 values are widened one by one as they are read.

Rows lie in one piece of memory, `stride` values apart; the last one ends where it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training.compiled import compiled, compiled_sum
from cordon_common.memory import LINE, from_a_cache_line

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]
    Values = npt.NDArray[np.float64] | npt.NDArray[np.float32]

TILE = 4
"""Outputs that `add_outer` works on at a time."""

_COLUMNS, _APART = 256, 264
"""Columns that are widened at a time, and values from row to row: not a power of two, which would
put all rows into the same few places of the cache."""

_from_a_cache_line = compiled(from_a_cache_line)


@compiled_sum
def _width(values: Values, stride: int, count: int) -> int:
    return values.size - (count - 1) * stride


@compiled_sum
def _square(row: Values) -> float:
    square = 0.0
    for j in range(row.size):
        wide = np.float64(row[j])
        square += wide * wide
    return square


@compiled_sum
def square_norms(values: Values, stride: int, found: Vector) -> None:
    """Write |row|² of every row."""
    width = _width(values, stride, found.size)
    for p in range(found.size):
        found[p] = _square(values[p * stride : p * stride + width])


@compiled_sum
def add_weighted(values: Values, stride: int, factor: Vector, total: Vector) -> None:
    """Add Σ factor_p · row_p; a factor of 0 drops its row: 0 · NaN would still be NaN."""
    for p in range(factor.size):
        weight = factor[p]
        if weight != 0.0:
            row = values[p * stride : p * stride + total.size]
            for j in range(total.size):
                total[j] += weight * np.float64(row[j])


@compiled_sum
def outer_squares(
    a: Values, a_stride: int, g: Values, g_stride: int, bias: float, found: Vector
) -> None:
    """Write (|a|² + bias) |g|² of every row."""
    a_width, g_width = _width(a, a_stride, found.size), _width(g, g_stride, found.size)
    for p in range(found.size):
        square = _square(a[p * a_stride : p * a_stride + a_width])
        found[p] = (square + bias) * _square(g[p * g_stride : p * g_stride + g_width])


@compiled_sum
def add_few(
    a: Values, a_stride: int, g: Values, g_stride: int, factor: Vector, total: Vector
) -> None:
    """Add Σ factor_p g_p a_pᵀ where there are few outputs."""
    fan_in, fan_out = _width(a, a_stride, factor.size), _width(g, g_stride, factor.size)
    for o in range(fan_out):
        sums = total[o * fan_in : (o + 1) * fan_in]
        for p in range(factor.size):
            if factor[p] != 0.0:
                weight, row = factor[p] * g[p * g_stride + o], a[p * a_stride :]
                for j in range(fan_in):
                    sums[j] += weight * np.float64(row[j])


@compiled_sum
def add_outer(
    a: Values, a_stride: int, g: Values, g_stride: int, factor: Vector, total: Vector
) -> None:
    """Add the product of two matrices, in tiles of four outputs and three rows.

    Seven vectors take part in twelve products, so that loading does not take longer than
    multiplying. Columns are widened `_COLUMNS` at a time, to rows a constant apart, so that the
    compiler sees that they do not overlap.
    """
    fan_in, fan_out = _width(a, a_stride, factor.size), _width(g, g_stride, factor.size)
    rows = -(-factor.size // 3) * 3
    weighted = np.zeros((-(-fan_out // TILE) * TILE, rows))
    _weigh(g, g_stride, factor, weighted, fan_out)
    wide = _from_a_cache_line(np.empty(rows * _APART + LINE - 1))
    spare = np.empty(3 * _APART)
    for start in range(0, fan_in, _COLUMNS):
        width = min(_COLUMNS, fan_in - start)
        _widen(a[start:], a_stride, factor, wide, width)
        for o in range(0, fan_out, TILE):
            at = o * fan_in + start
            t0 = total[at : at + width]
            # what lands in a spare row belongs to an output that does not exist
            t1 = total[at + fan_in :][:width] if o + 1 < fan_out else spare[:width]
            t2 = total[at + 2 * fan_in :][:width] if o + 2 < fan_out else spare[_APART:][:width]
            t3 = (
                total[at + 3 * fan_in :][:width] if o + 3 < fan_out else spare[2 * _APART :][:width]
            )
            for p in range(0, rows, 3):
                x00, x01, x02 = weighted[o, p], weighted[o, p + 1], weighted[o, p + 2]
                x10, x11, x12 = weighted[o + 1, p], weighted[o + 1, p + 1], weighted[o + 1, p + 2]
                x20, x21, x22 = weighted[o + 2, p], weighted[o + 2, p + 1], weighted[o + 2, p + 2]
                x30, x31, x32 = weighted[o + 3, p], weighted[o + 3, p + 1], weighted[o + 3, p + 2]
                few = wide[p * _APART : (p + 3) * _APART]
                for j in range(width):
                    a0, a1, a2 = few[j], few[_APART + j], few[2 * _APART + j]
                    t0[j] += x00 * a0 + x01 * a1 + x02 * a2
                    t1[j] += x10 * a0 + x11 * a1 + x12 * a2
                    t2[j] += x20 * a0 + x21 * a1 + x22 * a2
                    t3[j] += x30 * a0 + x31 * a1 + x32 * a2


@compiled_sum
def _weigh(
    g: Values, stride: int, factor: Vector, weighted: npt.NDArray[np.float64], fan_out: int
) -> None:
    for p in range(factor.size):
        if factor[p] != 0.0:
            for o in range(fan_out):
                weighted[o, p] = factor[p] * g[p * stride + o]


@compiled_sum
def _widen(a: Values, stride: int, factor: Vector, wide: Vector, width: int) -> None:
    """Write columns in float64, `_APART` from row to row; zeros for rows that are dropped or more."""
    for p in range(wide.size // _APART):
        room = wide[p * _APART : p * _APART + width]
        if p < factor.size and factor[p] != 0.0:
            row = a[p * stride : p * stride + width]
            for j in range(width):
                room[j] = np.float64(row[j])
        else:
            room[:] = 0.0


@compiled
def factors(
    square: Vector, mass_square: Vector, slack: float, bounds: tuple[float, float], found: Vector
) -> None:
    """Write min(1, C / √max(square + slack · mass², mass² / M²)); 0 for NaN. bounds: (C, M²)."""
    clip_norm, most = bounds
    for p in range(found.size):
        # np.maximum hands NaN on, and NaN is not above 0
        bound = np.maximum(square[p] + slack * mass_square[p], mass_square[p] / most)
        factor = clip_norm / np.sqrt(bound)
        found[p] = min(factor, 1.0) if factor > 0.0 else 0.0

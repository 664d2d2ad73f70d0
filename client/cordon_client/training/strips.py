"""A rounded Gaussian as rectangles under its curve: a table that one random word looks up.

The line is cut into strips of 2^m whole numbers, and the probability 1 into 2^16 equal slots. A
strip owns as many slots as its highest density asks for. In the slots that its lowest density
already fills, every integer of the strip is accepted; in the one or two others, which stand last in
the table, an integer is accepted as far as the curve reaches into them. What is accepted has the
rounded Gaussian's probabilities exactly. Source: rejection from a histogram with an immediate
acceptance part (Devroye 1986, §VIII.1; Marsaglia, Tsang 2000, for the same idea in layers).
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

SLOT_BITS = 16
REACH = 18.5
"""Standard deviations that the strips cover on either side at least."""

_SLOTS = 2**SLOT_BITS
_STRIPS_PER_STD = 64
_CENTRE = 3.0
"""Within so many standard deviations strips are narrow, σ / 128 to σ / 64; outside 2^5 times wider."""

_WIDER_BITS = 5
_SLACK = 2.0**-30
"""Far above the relative error of any float64 value here (2^-42), which it makes harmless."""

_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Strips(NamedTuple):
    """The table of one standard deviation, std grid steps; a tuple, as compiled loops read it.

    start: the first integer of a slot's strip in units of 2^narrow_bits, int16 [2^16]: small, to
    stay in the cache. narrow_bits: m of the narrow strips. certain: slots below this number accept
    every integer; the arrays that follow are about the others, in order. height: slots per strip at
    the top of the curve, times the strip's width; filled: slots of the strip that are certain;
    open: that are not; more_bits: m - narrow_bits.
    """

    std: float
    start: npt.NDArray[np.int16]
    narrow_bits: int
    certain: int
    height: Vector
    filled: Vector
    open: Vector
    more_bits: npt.NDArray[np.uint64]

    def exactly_accepted(
        self, slot: int, coin: tuple[int, int], integer: int, part: tuple[int, int]
    ) -> bool:
        """Decide an open slot in 60-digit arithmetic at the point integer - 1/2 + part.

        coin, part: (n, k) say n · 2^-k. Guarantee: with k ≥ 320 decided alike by every continuation
        of the bits, except with probability below 2^-150.
        """
        with localcontext(_CONTEXT):
            uniform, offset = (Decimal(n) / Decimal(2) ** bits for n, bits in (coin, part))
            ratio = (Decimal(integer) - Decimal("0.5") + offset) / Decimal(self.std)
            reached = Decimal(float(self.height[slot])) * (-ratio * ratio / 2).exp()
            return Decimal(self.filled[slot]) + uniform * Decimal(self.open[slot]) < reached


@lru_cache(maxsize=8)
def strips_for(std: float) -> Strips:
    """Return the table for a standard deviation in grid steps, a public number of the study.

    Guarantee: within `REACH` standard deviations the curve is nowhere above a strip's slots nor
    below its certain ones, so that accepted integers have the rounded Gaussian's probabilities.
    """
    narrow = max(0, math.floor(math.log2(std / _STRIPS_PER_STD)))
    first, bits = _cut(std, narrow)
    low, high = first - 0.5, first + (np.exp2(bits) - 0.5)
    nearest = np.where(low > 0, low, np.where(high < 0, high, 0.0)) / std
    farthest = np.maximum(np.abs(low), np.abs(high)) / std
    top, bottom = (np.exp2(bits) * np.exp(-0.5 * ratio * ratio) for ratio in (nearest, farthest))
    scale = _largest_scale(top)
    filled = np.floor(scale * bottom * (1 - _SLACK))
    open_ = np.ceil(scale * top * (1 + _SLACK)) - filled
    # what is left over of the 2^16 slots rejects always: height 0
    spare = [_SLOTS - int((filled + open_).sum())]
    repeats = np.append(open_, spare).astype(np.int64)
    certain = int(filled.sum())
    unit = first >> narrow
    start = [np.repeat(unit, filled.astype(np.int64)), np.repeat(np.append(unit, 0), repeats)]
    return Strips(
        std=std,
        start=np.concatenate(start).astype(np.int16),
        narrow_bits=narrow,
        certain=certain,
        height=np.repeat(np.append(scale * np.exp2(bits), 0.0), repeats),
        filled=np.repeat(np.append(filled, 0.0), repeats),
        open=np.repeat(np.append(open_, 1.0), repeats),
        more_bits=np.repeat(np.append(bits - narrow, 0), repeats).astype(np.uint64),
    )


def _largest_scale(top: Vector) -> float:
    """Return how many slots a density of 1 may ask for, so that all strips together find room."""
    low, high = 0.0, _SLOTS / float(top.sum())
    for _ in range(24):
        middle = (low + high) / 2
        fits = float(np.ceil(middle * top * (1 + _SLACK)).sum()) <= _SLOTS
        low, high = (middle, high) if fits else (low, middle)
    return low


def _cut(std: float, narrow: int) -> tuple[Integers, Integers]:
    """Cut the line into strips: (first integer of each, m of each)."""
    wide = narrow + _WIDER_BITS
    centre = math.ceil(_CENTRE * std / 2**wide)  # the narrow part ends where a wide strip may begin
    outside = max(0, math.ceil((REACH * std + 1) / 2**wide) - centre)
    inner = np.arange(-centre << _WIDER_BITS, centre << _WIDER_BITS, dtype=np.int64) << narrow
    right = np.arange(centre, centre + outside, dtype=np.int64) << wide
    left = np.arange(-centre - outside, -centre, dtype=np.int64) << wide
    first = np.concatenate([inner, left, right])
    return first, np.repeat([narrow, wide], [inner.size, left.size + right.size])

"""The loops over single draws of the noise, compiled to machine code when they first run.

Each is a few lines of arithmetic that numpy would spread over a dozen passes through memory. They
hold no state, see no key, and are ordinary Python that a test runs uncompiled (`py_func`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from cordon_client.training.strips import Strips

    Words = npt.NDArray[np.uint64]
    Integers = npt.NDArray[np.int64]
    Integer = int | np.signedinteger

Loop = TypeVar("Loop", bound="Callable[..., object]")

GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""

PLACE_BITS = 48
"""Lowest bits of a word: the place within the strip, if that many are enough."""

_SLOT_SHIFT = np.uint64(PLACE_BITS)
_ONE = np.uint64(1)
_UNIT = 2.0**-64
_MARGIN = 2.0**-40
_UNSEEN = 2.0**-46
"""Relative and absolute bounds of what float64 and the bits not yet drawn can change in a comparison
with the curve; see PROOF.md."""


def _compiled(function: Loop) -> Loop:
    # no fast-math: additions and products stay in their order, each rounded by itself; no cache on
    # disk: the library would keep it as pickles
    return cast("Loop", njit(nogil=True, error_model="numpy")(function))


@_compiled
def encode(vector: npt.NDArray[np.float64], grid_per_unit: float, steps: Integers) -> bool:
    """Write round(γ · vector) into int64 steps, to nearest, ties to even; say whether all fit.

    One that is not finite, or not within ±2^62, becomes 0.
    """
    fits = True
    for i in range(vector.size):
        scaled = vector[i] * grid_per_unit
        inside = (scaled < GRID_LIMIT) & (scaled > -GRID_LIMIT)
        fits &= inside
        steps[i] = np.int64(np.rint(scaled)) if inside else 0
    return fits


@_compiled
def propose(
    values: Integers, words: Words, places: Words, strips: Strips, still_open: Integers
) -> int:
    """Add a draw to each value whose word names a certain slot; list the others; return how many.

    places: their lowest bits are the place within a strip; `words` itself, where these have enough.
    still_open: room for one index per value and one more.
    """
    mask = (_ONE << np.uint64(strips.narrow_bits)) - _ONE
    count = 0
    for i in range(values.size):
        slot = np.int64(words[i] >> _SLOT_SHIFT)
        draw = (np.int64(strips.start[slot]) << strips.narrow_bits) + np.int64(places[i] & mask)
        is_open = slot >= strips.certain
        values[i] += 0 if is_open else draw
        still_open[count] = i  # stays if it is open: a branch would be guessed wrongly every time
        count += 1 if is_open else 0
    return count


@_compiled
def reached(strips: Strips, slot: Integer, point: float) -> float:
    """Return how many slots the curve fills at a real point of an open slot's strip.

    Guarantee: relative error below 2^-42.
    """
    ratio = point / strips.std
    return float(strips.height[slot] * np.exp(-0.5 * ratio * ratio))


@_compiled
def proposed(strips: Strips, slot: Integer, place: np.uint64, more: np.uint64) -> Integer:
    """Return the integer that an open slot proposes; the strip's further bits come from `more`."""
    narrow, open_slot = np.uint64(strips.narrow_bits), slot - strips.certain
    low = place & ((_ONE << narrow) - _ONE)
    # shifted twice, since a shift by 64 is not defined
    high = (more >> _ONE) >> (np.uint64(63) - strips.more_bits[open_slot])
    return (np.int64(strips.start[slot]) << strips.narrow_bits) + np.int64(low + (high << narrow))


@_compiled
def settle(
    values: Integers,
    words: Words,
    places: Words,
    strips: Strips,
    still_open: Integers,
    fresh: Words,
) -> tuple[int, int]:
    """Decide open slots up to one that asks for more bits: (decided, rejected among them).

    Adds the draw where it is accepted; moves the places of the rejected ones to the front of
    `still_open`. fresh: uint64 [n, 3], coin, point within the integer's cell and further place.
    """
    rejected = 0
    for j in range(still_open.size):
        i = still_open[j]
        slot = np.int64(words[i] >> _SLOT_SHIFT)
        integer = proposed(strips, slot, places[i], fresh[j, 2])
        slot -= strips.certain
        asked = strips.filled[slot] + (fresh[j, 0] * _UNIT) * strips.open[slot]
        curve = reached(strips, slot, (integer - 0.5) + fresh[j, 1] * _UNIT)
        if abs(asked - curve) <= _MARGIN * asked + _UNSEEN:
            return j, rejected
        if asked < curve:
            values[i] += integer
        else:
            still_open[rejected] = i
            rejected += 1
    return still_open.size, rejected

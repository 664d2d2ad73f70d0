"""The loops over single draws of the noise, compiled.

Each is a few lines of arithmetic that numpy would spread over a dozen passes through memory. They
hold no state and see no key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training.compiled import compiled
from cordon_client.training.strips import SLOT_BITS

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.training.strips import Strips

    Words = npt.NDArray[np.uint64]
    Integers = npt.NDArray[np.int64]
    Integer = int | np.signedinteger

GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""

PLACE_BITS = 64 - SLOT_BITS
"""Lowest bits of a word: the place within the strip, if that many are enough."""

REJECTED, ACCEPTED, IN_DOUBT = 0, 1, 2

_SLOT_SHIFT = np.uint64(PLACE_BITS)
_ONE = np.uint64(1)
_UNIT = 2.0**-64
_MARGIN = 2.0**-40
_UNSEEN = 2.0**-46
"""Relative and absolute bounds of what float64 and the bits not yet drawn can change in a comparison
with the curve; see PROOF.md."""


@compiled
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


@compiled
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


@compiled
def reached(strips: Strips, slot: Integer, point: float) -> float:
    """Return how many slots the curve fills at a real point of an open slot's strip.

    Guarantee: relative error below 2^-42.
    """
    ratio = point / strips.std
    return float(strips.height[slot] * np.exp(-0.5 * ratio * ratio))


@compiled
def proposed(strips: Strips, slot: Integer, place: np.uint64, more: np.uint64) -> Integer:
    """Return the integer that a slot proposes; further bits of a wide strip come from `more`."""
    narrow, open_slot = np.uint64(strips.narrow_bits), slot - strips.certain
    draw = np.int64(strips.start[slot]) << strips.narrow_bits
    draw += np.int64(place & ((_ONE << narrow) - _ONE))
    if open_slot < 0:
        return draw
    # shifted twice, since a shift by 64 is not defined
    high = (more >> _ONE) >> (np.uint64(63) - strips.more_bits[open_slot])
    return draw + np.int64(high << narrow)


@compiled
def _judged(
    strips: Strips,
    word: np.uint64,
    place: np.uint64,
    coin: np.uint64,
    part: np.uint64,
    more: np.uint64,
) -> int:
    """Say whether a proposal is accepted, as far as float64 and the bits drawn so far can tell."""
    slot = np.int64(word >> _SLOT_SHIFT)
    open_slot = slot - strips.certain
    if open_slot < 0:
        return ACCEPTED
    asked = strips.filled[open_slot] + (coin * _UNIT) * strips.open[open_slot]
    point = (proposed(strips, slot, place, more) - 0.5) + part * _UNIT
    curve = reached(strips, open_slot, point)
    if abs(asked - curve) <= _MARGIN * asked + _UNSEEN:
        return IN_DOUBT
    return ACCEPTED if asked < curve else REJECTED


@compiled
def settle(
    values: Integers,
    words: Words,
    places: Words,
    strips: Strips,
    still_open: Integers,
    fresh: Words,
) -> tuple[int, int]:
    """Decide open slots up to one that asks for more bits: (decided, left over among them).

    Adds the draw where it is accepted. A rejected place takes the next spare proposal; those that
    find none move to the front of `still_open`. fresh: uint64 [n + spare, 5]; a row holds coin,
    point within the integer's cell and further place of a proposal, and, read of spare ones only,
    its word and place. What the proposal in doubt is made of is in `words`, `places` and its row.
    """
    spare, left = still_open.size, 0
    for j in range(still_open.size):
        i = still_open[j]
        verdict = _judged(strips, words[i], places[i], fresh[j, 0], fresh[j, 1], fresh[j, 2])
        while verdict == REJECTED and spare < len(fresh):
            words[i], places[i] = fresh[spare, 3], fresh[spare, 4]
            for k in range(3):
                fresh[j, k] = fresh[spare, k]
            spare += 1
            verdict = _judged(strips, words[i], places[i], fresh[j, 0], fresh[j, 1], fresh[j, 2])
        if verdict == IN_DOUBT:
            return j, left
        if verdict == ACCEPTED:
            values[i] += proposed(strips, np.int64(words[i] >> _SLOT_SHIFT), places[i], fresh[j, 2])
        else:
            still_open[left] = i
            left += 1
    return still_open.size, left

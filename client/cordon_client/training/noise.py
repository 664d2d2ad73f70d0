"""Gaussian noise from a cryptographic generator, rounded into the integer grid of a release.

No seed is stored, logged or returned; nothing that stays in memory can reproduce a draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training.csprng import WordStream
from cordon_client.training.strips import SLOT_BITS, strips_for
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.training.strips import Strips

    Words = npt.NDArray[np.uint64]
    Integers = npt.NDArray[np.int64]

_CHUNK = 65_536
"""Values per pass over the words, and of a release that are drawn before they meet their data."""

_GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""

_LARGEST_STD = 2.0**57
"""Noise reaches at most 37 standard deviations: below `_GRID_LIMIT`."""

_PLACE_BITS = 64 - SLOT_BITS
_UNIT = 2.0**-64
_MARGIN = 2.0**-40
_UNSEEN = 2.0**-46
"""Relative and absolute bounds of what float64 and the bits not yet drawn can change in a comparison
with the curve; see PROOF.md."""

_MORE_WORDS = 4
_NOWHERE = np.empty(0, dtype=np.int64)


def release(
    vector: npt.NDArray[np.float64], *, grid_per_unit: float, noise_std_grid: float
) -> npt.NDArray[np.int64]:
    """Return round(γ · vector) + Z with Z = round(std · g), g standard Gaussian, as int64 [d].

    Guarantee: equal to round(round(γ · vector) + std · g), so the result is post-processing of the
    Gaussian mechanism on an integer vector; the noise is drawn before it meets the data.
    Source: privacy by post-processing (Dwork, Roth 2014, Prop. 2.1); see PROOF.md.

    Raises:
        SystemFault: SY041 when data or noise do not fit the grid, or the vector is not finite.
    """
    return release_over(vector.copy(), grid_per_unit=grid_per_unit, noise_std_grid=noise_std_grid)


def release_over(
    vector: npt.NDArray[np.float64], *, grid_per_unit: float, noise_std_grid: float
) -> npt.NDArray[np.int64]:
    """Return the same as `release`; the result takes the vector's place in memory.

    Saves a second vector of a large model, and leaves no exact values behind.

    Raises:
        SystemFault: as `release`; part of the vector may then be noised already.
    """
    released = vector.view(np.int64)
    noise = np.empty(min(vector.size, _CHUNK), dtype=np.int64)
    scaled = np.empty(noise.size)
    source = NoiseSource(noise_std_grid)
    rejected = [_NOWHERE]
    for start in range(0, vector.size, _CHUNK):
        data, result = vector[start : start + _CHUNK], released[start : start + _CHUNK]
        drawn, encoded = noise[: data.size], scaled[: data.size]
        again = source.propose(drawn)
        drawn[again] = 0
        _check_fits(data, grid_per_unit)
        np.rint(np.multiply(data, grid_per_unit, out=encoded), out=encoded)
        result[:] = encoded
        result += drawn
        rejected.append(again + start)
    source.add(released, np.concatenate(rejected))
    return released


def encode_grid(vector: npt.NDArray[np.float64], *, grid_per_unit: float) -> npt.NDArray[np.int64]:
    """Return round(γ · vector), to nearest, ties to even, as int64 [d]; exact data, never released.

    Raises:
        SystemFault: SY041 when a value is not finite or beyond ±2^62 grid steps.
    """
    _check_fits(vector, grid_per_unit)
    scaled = vector * grid_per_unit
    return np.rint(scaled, out=scaled).astype(np.int64)


def _check_fits(vector: npt.NDArray[np.float64], grid_per_unit: float) -> None:
    if not vector.size:
        return
    low, high = float(vector.min()) * grid_per_unit, float(vector.max()) * grid_per_unit
    if not (low > -_GRID_LIMIT and high < _GRID_LIMIT):
        raise SystemFault("SY041")


def rounded_gaussian(count: int, *, std: float) -> npt.NDArray[np.int64]:
    """Return `count` independent draws of round(std · g), g standard Gaussian; std in grid steps.

    Guarantee and raises: as `NoiseSource`.
    """
    draws = np.empty(count, dtype=np.int64)
    NoiseSource(std).fill(draws)
    return draws


class NoiseSource:
    """Independent draws of round(std · g), g standard Gaussian, under one key; not thread-safe.

    Guarantee: the probabilities of a rounded Gaussian, exactly, within `strips.REACH` standard
    deviations: all choices are made between whole numbers, but for a comparison with the curve that
    is made with as many random bits and digits as it takes.
    Source: strips.py; lazily revealed uniforms, Karney 2016.
    """

    def __init__(self, std: float) -> None:
        """Take the standard deviation in grid steps.

        Raises:
            SystemFault: SY041 when std is above 2^57 grid steps, so that a draw might not fit.
        """
        if not 0 < std <= _LARGEST_STD:
            raise SystemFault("SY041")
        self._strips, self._stream = strips_for(std), WordStream()

    def fill(self, draws: npt.NDArray[np.int64]) -> None:
        """Overwrite an int64 vector with fresh draws."""
        again = self.propose(draws)
        draws[again] = 0
        self.add(draws, again)

    def add(self, values: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> None:
        """Add a fresh draw at each of some places, all different."""
        while places.size:
            draws = np.empty(places.size, dtype=np.int64)
            again = self.propose(draws)
            draws[again] = 0
            values[places] += draws
            places = places[again]

    def propose(self, draws: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Overwrite an int64 vector and return the places that hold no draw yet: add to them.

        Guarantee: whether a place is rejected says nothing about what it will get.
        """
        return _draw(draws, self._strips, self._stream)


def _draw(draws: Integers, strips: Strips, stream: WordStream) -> Integers:
    """Fill draws with proposals and return the places whose proposal was rejected."""
    words = np.empty(min(draws.size, _CHUNK), dtype=np.uint64)
    slots = np.empty(words.size, dtype=np.uint64)
    first_open = np.uint64(strips.certain << _PLACE_BITS)
    found, found_slots = [], []
    for start in range(0, draws.size, _CHUNK):
        chunk = draws[start : start + _CHUNK]
        word, slot = words[: chunk.size], slots[: chunk.size]
        stream.fill(word)
        np.right_shift(word, _PLACE_BITS, out=slot)
        strips.origin.take(slot.view(np.int64), out=chunk, mode="clip")
        places = np.flatnonzero(word >= first_open)
        if places.size:
            found.append(places + start)
            found_slots.append(slot[places])
        _add_places(chunk, word, strips.narrow_bits, stream)
    if not found:
        return _NOWHERE
    open_places = np.concatenate(found)
    slots_of = np.concatenate(found_slots).view(np.int64) - strips.certain
    integers, accepted = _settle(draws[open_places], slots_of, strips, stream)
    draws[open_places] = integers
    return open_places[~accepted]


def _add_places(draws: Integers, words: Words, bits: int, stream: WordStream) -> None:
    """Add to each draw a place within its strip: the word's lowest bits, or fresh ones."""
    if bits > _PLACE_BITS:
        stream.fill(words)
    words &= np.uint64(2**bits - 1)
    draws += words.view(np.int64)


def _settle(
    integers: Integers, slots: Integers, strips: Strips, stream: WordStream
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Finish proposals of open slots: (integers, which of them are accepted)."""
    size = integers.size
    coin, part, place = stream.take(3 * size).reshape(3, size)
    # wide strips: their place has more bits; shifted twice, since a shift by 64 is not defined
    place = (place >> np.uint64(1)) >> (np.uint64(63) - strips.more_bits.take(slots))
    integers = integers + (place << np.uint64(strips.narrow_bits)).view(np.int64)
    asked = strips.filled.take(slots) + coin * _UNIT * strips.open.take(slots)
    reached = strips.reached(slots, (integers - 0.5) + part * _UNIT)
    accepted: npt.NDArray[np.bool_] = asked < reached
    for i in np.flatnonzero(np.abs(asked - reached) <= _MARGIN * asked + _UNSEEN):
        more = [_continued(int(word), stream) for word in (coin[i], part[i])]
        accepted[i] = strips.exactly_accepted(int(slots[i]), more[0], int(integers[i]), more[1])
    return integers, accepted


def _continued(word: int, stream: WordStream) -> tuple[int, int]:
    """Return a word continued by fresh ones: (n, k) for n · 2^-k."""
    for more in stream.take(_MORE_WORDS):
        word = word << 64 | int(more)
    return word, 64 * (1 + _MORE_WORDS)

"""Gaussian noise from a cryptographic generator, rounded into the integer grid of a release.

No seed is stored, logged or returned; nothing that stays in memory can reproduce a draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training import noise_loops
from cordon_client.training.csprng import WordStream
from cordon_client.training.strips import strips_for
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]
    Integers = npt.NDArray[np.int64]

_CHUNK = 16_384
"""Values that are encoded, drawn for and settled at a time: all of it stays in the cache."""

_LARGEST_STD = 2.0**57
"""Noise reaches at most 37 standard deviations: below `noise_loops.GRID_LIMIT`."""

_MORE_WORDS = 4
_MORE_PROPOSALS = 8


def release(
    vector: npt.NDArray[np.float64], *, grid_per_unit: float, noise_std_grid: float
) -> npt.NDArray[np.int64]:
    """Return round(γ · vector) + Z with Z = round(std · g), g standard Gaussian, as int64 [d].

    Guarantee: equal to round(round(γ · vector) + std · g), so the result is post-processing of the
    Gaussian mechanism on an integer vector; the noise depends on random words alone.
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
    steps = np.empty(min(vector.size, _CHUNK), dtype=np.int64)
    source = NoiseSource(noise_std_grid)
    rejected = []
    for start in range(0, vector.size, _CHUNK):
        data = vector[start : start + _CHUNK]
        chunk = steps[: data.size]
        if not noise_loops.encode(data, grid_per_unit, chunk):
            raise SystemFault("SY041")
        rejected.append(source.propose(chunk) + start)
        released[start : start + _CHUNK] = chunk
    source.add_at(released, rejected)
    return released


def encode_grid(vector: npt.NDArray[np.float64], *, grid_per_unit: float) -> npt.NDArray[np.int64]:
    """Return round(γ · vector), to nearest, ties to even, as int64 [d]; exact data, never released.

    Raises:
        SystemFault: SY041 when a value is not finite or beyond ±2^62 grid steps.
    """
    steps = np.empty(vector.shape, dtype=np.int64)
    if not noise_loops.encode(vector, grid_per_unit, steps):
        raise SystemFault("SY041")
    return steps


def rounded_gaussian(count: int, *, std: float) -> npt.NDArray[np.int64]:
    """Return `count` independent draws of round(std · g), g standard Gaussian; std in grid steps.

    Guarantee and raises: as `NoiseSource`.
    """
    draws = np.zeros(count, dtype=np.int64)
    NoiseSource(std).add(draws)
    return draws


class NoiseSource:
    """Independent draws of round(std · g), g standard Gaussian, under one key; not thread-safe.

    Guarantee: the probabilities of a rounded Gaussian, exactly, within `strips.REACH` standard
    deviations: all choices are made between whole numbers, but for a comparison with the curve that
    is made with as many random bits and digits as it takes. What is drawn depends on the words
    alone, never on the values that it is added to.
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
        self._further_places = self._strips.narrow_bits > noise_loops.PLACE_BITS
        self._words = np.empty(0, dtype=np.uint64)
        self._still_open = np.empty(0, dtype=np.int64)

    def add(self, values: Integers) -> None:
        """Add a fresh draw to every value of a contiguous int64 vector."""
        rejected = [
            self.propose(values[start : start + _CHUNK]) + start
            for start in range(0, values.size, _CHUNK)
        ]
        self.add_at(values, rejected)

    def add_at(self, values: Integers, places: Sequence[Integers]) -> None:
        """Add a fresh draw at each of some places, all different."""
        chosen = np.concatenate([*places, np.empty(0, dtype=np.int64)])
        if chosen.size:
            draws = np.zeros(chosen.size, dtype=np.int64)
            self.add(draws)
            values[chosen] += draws

    def propose(self, values: Integers) -> Integers:
        """Add a fresh draw to most values; return the places that still need one.

        Guarantee: whether a place is rejected says nothing about what it will get.
        """
        if self._words.size < values.size:
            self._words = np.empty(values.size, dtype=np.uint64)
            self._still_open = np.empty(values.size + 1, dtype=np.int64)
        words = self._words[: values.size]
        self._stream.fill(words)
        places = self._stream.take(words.size) if self._further_places else words
        count = noise_loops.propose(values, words, places, self._strips, self._still_open)
        return self._settle(values, words, places, self._still_open[:count])

    def _settle(self, values: Integers, words: Words, places: Words, open_: Integers) -> Integers:
        """Finish the proposals at open places: add the accepted ones, return the others' places."""
        if not open_.size:
            return open_
        spare = 5 * open_.size // 8 + _MORE_PROPOSALS  # about half are rejected
        fresh = self._stream.take(5 * (open_.size + spare)).reshape(-1, 5)
        if not self._further_places:
            fresh[:, 4] = fresh[:, 3]
        decided, rejected = noise_loops.settle(values, words, places, self._strips, open_, fresh)
        left = open_[:rejected].copy()
        if decided == open_.size:
            return left
        at = open_[decided : decided + 1]
        integer = self._slowly(int(words[at[0]]), int(places[at[0]]), fresh[decided])
        values[at] += integer or 0
        # the words of the ones after it were not looked at
        after = self._settle(values, words, places, open_[decided + 1 :])
        return np.concatenate([left, at[: integer is None], after])

    def _slowly(self, word: int, place: int, fresh: Words) -> int | None:
        """Decide a proposal by more bits of its coin and point: its integer, None if rejected."""
        slot = word >> noise_loops.PLACE_BITS
        coin, part = (_continued(int(bits), self._stream) for bits in fresh[:2])
        integer = int(noise_loops.proposed(self._strips, slot, np.uint64(place), fresh[2]))
        accepted = self._strips.exactly_accepted(slot - self._strips.certain, coin, integer, part)
        return integer if accepted else None


def _continued(word: int, stream: WordStream) -> tuple[int, int]:
    """Return a word continued by fresh ones: (n, k) for n · 2^-k."""
    for more in stream.take(_MORE_WORDS):
        word = word << 64 | int(more)
    return word, 64 * (1 + _MORE_WORDS)

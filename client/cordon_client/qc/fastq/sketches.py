"""Two bounded samples of reads that merge exactly: distinct sequences, and reads.

Both keep what has the most leading zero bits in a fixed hash, and as many as fit. What is kept is
then a function of the set of reads alone: not of their order, nor of how files or lanes split
them (adaptive sampling of Wegman: Flajolet 1990, Computing 43:391). The level only ever rises, so
a union of two samples, cut to its level, is the sample of the union.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.fastq.blocks import Block

CAPACITY = 2**16
"""Entries kept of each kind: a standard error of 0.4 % on the number of distinct sequences."""
LONG_READ = 75
"""Reads longer than this are compared by their first `PREFIX` bases, as FastQC does."""
PREFIX = 50
_MERGE_AT = CAPACITY // 4
WINDOW = 80
"""Bytes hashed: the longest sequence that is compared whole, in 8-byte words."""


def _odd_multipliers(words: int) -> npt.NDArray[np.uint64]:
    """Odd 64-bit multipliers from the golden ratio's bits: fixed, public, the same everywhere."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    steps = np.arange(1, words + 1, dtype=np.uint64)
    return (_mixed(steps * golden)) | np.uint64(1)


def _mixed(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread every bit over all bits (Steele et al. 2014, SplitMix64's finaliser)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


_MULTIPLIERS = _odd_multipliers(WINDOW // 8)
_KEEP_BYTES = (np.arange(WINDOW) < np.arange(WINDOW + 1)[:, None]).astype(np.uint8) * np.uint8(255)


def hashed(
    windows: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Hash the first `lengths` bytes of each row of uint8 [n, WINDOW] to uint64 [n]."""
    words = windows.view(np.uint64) & _KEEP_BYTES.view(np.uint64)[lengths]
    return _mixed((words * _MULTIPLIERS).sum(axis=1, dtype=np.uint64) + lengths.astype(np.uint64))


def compared_lengths(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many bases decide whether two reads are the same."""
    compared: npt.NDArray[np.int64] = np.where(lengths > LONG_READ, PREFIX, lengths)
    return compared


def _within(hashes: npt.NDArray[np.uint64], level: int) -> npt.NDArray[np.bool_]:
    """Which hashes have `level` leading zero bits."""
    if not level:
        return np.ones(len(hashes), np.bool_)
    below: npt.NDArray[np.bool_] = hashes < np.uint64(1 << (64 - level))
    return below


def _empty_hashes() -> npt.NDArray[np.uint64]:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True)
class DistinctSample:
    """Distinct sequences whose hash starts with `level` zero bits, and how often each occurs.

    hashes: uint64 [m ≤ CAPACITY], sorted. counts: int64 [m].
    """

    level: int = 0
    hashes: npt.NDArray[np.uint64] = field(default_factory=_empty_hashes)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, hashes: npt.NDArray[np.uint64], level: int = 0) -> Self:
        """Sample these sequences, at this level or a higher one."""
        kept, counts = np.unique(hashes[_within(hashes, level)], return_counts=True)
        return cls(level, kept, counts.astype(np.int64)).cut()

    def __add__(self, other: Self) -> DistinctSample:
        level = max(self.level, other.level)
        hashes = np.concatenate([self.hashes, other.hashes])
        counts = np.concatenate([self.counts, other.counts])
        inside = _within(hashes, level)
        kept, where = np.unique(hashes[inside], return_inverse=True)
        merged = np.bincount(where, weights=counts[inside], minlength=len(kept)).astype(np.int64)
        return DistinctSample(level, kept, merged).cut()

    def cut(self) -> Self:
        """Return the sample at the lowest level, from its own, at which it fits."""
        sample = self
        while len(sample.hashes) > CAPACITY:
            inside = _within(sample.hashes, sample.level + 1)
            sample = type(self)(sample.level + 1, sample.hashes[inside], sample.counts[inside])
        return sample

    @property
    def distinct(self) -> int:
        """Estimated number of distinct sequences; exact while the level is 0."""
        return len(self.hashes) << self.level

    def duplication_levels(self) -> dict[int, int]:
        """Sampled sequences by how often they occur: {occurrences: sequences}."""
        levels, counts = np.unique(self.counts, return_counts=True)
        return dict(zip(levels.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class ReadSample:
    """Reads whose hash of title and qualities starts with `level` zero bits.

    hashes: uint64 [m ≤ CAPACITY]. windows: uint8 [m, WINDOW], the bases that are compared, zeros
    behind them. A multiset: the order means nothing.
    """

    level: int = 0
    hashes: npt.NDArray[np.uint64] = field(default_factory=_empty_hashes)
    windows: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, WINDOW), np.uint8))

    @classmethod
    def of(cls, block: Block, windows: npt.NDArray[np.uint8], level: int = 0) -> Self:
        """Sample a block's reads, at this level or a higher one; windows: their sequences."""
        title_lengths = np.minimum(block.ends[:, 0] - block.starts[:, 0], WINDOW)
        quality_lengths = np.minimum(block.lengths, WINDOW)
        hashes = _mixed(
            hashed(block.windows(0, WINDOW), title_lengths)
            + hashed(block.windows(3, WINDOW), quality_lengths)
        )
        inside = _within(hashes, level)
        compared = compared_lengths(block.lengths[inside])
        bases = windows[inside] & _KEEP_BYTES[compared]
        return cls(level, hashes[inside], bases).cut()

    def __add__(self, other: Self) -> ReadSample:
        level = max(self.level, other.level)
        hashes = np.concatenate([self.hashes, other.hashes])
        windows = np.concatenate([self.windows, other.windows])
        return ReadSample(level, hashes, windows).cut()

    def cut(self) -> Self:
        """Return the sample at its own level, or at the lowest one at which it fits."""
        level, inside = self.level, _within(self.hashes, self.level)
        while int(inside.sum()) > CAPACITY:
            level += 1
            inside = _within(self.hashes, level)
        return type(self)(level, self.hashes[inside], self.windows[inside])

    def frequent(self, least: float) -> list[tuple[bytes, float]]:
        """Sequences that make up more than `least` of the sampled reads, most frequent first."""
        if not len(self.windows):
            return []
        rows = np.ascontiguousarray(self.windows).view(f"S{WINDOW}").ravel()
        sequences, counts = np.unique(rows, return_counts=True)
        shares = counts / len(rows)
        order = np.lexsort((np.arange(len(shares)), -shares))
        return [
            (bytes(sequences[i]), float(shares[i]))
            for i in order.tolist()
            if shares[i] > least and counts[i] > 1
        ]


class SketchBuilder:
    """Both samples of a stream of blocks; merges only when enough has come together."""

    def __init__(self) -> None:
        self._distinct, self._reads = DistinctSample(), ReadSample()
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._waiting: list[ReadSample] = []

    def add(self, block: Block) -> None:
        """Sample a block."""
        windows = block.windows(1, WINDOW)
        hashes = hashed(windows, compared_lengths(block.lengths))
        self._hashes.append(hashes[_within(hashes, self._distinct.level)])
        self._waiting.append(ReadSample.of(block, windows, self._reads.level))
        if sum(map(len, self._hashes)) > _MERGE_AT:
            self._merge_hashes()
        if sum(len(each.hashes) for each in self._waiting) > _MERGE_AT:
            self._merge_reads()

    def _merge_hashes(self) -> None:
        hashes = np.concatenate([_empty_hashes(), *self._hashes])
        self._distinct += DistinctSample.of(hashes, self._distinct.level)
        self._hashes.clear()

    def _merge_reads(self) -> None:
        hashes = np.concatenate([_empty_hashes(), *(each.hashes for each in self._waiting)])
        rows = [np.zeros((0, WINDOW), np.uint8), *(each.windows for each in self._waiting)]
        # Equal to adding them one by one: a sample is a function of the set of its reads.
        level = max([self._reads.level, *(each.level for each in self._waiting)])
        self._reads += ReadSample(level, hashes, np.concatenate(rows)).cut()
        self._waiting.clear()

    def samples(self) -> tuple[DistinctSample, ReadSample]:
        """Return both samples of what was added so far."""
        self._merge_hashes()
        self._merge_reads()
        return self._distinct, self._reads

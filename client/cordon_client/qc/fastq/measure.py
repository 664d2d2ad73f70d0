"""What is counted over a FASTQ file: integers whose merge is addition.

sequali counts bases, GC and adapters; qualities are counted here, because its classes of four
Phred scores cannot give an exact median, Q20 or Q30.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from sequali import AdapterCounter, FastqParser, QCMetrics

from cordon_client.qc.fastq.blocks import blocks
from cordon_client.qc.fastq.sketches import DistinctSample, ReadSample, SketchBuilder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.fastq.blocks import Block

ADAPTERS = (
    ("Illumina universal", "AGATCGGAAGAG"),
    ("Illumina small RNA 3'", "TGGAATTCTCGG"),
    ("Illumina small RNA 5'", "GATCGTCGGACT"),
    ("Nextera transposase", "CTGTCTCTTATA"),
    ("poly-G", "GGGGGGGGGGGG"),
)
"""The first bases of the adapters that sequencing kits leave behind."""

EXACT_POSITIONS = 300
_GROUP_STARTS = tuple(EXACT_POSITIONS * 2**power for power in range(16))
CELLS = EXACT_POSITIONS + len(_GROUP_STARTS)
"""Positions are counted one by one up to 300, then in groups that double: a public, fixed grid."""
CELL_STARTS = np.array([*range(EXACT_POSITIONS), *_GROUP_STARTS], np.int64)
CHARACTERS = 128
GC_UNIT = 4096
_FINE_LENGTH = 500
"""Longer reads have so many GC values that each percent gets its fair share by rounding."""
_STRONG = 0x43
_N, _LOWER = ord("n"), 0x20


def cell_of(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the position cell of 0-based positions."""
    cells: npt.NDArray[np.int64] = np.searchsorted(CELL_STARTS, positions, side="right") - 1
    return cells


def _zeros(*shape: int) -> Callable[[], npt.NDArray[np.int64]]:
    return lambda: np.zeros(shape, np.int64)


@dataclass(frozen=True)
class FastqMeasures:
    """Counts over reads; every field adds up.

    quality: int64 [CELLS, CHARACTERS], bases by position and quality character. composition: int64
    [CELLS, 5], bases A, C, G, T and anything else. letters: the part of "anything else" that is
    not N. lengths: reads by the cell of their length; empty: those without bases. gc: int64 [101],
    reads by GC percent in 1/GC_UNIT, each spread over the percents its length stands for. read_quality:
    reads by the whole part of their mean quality character. adapters: int64 [adapters, CELLS], reads
    by where an adapter was first seen.
    """

    reads: int = 0
    bases: int = 0
    letters: int = 0
    empty: int = 0
    quality: npt.NDArray[np.int64] = field(default_factory=_zeros(CELLS, CHARACTERS))
    composition: npt.NDArray[np.int64] = field(default_factory=_zeros(CELLS, 5))
    lengths: npt.NDArray[np.int64] = field(default_factory=_zeros(CELLS))
    gc: npt.NDArray[np.int64] = field(default_factory=_zeros(101))
    read_quality: npt.NDArray[np.int64] = field(default_factory=_zeros(CHARACTERS))
    adapters: npt.NDArray[np.int64] = field(default_factory=_zeros(len(ADAPTERS), CELLS))
    distinct: DistinctSample = field(default_factory=DistinctSample)
    sample: ReadSample = field(default_factory=ReadSample)

    def __add__(self, other: Self) -> FastqMeasures:
        return FastqMeasures(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )


class FastqCounter:
    """Counts the blocks of one file."""

    def __init__(self) -> None:
        self._metrics = QCMetrics()
        self._adapters = AdapterCounter([sequence for _, sequence in ADAPTERS])
        self._sketches = SketchBuilder()
        self._reads = self._bases = self._unknown = self._empty = 0
        self._gc = np.zeros(101, np.int64)
        self._quality = np.zeros((CELLS, CHARACTERS), np.int64)
        self._read_quality = np.zeros(CHARACTERS, np.int64)
        self._lengths = np.zeros(CELLS, np.int64)

    def add(self, block: Block) -> None:
        """Count a block."""
        text = memoryview(block.text)[: block.size]
        # sequali states no types.
        views = FastqParser(io.BytesIO(text), block.size + 1).read(block.reads)  # type: ignore[no-untyped-call]
        self._metrics.add_record_array(views)
        self._adapters.add_record_array(views)
        self._sketches.add(block)
        bases = block.line(1)
        self._unknown += int(np.count_nonzero((bases | np.uint8(_LOWER)) == _N))
        self._reads += block.reads
        self._bases += len(bases)
        self._empty += int(np.count_nonzero(block.lengths == 0))
        self._gc += _gc_percents(block, bases)
        self._lengths += np.bincount(cell_of(block.lengths), minlength=CELLS)
        self._qualities(block)

    def _qualities(self, block: Block) -> None:
        width = block.width
        if width is not None and width <= EXACT_POSITIONS:
            codes, sums = _codes_of_equal_reads(block, width)
        else:
            codes, sums = _codes(block)
        cells = int(codes.max(initial=0)) + 1
        self._quality.reshape(-1)[:cells] += np.bincount(codes, minlength=cells)
        lengths = block.lengths
        means = sums[lengths > 0] // lengths[lengths > 0]
        self._read_quality += np.bincount(means, minlength=CHARACTERS)

    def measures(self) -> FastqMeasures:
        """Return what was counted so far."""
        composition = _by_cell(np.array(self._metrics.base_count_table(), np.int64).reshape(-1, 5))
        counts = (np.array(forward, np.int64) for _, forward, _ in self._adapters.get_counts())
        distinct, sample = self._sketches.samples()
        return FastqMeasures(
            reads=self._reads,
            bases=self._bases,
            letters=int(composition[:, 4].sum()) - self._unknown,
            empty=self._empty,
            quality=self._quality,
            composition=composition,
            lengths=self._lengths,
            gc=self._gc,
            read_quality=self._read_quality,
            adapters=np.stack([_by_cell(each[:, None])[:, 0] for each in counts]),
            distinct=distinct,
            sample=sample,
        )


def _codes_of_equal_reads(
    block: Block, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """As `_codes`, several times faster for reads of one length."""
    per_read = block.windows(3, width)
    codes = per_read.astype(np.int64)
    codes += np.arange(0, width * CHARACTERS, CHARACTERS)
    return codes.reshape(-1), per_read.sum(axis=1, dtype=np.int64)


def _codes(block: Block) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each base's place in the quality table, and each read's sum of characters."""
    characters, lengths = block.line(3), block.lengths
    before = np.cumsum(lengths) - lengths
    positions = np.arange(len(characters)) - np.repeat(before, lengths)
    totals = np.concatenate([[0], np.cumsum(characters, dtype=np.int64)])
    codes = cell_of(positions) * CHARACTERS + characters
    return codes, totals[before + lengths] - totals[before]


@lru_cache(maxsize=1024)
def _spread(length: int) -> npt.NDArray[np.int64]:
    """Share of each percent in a read with k of `length` bases G or C: int64 [length + 1, 101].

    150 bases have 151 possible values for 101 percents: rounding would double every other one.
    Rows sum to GC_UNIT exactly.
    """
    edges = np.clip((np.arange(length + 2) - 0.5) / length * 100, -0.5, 100.5)
    below = np.clip(np.arange(102) - 0.5, -0.5, 100.5)
    upper = np.minimum(edges[1:, None], below[None, 1:])
    lower = np.maximum(edges[:-1, None], below[None, :-1])
    overlap = np.maximum(upper - lower, 0)
    cumulative = np.cumsum(overlap, axis=1) / overlap.sum(axis=1, keepdims=True)
    steps = np.rint(cumulative * GC_UNIT).astype(np.int64)
    shares: npt.NDArray[np.int64] = np.diff(steps, axis=1, prepend=0)
    return shares


def _gc_percents(block: Block, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count a block's reads by GC percent, in 1/GC_UNIT."""
    # G, C, g and c, and no other letter, are 0x43 without their third and sixth bit.
    strong = (bases & np.uint8(0xDB)) == _STRONG
    width = block.width
    if width is not None and 0 < width <= _FINE_LENGTH:
        per_read = strong.reshape(block.reads, width).sum(axis=1, dtype=np.int64)
        counts: npt.NDArray[np.int64] = np.bincount(per_read, minlength=width + 1)
        spread: npt.NDArray[np.int64] = counts @ _spread(width)
        return spread
    lengths = block.lengths
    ends = np.cumsum(lengths)
    totals = np.concatenate([[0], np.cumsum(strong, dtype=np.int64)])
    per_read = totals[ends] - totals[ends - lengths]
    percents = np.zeros(101, np.int64)
    for length in np.unique(lengths[(lengths > 0) & (lengths <= _FINE_LENGTH)]).tolist():
        percents += np.bincount(per_read[lengths == length], minlength=length + 1) @ _spread(length)
    long = lengths > _FINE_LENGTH
    rounded = np.rint(100 * per_read[long] / lengths[long]).astype(np.int64)
    percents += np.bincount(rounded, minlength=101) * GC_UNIT
    return percents


def _by_cell(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add the rows of int64 [positions, k] up to int64 [CELLS, k]."""
    added = np.zeros((CELLS, table.shape[1]), np.int64)
    np.add.at(added, cell_of(np.arange(len(table))), table)
    return added


def measure_file(path: Path, role: str, told: Callable[[int], None]) -> FastqMeasures:
    """Count one FASTQ file; `told` gets the compressed bytes read so far.

    Raises:
        FastqFault: DA040 naming the rule and the line.
    """
    counter = FastqCounter()
    for block in blocks(path, role, told):
        counter.add(block)
    return counter.measures()

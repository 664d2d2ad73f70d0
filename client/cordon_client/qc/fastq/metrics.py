"""What the counts say: shares, quantiles and fits, each a pure function of the measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.fastq.measure import ADAPTERS, CELL_STARTS, GC_UNIT

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.fastq.measure import FastqMeasures

PHRED_33, PHRED_64 = 33, 64
_HIGHEST_PHRED_64 = 64 + 42
_REACHED_BY = 0.01
"""Positions that fewer reads reach say nothing about the run."""


@dataclass(frozen=True)
class Positions:
    """Quality along the read: 1-based position, and Phred scores there.

    Arrays of equal length, one entry per position cell that enough reads reach.
    """

    position: npt.NDArray[np.int64]
    median: npt.NDArray[np.int64]
    lower_quartile: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]


def phred_offset(measures: FastqMeasures) -> int:
    """33, or 64 when all qualities lie where only Phred+64 writes them."""
    used = np.flatnonzero(measures.quality.sum(axis=0))
    old = len(used) > 0 and used[0] >= PHRED_64 and used[-1] <= _HIGHEST_PHRED_64
    return PHRED_64 if old else PHRED_33


def _reached(measures: FastqMeasures) -> npt.NDArray[np.int64]:
    """Position cells that hold at least one base for every 100 reads."""
    bases = measures.composition.sum(axis=1)
    reached = np.flatnonzero((bases > 0) & (bases >= _REACHED_BY * measures.reads))
    return reached.astype(np.int64)


def along_the_read(measures: FastqMeasures) -> Positions:
    """Quality at each position."""
    cells = _reached(measures)
    table = measures.quality[cells]
    scores = np.arange(table.shape[1]) - phred_offset(measures)
    totals = table.sum(axis=1)
    return Positions(
        position=CELL_STARTS[cells] + 1,
        median=scores[_quantile(table, totals, 2)],
        lower_quartile=scores[_quantile(table, totals, 4)],
        mean=(table @ scores) / np.maximum(totals, 1),
    )


def _quantile(
    table: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], parts: int
) -> npt.NDArray[np.int64]:
    """Return the first column at which a row's running sum reaches total / parts."""
    reached: npt.NDArray[np.int64] = (np.cumsum(table, axis=1) * parts >= totals[:, None]).argmax(
        axis=1
    )
    return reached


def quality_shortfall(measures: FastqMeasures) -> float | None:
    """Phred points short of median 25 or lower quartile 10 at the worst position; 0 = none."""
    positions = along_the_read(measures)
    if not len(positions.position):
        return None
    short = np.maximum(25 - positions.median, 10 - positions.lower_quartile)
    return float(max(0, short.max()))


def share_at_least(measures: FastqMeasures, phred: int) -> float | None:
    """Share of bases at this Phred score or better."""
    if not measures.bases:
        return None
    better = measures.quality[:, phred_offset(measures) + phred :].sum()
    return float(better) / measures.bases


def usual_read_quality(measures: FastqMeasures) -> float | None:
    """Most frequent mean quality of a read, Phred."""
    if not measures.read_quality.any():
        return None
    return float(measures.read_quality.argmax() - phred_offset(measures))


def composition_shares(measures: FastqMeasures) -> npt.NDArray[np.float64]:
    """Share of A, C, G, T among called bases by reached position: float64 [positions, 4]."""
    called = measures.composition[_reached(measures), :4]
    shares: npt.NDArray[np.float64] = called / np.maximum(called.sum(axis=1, keepdims=True), 1)
    return shares


def composition_gap(measures: FastqMeasures) -> float | None:
    """Largest difference of shares at one position, A to T or G to C."""
    shares = composition_shares(measures)
    if not len(shares):
        return None
    pairs = np.abs(shares[:, [0, 2]] - shares[:, [3, 1]])
    return float(pairs.max())


def unknown_share(measures: FastqMeasures) -> float | None:
    """Largest share of uncalled bases at one reached position."""
    table = measures.composition[_reached(measures)]
    if not len(table):
        return None
    return float((table[:, 4] / np.maximum(table.sum(axis=1), 1)).max())


def gc_share(measures: FastqMeasures) -> float | None:
    """Share of G and C among called bases."""
    called = measures.composition[:, :4].sum(axis=0)
    return float(called[1] + called[2]) / float(called.sum()) if called.sum() else None


def fitted_normal(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Normal curve about the top of the distribution, with the scatter about it; same sum.

    The centre is the middle of the neighbours of the highest percent that hold at least half as
    many reads: FastQC's fit, over half the height instead of nine tenths, so that noise at the top
    does not move it.
    """
    percents = np.arange(len(counts))
    top = int(counts.argmax())
    plateau = counts >= 0.5 * counts[top]
    low = high = top
    while low > 0 and plateau[low - 1]:
        low -= 1
    while high < len(counts) - 1 and plateau[high + 1]:
        high += 1
    centre, total = (low + high) / 2, counts.sum()
    variance = ((percents - centre) ** 2 * counts).sum() / max(total - 1, 1e-9)
    density = np.exp(-((percents - centre) ** 2) / (2 * max(variance, 1e-9)))
    curve: npt.NDArray[np.float64] = density / density.sum() * total
    return curve


def gc_deviation(measures: FastqMeasures) -> float | None:
    """Share of reads off the fitted normal curve: sum of differences over the number of reads."""
    counts = measures.gc / GC_UNIT
    total = counts.sum()
    if total < 1:
        return None
    return float(np.abs(counts - fitted_normal(counts)).sum() / total)


def adapter_shares(measures: FastqMeasures) -> dict[str, npt.NDArray[np.float64]]:
    """Share of reads in which an adapter was seen by a position cell, for each adapter found."""
    cells = _reached(measures)
    last = int(cells[-1]) + 1 if len(cells) else 0
    cumulative = np.cumsum(measures.adapters[:, :last], axis=1) / max(measures.reads, 1)
    names = [name for name, _ in ADAPTERS]
    return {name: row for name, row in zip(names, cumulative, strict=True) if row.any()}


def adapter_share(measures: FastqMeasures) -> float | None:
    """Share of reads with the most frequent adapter."""
    if not measures.reads:
        return None
    return float(measures.adapters.sum(axis=1).max()) / measures.reads


def duplicate_share(measures: FastqMeasures) -> float | None:
    """Share of reads that keeping one read of each sequence would remove.

    Exact up to 65,536 distinct sequences, then an estimate with a standard error of 0.4 points
    per unit of distinct share.
    """
    if not measures.reads:
        return None
    return max(0.0, 1 - measures.distinct.distinct / measures.reads)


def known_source(sequence: bytes) -> str | None:
    """Name the adapter that a sequence holds, if any."""
    return next((name for name, part in ADAPTERS if part.encode() in sequence.upper()), None)

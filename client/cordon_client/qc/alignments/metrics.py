"""What the counts of alignments say: shares, depths, complexity; pure functions of the measures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.alignments.measure import AlignmentMeasures

_FEW_WINDOWS = 5


def share(measures: AlignmentMeasures, part: str, whole: str) -> float | None:
    """One flag count over another."""
    total = measures.flags[whole]
    return measures.flags[part] / total if total else None


def low_mapping_quality(measures: AlignmentMeasures) -> float | None:
    """Share of mapped reads whose place is wrong with more than one percent probability."""
    total = int(measures.mapq.sum())
    return int(measures.mapq[:20].sum()) / total if total else None


def mean_depth(measures: AlignmentMeasures) -> float | None:
    """Mean depth over all positions of the reference; None for unsorted files."""
    positions = int(measures.depth.sum())
    if not positions:
        return None
    return float(np.arange(len(measures.depth)) @ measures.depth) / positions


def _quantile(counts: npt.NDArray[np.int64], part: float) -> int:
    """Return the smallest cell at which at least this part of the counts is reached."""
    return int(np.searchsorted(np.cumsum(counts), part * counts.sum()))


def median_depth(measures: AlignmentMeasures) -> float | None:
    """Median depth over all positions of the reference."""
    return float(_quantile(measures.depth, 0.5)) if measures.depth.any() else None


def breadth(measures: AlignmentMeasures, least: int) -> float | None:
    """Share of the reference's positions with at least this depth."""
    positions = int(measures.depth.sum())
    return int(measures.depth[least:].sum()) / positions if positions else None


def fold_80(measures: AlignmentMeasures) -> float | None:
    """How many times deeper to sequence so that 80 % of covered positions reach today's mean.

    Mean depth over the 20th percentile of depth, both over positions with a depth of 1 or more:
    the definition in Picard's documentation (its code also counts positions without depth).
    """
    covered = measures.depth.copy()
    covered[0] = 0
    if not covered.any():
        return None
    mean = float(np.arange(len(covered)) @ covered) / int(covered.sum())
    return mean / _quantile(covered, 0.2)


def median_insert(measures: AlignmentMeasures) -> float | None:
    """Median template length of proper pairs."""
    return float(_quantile(measures.inserts, 0.5)) if measures.inserts.any() else None


def short_inserts(measures: AlignmentMeasures) -> float | None:
    """Share of proper pairs shorter than the usual read, which therefore read the adapter."""
    total = int(measures.inserts.sum())
    if not total or not measures.lengths.any():
        return None
    usual = int(measures.lengths.argmax())
    return int(measures.inserts[:usual].sum()) / total


def non_redundant(measures: AlignmentMeasures) -> float | None:
    """NRF: distinct places over fragments."""
    total, distinct, _, _ = measures.places.tolist()
    return distinct / total if total else None


def bottleneck_1(measures: AlignmentMeasures) -> float | None:
    """PBC1: places with one fragment over distinct places."""
    _, distinct, once, _ = measures.places.tolist()
    return once / distinct if distinct else None


def bottleneck_2(measures: AlignmentMeasures) -> float | None:
    """PBC2: places with one fragment over places with two; None without any such pair."""
    _, _, once, twice = measures.places.tolist()
    return once / twice if twice else None


def library_size(measures: AlignmentMeasures) -> float | None:
    """Estimated number of distinct fragments in the library, from C/L = 1 - exp(-N/L).

    N: fragments, C: distinct ones (Lander & Waterman 1988). None without duplicates: the library is
    larger than what was read can tell.
    """
    total, distinct, _, _ = measures.places.tolist()
    if not distinct or distinct >= total:
        return None

    def excess(size: float) -> float:
        return float(size * -math.expm1(-total / size) - distinct)

    low, high = float(distinct), float(distinct)
    while excess(high) < 0:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


def gc_curve(measures: AlignmentMeasures) -> list[tuple[int, float]]:
    """Reads per window relative to the mean, by the middle of 5 percents of GC; common ones only."""
    windows, reads = _by_five(measures.gc_windows), _by_five(measures.gc_reads)
    known = np.flatnonzero(windows >= max(_FEW_WINDOWS, int(windows.sum()) // 1000))
    total = int(reads.sum())
    if not total or not len(known):
        return []
    mean = total / int(windows.sum())
    ratio = reads[known] / windows[known] / mean
    return list(zip((5 * known + 2).tolist(), ratio.tolist(), strict=True))


def _by_five(percents: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    cells: npt.NDArray[np.int64] = np.add.reduceat(percents, range(0, 101, 5))
    return cells


def gc_bias(measures: AlignmentMeasures) -> float | None:
    """Mean distance of the relative coverage from 1, over the reference's windows; None without one."""
    curve = gc_curve(measures)
    if not curve:
        return None
    weights = _by_five(measures.gc_windows)[[percent // 5 for percent, _ in curve]]
    away = np.abs(np.array([ratio for _, ratio in curve]) - 1)
    return float((away * weights).sum() / weights.sum())

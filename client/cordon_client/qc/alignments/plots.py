"""Pictures of alignments, each with the sentence that says what it means here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.alignments import metrics
from cordon_client.qc.modality import Band, Plot, Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_client.qc.alignments.measure import AlignmentMeasures

_INSERT_STEP = 10


def sample_plots(measures: AlignmentMeasures) -> tuple[Plot, ...]:
    """Draw one sample: what there is of depth, insert size, mapping quality and GC bias."""
    plots = (_coverage(measures), _inserts(measures), _mapping(measures), _gc(measures))
    return tuple(plot for plot in plots if plot is not None)


def _coverage_line(name: str, measures: AlignmentMeasures) -> Series:
    positions = int(measures.depth.sum())
    least = np.cumsum(measures.depth[::-1])[::-1] / positions
    shown = range(1, 1 + min(100, max(10, int(3 * (metrics.mean_depth(measures) or 0)))))
    return Series(name, tuple(shown), tuple(round(100 * float(least[d]), 3) for d in shown))


def _coverage(measures: AlignmentMeasures) -> Plot | None:
    if not measures.depth.any():
        return None
    mean, at_20 = metrics.mean_depth(measures) or 0.0, metrics.breadth(measures, 20) or 0.0
    return Plot(
        "bam.coverage",
        "Coverage",
        "line",
        "depth of at least (reads)",
        "percent of the reference",
        f"The mean depth is {mean:.1f}; {at_20:.1%} of the reference have 20 reads or more, which a "
        "heterozygote needs to be seen. A long slope means uneven coverage.",
        (_coverage_line("reference", measures),),
    )


def _inserts(measures: AlignmentMeasures) -> Plot | None:
    total = int(measures.inserts.sum())
    if not total:
        return None
    cells = measures.inserts[:-1].reshape(-1, _INSERT_STEP).sum(axis=1)
    last = int(np.flatnonzero(cells)[-1]) + 2 if cells.any() else 1
    shown = cells[:last]
    short = metrics.short_inserts(measures) or 0.0
    median = metrics.median_insert(measures) or 0.0
    return Plot(
        "bam.insert-size",
        "Insert size",
        "line",
        "template length (bases)",
        "percent of proper pairs",
        f"The median fragment has {median:.0f} bases; {short:.1%} are shorter than a read and run "
        "into the adapter. A second peak means two libraries, waves of 10 bases degraded DNA.",
        (
            Series(
                "pairs",
                tuple(range(0, last * _INSERT_STEP, _INSERT_STEP)),
                tuple(round(100 * int(n) / total, 4) for n in shown),
            ),
        ),
    )


def _mapping(measures: AlignmentMeasures) -> Plot | None:
    total = int(measures.mapq.sum())
    if not total:
        return None
    edges = (0, 1, 10, 20, 30, 40, 60)
    cells = np.add.reduceat(measures.mapq, edges)
    names = ("0", "1-9", "10-19", "20-29", "30-39", "40-59", "60+")
    low = metrics.low_mapping_quality(measures) or 0.0
    return Plot(
        "bam.mapping-quality",
        "Mapping quality",
        "bars",
        "MAPQ",
        "percent of mapped reads",
        f"{low:.1%} of the mapped reads may belong elsewhere. Many of them mean repeats, a wrong "
        "reference, or another organism.",
        (Series("reads", names, tuple(round(100 * int(n) / total, 3) for n in cells)),),
    )


def _gc(measures: AlignmentMeasures) -> Plot | None:
    curve = metrics.gc_curve(measures)
    if not curve:
        return None
    bias = metrics.gc_bias(measures) or 0.0
    return Plot(
        "bam.gc-bias",
        "GC bias",
        "line",
        "GC of the reference (percent of 1,000 bases)",
        "reads relative to the mean",
        f"Coverage is {bias:.0%} off its mean because of GC content. A flat line is a PCR-free "
        "library; a hill in the middle loses promoters and first exons.",
        (
            Series(
                "coverage",
                tuple(percent for percent, _ in curve),
                tuple(round(ratio, 4) for _, ratio in curve),
            ),
        ),
        (Band(0.8, 1.2, "pass"),),
    )


def cohort_plots(samples: Sequence[tuple[str, AlignmentMeasures]]) -> tuple[Plot, ...]:
    """Draw all samples' coverage in one picture."""
    lines = [_coverage_line(name, each) for name, each in samples if each.depth.any()]
    if not lines:
        return ()
    return (
        Plot(
            "bam.cohort-coverage",
            "Coverage, all samples",
            "line",
            "depth of at least (reads)",
            "percent of the reference",
            "Samples whose line falls earlier have fewer usable reads; genotypes called from them are "
            "less certain.",
            tuple(lines),
        ),
    )

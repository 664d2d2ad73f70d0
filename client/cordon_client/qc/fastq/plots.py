"""Pictures of reads, each with the sentence that says what it means here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.fastq import metrics
from cordon_client.qc.fastq.measure import GC_UNIT
from cordon_client.qc.modality import Band, Plot, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cordon_client.qc.fastq.measure import FastqMeasures
    from cordon_client.qc.modality import Number

_QUALITY_BANDS = (Band(0, 20, "fail"), Band(20, 25, "warn"), Band(25, 45, "pass"))


def read_plots(files: Mapping[str, FastqMeasures]) -> tuple[Plot, ...]:
    """Draw a sample's files: quality, GC, adapters, duplication."""
    return (
        _quality(files),
        _composition(files),
        _gc(files),
        _adapters(files),
        _duplication(files),
    )


def _line(name: str, x: Iterable[Number | str], y: Iterable[float], digits: int = 3) -> Series:
    return Series(name, tuple(x), tuple(round(float(value), digits) for value in y))


def _quality(files: Mapping[str, FastqMeasures]) -> Plot:
    lines, worst = [], 0.0
    for role, measures in files.items():
        along = metrics.along_the_read(measures)
        x = along.position.tolist()
        lines += [
            _line(f"{role} median", x, along.median),
            _line(f"{role} lower quartile", x, along.lower_quartile),
            _line(f"{role} mean", x, along.mean, 1),
        ]
        worst = max(worst, metrics.quality_shortfall(measures) or 0.0)
    verdict = (
        "The quality stays good to the end of the reads; nothing to do."
        if not worst
        else f"At its worst position the quality falls {worst:.0f} Phred short: trim the reads there."
    )
    return Plot(
        "fastq.quality",
        "Quality along the read",
        "line",
        "position in the read (bases)",
        "Phred score",
        verdict,
        tuple(lines),
        _QUALITY_BANDS,
    )


def _composition(files: Mapping[str, FastqMeasures]) -> Plot:
    role, measures = next(iter(files.items()))
    x = metrics.along_the_read(measures).position.tolist()
    shares = metrics.composition_shares(measures) * 100
    gap = metrics.composition_gap(measures) or 0.0
    return Plot(
        "fastq.composition",
        f"Bases along the read ({role})",
        "line",
        "position in the read (bases)",
        "percent of called bases",
        f"A to T, or G to C, differ by {gap:.1%} at most. Flat parallel lines are a random "
        "library; a jump in the first bases is priming, one at the end an adapter.",
        tuple(_line(base, x, shares[:, i], 2) for i, base in enumerate("ACGT")),
    )


def _gc(files: Mapping[str, FastqMeasures]) -> Plot:
    lines = []
    for role, measures in files.items():
        counts = measures.gc / GC_UNIT
        total = max(float(counts.sum()), 1.0)
        lines.append(_line(role, range(101), 100 * counts / total))
        if counts.sum() >= 1:
            fitted = metrics.fitted_normal(counts)
            lines.append(_line(f"{role} fitted", range(101), 100 * fitted / total))
    worst = max((metrics.gc_deviation(measures) or 0.0) for measures in files.values())
    return Plot(
        "fastq.gc",
        "GC content of reads",
        "line",
        "GC (percent of a read)",
        "percent of reads",
        f"{worst:.0%} of the reads lie off the fitted bell. One bell is one genome; a second bell "
        "is another organism, a needle is one sequence or an adapter.",
        tuple(lines),
    )


def _adapters(files: Mapping[str, FastqMeasures]) -> Plot:
    lines = []
    for role, measures in files.items():
        x = metrics.along_the_read(measures).position.tolist()
        for name, shares in metrics.adapter_shares(measures).items():
            picked = shares[-len(x) :] if len(x) <= len(shares) else shares
            lines.append(_line(f"{role} {name}", x, 100 * picked))
    share = max((metrics.adapter_share(measures) or 0.0) for measures in files.values())
    return Plot(
        "fastq.adapters",
        "Adapters along the read",
        "line",
        "position in the read (bases)",
        "percent of reads that met an adapter by here",
        f"{share:.1%} of the reads run into an adapter. Trim them before alignment when more "
        "than 5 % do.",
        tuple(lines),
        (Band(0, 5, "pass"), Band(5, 10, "warn"), Band(10, 100, "fail")),
    )


def _duplication(files: Mapping[str, FastqMeasures]) -> Plot:
    cells = ((1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5-9"), (10, "10-99"), (100, "100+"))
    starts = np.array([start for start, _ in cells])
    series = []
    for role, measures in files.items():
        reads = np.zeros(len(cells))
        for level, sequences in measures.distinct.duplication_levels().items():
            reads[np.searchsorted(starts, level, side="right") - 1] += level * sequences
        shares = 100 * reads / max(float(reads.sum()), 1.0)
        series.append(_line(role, (name for _, name in cells), shares, 2))
    share = max((metrics.duplicate_share(measures) or 0.0) for measures in files.values())
    return Plot(
        "fastq.duplication",
        "Duplication",
        "bars",
        "times that a sequence occurs",
        "percent of reads",
        f"Keeping one read of each sequence would remove {share:.1%}. Much duplication means too "
        "little starting material, except in RNA-seq and amplicons.",
        tuple(series),
    )


def cohort_plots(samples: Sequence[tuple[str, Mapping[str, FastqMeasures]]]) -> tuple[Plot, ...]:
    """Draw all samples in one picture each: quality along the read, GC content."""
    quality, gc = [], []
    for name, files in samples:
        first = next(iter(files.values()))
        along = metrics.along_the_read(first)
        quality.append(_line(name, along.position.tolist(), along.mean, 1))
        counts = first.gc / GC_UNIT
        gc.append(_line(name, range(101), 100 * counts / max(float(counts.sum()), 1.0)))
    return (
        Plot(
            "fastq.cohort-quality",
            "Mean quality along the read, all samples",
            "line",
            "position in the read (bases)",
            "mean Phred score",
            "Samples of one run fall together; one that falls away was loaded, or sequenced, "
            "differently.",
            tuple(quality),
            _QUALITY_BANDS,
        ),
        Plot(
            "fastq.cohort-gc",
            "GC content of reads, all samples",
            "line",
            "GC (percent of a read)",
            "percent of reads",
            "Bells that lie apart mean another library kit, or another organism.",
            tuple(gc),
        ),
    )

"""Alignments as a modality: which files, which samples, what is shown of each."""

from __future__ import annotations

import gzip
import re
import zlib
from functools import partial
from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, SampleQc, StatColumn
from cordon_common.qc.alignment_checks import ALIGNMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

_NAME = re.compile(r"\.(bam|cram|sam)$", re.IGNORECASE)
_FASTA = re.compile(r"\.(fa|fasta|fna)$", re.IGNORECASE)

COLUMNS = (
    StatColumn("reads", "Reads", "reads", "Primary reads, mapped or not.", 0),
    StatColumn("mapped", "Mapped", "%", "Primary reads with a place on the reference."),
    StatColumn("proper", "Proper", "%", "Paired reads that face each other at a usual distance."),
    StatColumn("duplicates", "Duplicates", "%", "Primary reads marked as duplicates."),
    StatColumn("depth", "Depth", "reads", "Mean depth over the reference."),
    StatColumn("median_depth", "Median", "reads", "Median depth over the reference.", 0),
    StatColumn("over_1", "1x", "%", "Positions with at least 1 read."),
    StatColumn("over_10", "10x", "%", "Positions with at least 10 reads."),
    StatColumn("over_20", "20x", "%", "Positions with at least 20 reads."),
    StatColumn("over_30", "30x", "%", "Positions with at least 30 reads."),
    StatColumn("fold_80", "Fold 80", "fold", "Mean depth over its 20th percentile.", 2),
    StatColumn("insert", "Insert", "bases", "Median length of fragments.", 0),
    StatColumn("library", "Library", "millions", "Estimated distinct fragments of the library.", 2),
)


def recognises(path: Path) -> bool:
    """Tell by the name, or by the first bytes: BAM and CRAM have magic numbers."""
    if _NAME.search(path.name):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start.startswith(b"\x1f\x8b"):
                file.seek(0)
                start = gzip.GzipFile(fileobj=file).read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return start in {b"BAM\x01", b"CRAM"}


def reference_beside(path: Path) -> Path | None:
    """The only FASTA file in the folder of the alignments, taken as their reference."""
    found = [each for each in sorted(path.parent.iterdir()) if _FASTA.search(each.name)]
    return found[0] if len(found) == 1 else None


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Count and judge a sample's alignments.

    Raises:
        DataError: DA041 when a file cannot be read to its end, DA043 without its reference.
    """
    from cordon_client.qc.alignments.judge import judge_alignments, stats_of
    from cordon_client.qc.alignments.measure import (
        AlignmentMeasures,
        has_end_marker,
        measure_alignments,
    )
    from cordon_client.qc.alignments.plots import sample_plots

    measures, complete, is_sorted = AlignmentMeasures(), True, True
    total, before = sum(file.stat().st_size for file in sample.files), 0
    for file in sample.files:
        told = partial(_tell, progress, before, total)
        counted, ordered = measure_alignments(file, reference_beside(file), told)
        measures += counted
        complete, is_sorted = complete and has_end_marker(file), is_sorted and ordered
        before += file.stat().st_size
    return SampleQc(
        sample=sample.sample,
        stats=stats_of(measures),
        results=judge_alignments(measures, complete=complete, is_sorted=is_sorted, profile=profile),
        plots=sample_plots(measures),
        measures={"alignments": measures},
    )


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(min(before + done, total), total)


def check_cohort(
    _samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Find samples whose depth, duplicates or fragments are far from the others'."""
    from cordon_client.qc.alignments.measure import AlignmentMeasures
    from cordon_client.qc.alignments.plots import cohort_plots
    from cordon_client.qc.outliers import outlying

    far = [
        outlying(checked, column, least=least)
        for column, least in (("mapped", 2.0), ("duplicates", 5.0), ("insert", 30.0))
    ]
    names = None if all(each is None for each in far) else {n for each in far for n in each or ()}
    finding = Finding(
        "bam.outliers",
        None if names is None else float(len(names)),
        None if names is None else len(names),
        ", ".join(sorted(names or ())[:10]),
    )
    measured = [(each.sample, each.measures.get("alignments")) for each in checked]
    drawn = [(name, each) for name, each in measured if isinstance(each, AlignmentMeasures)]
    return CohortQc(results=(result_of(finding, profile),), plots=cohort_plots(drawn))


MODALITY = Modality(
    name=ALIGNMENTS,
    title="Alignments",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
)

"""Judgements of one sample's alignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.alignments import metrics
from cordon_client.qc.finding import Finding, result_of

if TYPE_CHECKING:
    from cordon_client.qc.alignments.measure import AlignmentMeasures
    from cordon_client.qc.modality import Number
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

_FEW_FRAGMENTS = 1000


def judge_alignments(
    measures: AlignmentMeasures, *, complete: bool, is_sorted: bool, profile: Profile
) -> tuple[CheckResult, ...]:
    """Judge a sample; complete: the file has its end marker."""
    few = int(measures.places[0]) < _FEW_FRAGMENTS
    primary = metrics.share(measures, "primary_mapped", "primary")
    findings = (
        Finding("bam.complete", float(not complete)),
        Finding("bam.sorted", float(not is_sorted)),
        Finding("bam.mapped", primary, measures.flags["primary"]),
        Finding("bam.proper-pairs", metrics.share(measures, "proper", "paired")),
        Finding("bam.duplicates", metrics.share(measures, "primary_duplicates", "primary")),
        Finding("bam.mapping-quality", metrics.low_mapping_quality(measures)),
        Finding("bam.depth", metrics.mean_depth(measures)),
        Finding("bam.breadth", metrics.breadth(measures, 20)),
        Finding("bam.uniformity", metrics.fold_80(measures)),
        Finding("bam.short-inserts", metrics.short_inserts(measures)),
        Finding("bam.nrf", metrics.non_redundant(measures), waived=few),
        Finding("bam.pbc1", metrics.bottleneck_1(measures), waived=few),
        Finding("bam.pbc2", metrics.bottleneck_2(measures), waived=few),
        Finding("bam.gc-bias", metrics.gc_bias(measures)),
    )
    return tuple(result_of(finding, profile) for finding in findings)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def stats_of(measures: AlignmentMeasures) -> dict[str, Number | None]:
    """Return the sample's row of the general-statistics table."""
    size = metrics.library_size(measures)
    return {
        "reads": measures.flags["primary"],
        "mapped": _percent(metrics.share(measures, "primary_mapped", "primary")),
        "proper": _percent(metrics.share(measures, "proper", "paired")),
        "duplicates": _percent(metrics.share(measures, "primary_duplicates", "primary")),
        "depth": metrics.mean_depth(measures),
        "median_depth": metrics.median_depth(measures),
        "over_1": _percent(metrics.breadth(measures, 1)),
        "over_10": _percent(metrics.breadth(measures, 10)),
        "over_20": _percent(metrics.breadth(measures, 20)),
        "over_30": _percent(metrics.breadth(measures, 30)),
        "fold_80": metrics.fold_80(measures),
        "insert": metrics.median_insert(measures),
        "library": None if size is None else size / 1e6,
    }

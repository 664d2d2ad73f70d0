"""Judgements of one sample's reads: each check by the worse of its two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.fastq import metrics
from cordon_client.qc.finding import Finding, result_of
from cordon_common.qc.registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cordon_client.qc.fastq.measure import FastqMeasures
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

_ENOUGH_READS = 1000
"""Fewer reads give shares at single positions that are noise."""
_SHOWN_BASES = 32


def _share(part: int, total: int) -> float | None:
    return part / total if total else None


def _top_share(measures: FastqMeasures) -> float | None:
    if measures.reads == measures.empty:
        return None
    frequent = measures.sample.frequent(0)
    return frequent[0][1] if frequent else 0.0


_VALUES: dict[str, Callable[[FastqMeasures], float | None]] = {
    "fastq.position-quality": metrics.quality_shortfall,
    "fastq.read-quality": metrics.usual_read_quality,
    "fastq.q30": lambda measures: metrics.share_at_least(measures, 30),
    "fastq.composition": metrics.composition_gap,
    "fastq.gc": metrics.gc_deviation,
    "fastq.unknown-bases": metrics.unknown_share,
    "fastq.letters": lambda measures: _share(measures.letters, measures.bases),
    "fastq.duplication": metrics.duplicate_share,
    "fastq.overrepresented": _top_share,
    "fastq.adapters": metrics.adapter_share,
    "fastq.empty-reads": lambda measures: _share(measures.empty, measures.reads),
    "fastq.encoding": lambda measures: float(metrics.phred_offset(measures) != metrics.PHRED_33),
    "fastq.reads": lambda measures: float(measures.reads),
}
_NEED_MANY_READS = {
    "fastq.composition",
    "fastq.gc",
    "fastq.overrepresented",
    "fastq.duplication",
    "fastq.unknown-bases",
    "fastq.adapters",
}


def judge_reads(files: Mapping[str, FastqMeasures], profile: Profile) -> tuple[CheckResult, ...]:
    """Judge every check over the files of a sample; files: measures by role (R1, R2)."""
    return tuple(_judge(check, files, profile) for check in _VALUES)


def _judge(check: str, files: Mapping[str, FastqMeasures], profile: Profile) -> CheckResult:
    values = {role: _VALUES[check](measures) for role, measures in files.items()}
    judged = {role: value for role, value in values.items() if value is not None}
    if not judged:
        return result_of(Finding(check, None), profile)
    worse = max if REGISTRY[check].bounds.worse == "higher" else min
    role = worse(judged, key=judged.__getitem__)
    measures = files[role]
    finding = Finding(
        check,
        judged[role],
        affected=measures.reads,
        detail=_detail(check, role, files),
        waived=check in _NEED_MANY_READS and measures.reads < _ENOUGH_READS,
    )
    return result_of(finding, profile)


def _detail(check: str, role: str, files: Mapping[str, FastqMeasures]) -> str:
    """Say what the check's own text cannot know."""
    measures = files[role]
    where = f"In {role}. " if len(files) > 1 else ""
    if check == "fastq.overrepresented":
        return where + _frequent(measures)
    if check == "fastq.adapters":
        shares = metrics.adapter_shares(measures)
        found = sorted(shares, key=lambda name: -float(shares[name][-1]))
        return where + "; ".join(f"{name} {shares[name][-1]:.1%}" for name in found[:3])
    if check == "fastq.duplication":
        level = measures.distinct.level
        how = "all sequences" if level == 0 else f"a sample of 1 in {1 << level:,} sequences"
        return f"{where}By equal first bases, from {how}; other tools count otherwise."
    return where.strip()


def _frequent(measures: FastqMeasures) -> str:
    parts = []
    for sequence, share in measures.sample.frequent(0.001)[:3]:
        shown = sequence[:_SHOWN_BASES].decode("ascii", "replace")
        more = "…" if len(sequence) > _SHOWN_BASES else ""
        source = metrics.known_source(sequence)
        parts.append(f"{shown}{more} {share:.2%}" + (f" ({source})" if source else ""))
    return "; ".join(parts)

"""Judgements of the samples of a VCF file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.vcf import metrics

if TYPE_CHECKING:
    from cordon_client.qc.modality import Number
    from cordon_client.qc.vcf.faults import Faults
    from cordon_client.qc.vcf.measure import SampleCounts
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult


def judge_sample(
    counts: SampleCounts,
    sample: int,
    recorded_sex: str | None,
    profile: Profile,
    *,
    shared: bool = False,
) -> tuple[CheckResult, ...]:
    """Judge one sample by its own column; sample: its index in the file.

    shared: the file is not the sample's own, so its records are those at which any of several
    varies, and all that is counted over records may only warn. Ti/Tv is counted over the sample's
    own SNPs.
    """
    few, shared = metrics.few_snps(counts, sample), shared or len(counts.calls) > 1
    values = (
        Finding("vcf.call-rate", metrics.call_rate(counts, sample), shared=shared),
        Finding("vcf.titv", metrics.titv(counts, sample), waived=few),
        Finding("vcf.het-hom", metrics.het_hom(counts, sample), waived=few),
        Finding("vcf.depth", metrics.mean_depth(counts, sample), shared=shared),
        Finding("vcf.genotype-quality", metrics.low_quality(counts, sample)),
        Finding("vcf.contamination", metrics.odd_reads(counts, sample), shared=shared),
        Finding("vcf.het-balance", metrics.het_balance(counts, sample)),
        _sex(counts, sample, recorded_sex, shared=shared),
    )
    return tuple(result_of(finding, profile) for finding in values)


def judge_file(faults: Faults, profile: Profile) -> CheckResult:
    """Judge the file that all its samples share."""
    detail = faults.described()
    if faults.structural:
        detail += f". {faults.structural:,} of them leave open what the genotypes are."
    return result_of(Finding("vcf.conformance", faults.total, faults.total, detail), profile)


def _sex(counts: SampleCounts, sample: int, recorded: str | None, *, shared: bool) -> Finding:
    genetic = metrics.genetic_sex(counts, sample)
    if genetic is None or recorded is None:
        return Finding("vcf.sex", None)
    told = f"The genotypes are {genetic}."
    return Finding("vcf.sex", float(genetic != recorded), 1, told, shared=shared)


def recorded_sex(text: str | None) -> str | None:
    """Read a recorded sex in the usual codings (pedigree files: 1 male, 2 female)."""
    word = (text or "").strip().lower()
    if word in {"m", "male", "1", "man", "xy"}:
        return "male"
    return "female" if word in {"f", "female", "2", "woman", "xx"} else None


def stats_of(counts: SampleCounts, sample: int) -> dict[str, Number | None]:
    """Return the sample's row of the general-statistics table."""
    rate, odd = metrics.call_rate(counts, sample), metrics.odd_reads(counts, sample)
    return {
        "records": int(counts.calls[sample].sum()),
        "call_rate": None if rate is None else 100 * rate,
        "titv": metrics.titv(counts, sample),
        "het_hom": metrics.het_hom(counts, sample),
        "depth": metrics.mean_depth(counts, sample),
        "singletons": int(counts.singletons[sample]),
        "indels": int(counts.indels[sample]),
        "odd_reads": None if odd is None else 100 * odd,
    }

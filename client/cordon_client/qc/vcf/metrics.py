"""What the counts of variants say, per sample and per cohort: pure functions of the measures."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cordon_client.qc.vcf import genotypes as gt

if TYPE_CHECKING:
    from collections import Counter

    from cordon_client.qc.vcf.measure import SampleCounts

Triple = tuple[int, int, int]

HWE_P = 1e-6
_FEW_SNPS, _FEW_X, _FEW_Y, _FEW_READS, _FEW_CONTROLS = 1000, 50, 10, 10_000, 20
_MALE_X, _FEMALE_X, _MALE_Y, _FEMALE_Y = 0.02, 0.08, 0.5, 0.2


def _ratio(part: int, other: int) -> float | None:
    return int(part) / int(other) if other else None


def call_rate(counts: SampleCounts, sample: int) -> float | None:
    """Share of records with a genotype."""
    calls = counts.calls[sample]
    return _ratio(calls.sum() - calls[gt.MISSING], calls.sum())


def titv(counts: SampleCounts, sample: int) -> float | None:
    """Transitions per transversion among SNPs that the sample carries."""
    return _ratio(counts.ts[sample], counts.tv[sample])


def few_snps(counts: SampleCounts, sample: int) -> bool:
    """Whether ratios of the sample's SNPs are mostly chance."""
    return int(counts.ts[sample] + counts.tv[sample]) < _FEW_SNPS


def het_hom(counts: SampleCounts, sample: int) -> float | None:
    """Heterozygous SNP calls per homozygous ALT ones."""
    return _ratio(counts.snp_hets[sample], counts.snp_homs[sample])


def mean_depth(counts: SampleCounts, sample: int) -> float | None:
    """Mean DP."""
    return _ratio(counts.depth_sum[sample], counts.depth_calls[sample])


def low_quality(counts: SampleCounts, sample: int) -> float | None:
    """Share of calls with GQ below 20."""
    cells = counts.quality[sample]
    return _ratio(cells[:2].sum(), cells.sum())


def odd_reads(counts: SampleCounts, sample: int) -> float | None:
    """Share of reads at homozygous calls that show the other allele; None with few reads."""
    reads = int(counts.hom_reads[sample])
    return None if reads < _FEW_READS else _ratio(counts.odd_reads[sample], reads)


def het_balance(counts: SampleCounts, sample: int) -> float | None:
    """Share of ALT reads at heterozygous calls; None with few reads."""
    reads = int(counts.het_reads[sample])
    return None if reads < _FEW_READS else _ratio(counts.het_alt_reads[sample], reads)


def genetic_sex(counts: SampleCounts, sample: int) -> str | None:
    """`male` or `female`, None where X and Y say too little or contradict each other.

    One X is never heterozygous outside the regions it shares with Y; two X are at roughly the rate
    of the autosomes. Y is called in males, and left missing in females by most callers.
    """
    x, y = int(counts.x_calls[sample]), int(counts.y_sites[sample])
    by_x = by_y = None
    if x >= _FEW_X:
        hets = counts.x_hets[sample] / x
        by_x = "male" if hets < _MALE_X else "female" if hets > _FEMALE_X else None
    if y >= _FEW_Y:
        called = counts.y_calls[sample] / y
        by_y = "male" if called > _MALE_Y else "female" if called < _FEMALE_Y else None
    if by_x and by_y and by_x != by_y:
        return None
    return by_x or by_y


@lru_cache(maxsize=2**16)
def hardy_weinberg(homozygous: int, hets: int, other: int) -> float:
    """P of the exact test of Hardy-Weinberg proportions (Wigginton et al. 2005).

    The sum of the probabilities of all heterozygote numbers that are no more likely than the one
    seen, given the allele counts.
    """
    rare = 2 * min(homozygous, other) + hets
    people = homozygous + hets + other
    if not rare:
        return 1.0
    start = rare * (2 * people - rare) // (2 * people)
    start += (start - rare) % 2
    weights = {start: 1.0}
    weight, h = 1.0, start
    while h > 1:
        rare_homs, common_homs = (rare - h) // 2, people - h - (rare - h) // 2
        weight *= h * (h - 1) / (4.0 * (rare_homs + 1) * (common_homs + 1))
        h -= 2
        weights[h] = weight
    weight, h = 1.0, start
    while h <= rare - 2:
        rare_homs, common_homs = (rare - h) // 2, people - h - (rare - h) // 2
        weight *= 4.0 * rare_homs * common_homs / ((h + 2.0) * (h + 1.0))
        h += 2
        weights[h] = weight
    seen = weights[hets] * (1 + 1e-9)
    return min(1.0, sum(w for w in weights.values() if w <= seen) / sum(weights.values()))


def out_of_proportion(triples: Counter[Triple]) -> tuple[int, int] | None:
    """Records of controls out of Hardy-Weinberg proportions, and records tested; None with few."""
    tested = broken = 0
    for (homozygous, hets, other), records in triples.items():
        if homozygous + hets + other < _FEW_CONTROLS or not hets + other:
            continue
        tested += records
        broken += records * (hardy_weinberg(homozygous, hets, other) < HWE_P)
    return (broken, tested) if tested else None

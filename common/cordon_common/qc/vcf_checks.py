"""The checks of variants (VCF, BCF): rows of the registry, with their plain sentences.

A file of many samples is one record for all of them: what is wrong with the file only warns, because
one patient's column may be the reason that another patient's file is faulty. What a sample's own
column says may leave that sample out.
"""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

VARIANTS = "variants"

_sample = partial(sample_check, modality=VARIANTS)
_cohort = partial(cohort_check, modality=VARIANTS)

CHECKS = (
    _sample(
        "vcf.conformance",
        ReasonCode.NOT_CONFORMANT,
        Bounds("broken rules over all lines", "VCF specification 4.1 to 4.4 (hts-specs)", warn=0),
        Wording(
            "File follows the VCF specification",
            "Lines of the file break rules of its own version of the format; programs differ in "
            "how they read such lines.",
            "Write the file again with current tools (bcftools view), or report it to its maker.",
        ),
    ),
    _sample(
        "vcf.call-rate",
        ReasonCode.MISSING_VALUES,
        Bounds(
            "share of records with a genotype",
            "0.95 to 0.98 is the usual limit of association studies (Anderson et al. 2010, Nat "
            "Protoc 5:1564)",
            warn=0.98,
            fail=0.9,
            worse="lower",
        ),
        Wording(
            "Genotypes called",
            "The sample has no genotype at many records.",
            "Check depth and DNA quality; samples called apart from the others look like this too.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.titv",
        ReasonCode.TITV_RATIO,
        Bounds(
            "transitions per transversion",
            "2.0 to 2.1 in whole genomes, about 3 in exomes, 0.5 if bases were random (DePristo et "
            "al. 2011, Nat Genet 43:491)",
            warn=1.9,
            fail=1.2,
            worse="lower",
        ),
        Wording(
            "Transitions outnumber transversions",
            "The ratio of transitions to transversions is too low: part of the variants are errors.",
            "Filter the calls more strictly, and compare with the other samples of the run.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.het-hom",
        ReasonCode.HET_HOM_RATIO,
        Bounds(
            "heterozygous per homozygous ALT call",
            "1.4 to 2.0 by ancestry (Wang et al. 2015, Bioinformatics 31:318)",
            warn=2.5,
        ),
        Wording(
            "Heterozygous calls in proportion",
            "There are too many heterozygous calls for the homozygous ones.",
            "Check for contamination by another sample; in ancestries of high diversity it is real.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.depth",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "mean reads at a call",
            "below 15 a heterozygote is missed at several percent of sites",
            warn=15,
            fail=4,
            worse="lower",
        ),
        Wording(
            "Calls rest on enough reads",
            "The sample's calls rest on few reads.",
            "Sequence deeper; low-pass data needs genotype likelihoods instead of calls.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.genotype-quality",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "share of calls with GQ below 20", "GQ 20: one call in a hundred is wrong", warn=0.1
        ),
        Wording(
            "Genotypes certain",
            "Many genotypes are wrong with a probability of more than one percent.",
            "Filter calls by GQ, or sequence deeper.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.contamination",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of reads that contradict a homozygous call",
            "sequencing errors stay below 0.005; 0.02 to 0.03 is the usual limit of contamination "
            "(Jun et al. 2012, Am J Hum Genet 91:839)",
            warn=0.02,
            fail=0.05,
        ),
        Wording(
            "One person's DNA",
            "At homozygous sites too many reads show the other allele: another person's DNA, or "
            "wrong calls.",
            "Find the source among the samples of the same plate; repeat the extraction.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.het-balance",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of reads with ALT at heterozygous calls",
            "0.5 expected, up to 0.05 less by reference bias of the aligner",
            warn=0.42,
            worse="lower",
        ),
        Wording(
            "Alleles in balance",
            "Heterozygous calls have far fewer reads of ALT than of REF.",
            "Check for contamination, for low depth, and for calls in repeats.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "vcf.sex",
        ReasonCode.SEX_MISMATCH,
        Bounds("samples", "X heterozygosity and Y calls against the record", fail=0),
        Wording(
            "Sex as recorded",
            "The sample's X and Y chromosomes do not fit the recorded sex.",
            "Suspect a swapped tube first: compare with the neighbours on the plate.",
        ),
    ),
    _cohort(
        "vcf.hardy-weinberg",
        ReasonCode.HARDY_WEINBERG,
        Bounds(
            "share of autosomal records with p < 1e-6 in controls",
            "exact test (Wigginton et al. 2005, Am J Hum Genet 76:887); one in a thousand is noise",
            warn=0.001,
        ),
        Wording(
            "Genotypes in Hardy-Weinberg proportions",
            "At too many records controls have more, or fewer, heterozygotes than mating by chance "
            "gives: mostly errors of genotyping.",
            "Leave those records out; mixed ancestry and relatives do this as well.",
        ),
    ),
    _cohort(
        "vcf.missing-by-label",
        ReasonCode.MISSING_BY_LABEL,
        Bounds(
            "share of autosomal records",
            "two-proportion test, p < 1e-6; one in a thousand is noise",
            warn=0.001,
        ),
        Wording(
            "Missing alike in cases and controls",
            "Genotypes are missing more often in one outcome than in the other, which alone can "
            "make an association.",
            "Cases and controls were processed apart: call them again together.",
        ),
    ),
    _cohort(
        "vcf.outliers",
        ReasonCode.OUTLIER,
        Bounds(
            "samples",
            "a robust z beyond 3.5 (Iglewicz & Hoaglin 1993) in Ti/Tv, het/hom or singletons, with "
            "eight samples or more",
            warn=0,
        ),
        Wording(
            "Samples alike",
            "Samples differ from the others in the kind or number of their variants.",
            "Look at their batch first, then at ancestry.",
        ),
    ),
)

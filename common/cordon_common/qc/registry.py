"""The one registry of checks: every modality's rows, and the coordinator's cross-site rows."""

from __future__ import annotations

from cordon_common.qc.alignment_checks import CHECKS as ALIGNMENT_CHECKS
from cordon_common.qc.batch_checks import CHECKS as BATCH_CHECKS
from cordon_common.qc.bulk_rna_checks import CHECKS as BULK_RNA_CHECKS
from cordon_common.qc.checks import Bounds, CheckSpec, Registry, Wording
from cordon_common.qc.clinical_checks import CHECKS as CLINICAL_TABLE_CHECKS
from cordon_common.qc.fastq_checks import CHECKS as FASTQ_CHECKS
from cordon_common.qc.identity_checks import CHECKS as IDENTITY_CHECKS
from cordon_common.qc.image_checks import CHECKS as IMAGE_CHECKS
from cordon_common.qc.metagenomics_checks import CHECKS as METAGENOMICS_CHECKS
from cordon_common.qc.omop_checks import CHECKS as OMOP_CHECKS
from cordon_common.qc.proteomics_checks import CHECKS as PROTEOMICS_CHECKS
from cordon_common.qc.sample_checks import CHECKS as SAMPLE_CHECKS
from cordon_common.qc.sequence_checks import CHECKS as SEQUENCE_CHECKS
from cordon_common.qc.signal_checks import CHECKS as SIGNAL_CHECKS
from cordon_common.qc.single_cell_checks import CHECKS as SINGLE_CELL_CHECKS
from cordon_common.qc.survey_checks import CHECKS as SURVEY_CHECKS
from cordon_common.qc.vcf_checks import CHECKS as VARIANT_CHECKS
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

CROSS_SITE = "cross-site"
_BEYOND_NOISE = (
    "ten points beyond the largest difference of equal sites in 99 of 100 studies, simulated from n, "
    "cells and noise"
)


def _cross_site(check: str, reason: ReasonCode, bounds: Bounds, wording: Wording) -> CheckSpec:
    return CheckSpec(
        id=check,
        modality=CROSS_SITE,
        scope=Scope.COHORT,
        check_class=CheckClass.CROSS_SITE,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,  # post-processing of releases: it chooses no records
    )


def _decisively(what: str) -> Bounds:
    return Bounds(
        f"log-likelihood in favour of {what}, beyond the limit",
        "the largest of equal sites in 99 of 100 studies, simulated from n, cells and noise",
        warn=0.0,
    )


CROSS_SITE_CHECKS = (
    _cross_site(
        "crosssite.inversion",
        ReasonCode.OUTCOME_TURNED,
        Bounds(
            "standard deviations against the other sites",
            "one false alarm in 700 where a site's effects drown in noise, fewer elsewhere",
            warn=3.0,
        ),
        Wording(
            "Outcome coded as at the other sites",
            "The features go with the outcome the other way round than at the other sites, as when "
            "positive and negative were swapped.",
            "Ask the site how it codes the outcome; then decide: cordon study decide.",
        ),
    ),
    _cross_site(
        "crosssite.unit",
        ReasonCode.UNIT_DIFFERS,
        _decisively("another unit of the study's dictionary"),
        Wording(
            "Values in the same unit as at the other sites",
            "The site's values lie where the other sites' would in another unit that the study "
            "names. Where that unit moves nearly all values, the site is put under review.",
            "Ask the site for the unit of the column; have it converted before it trains.",
        ),
    ),
    _cross_site(
        "crosssite.coding",
        ReasonCode.CODES_DIFFER,
        _decisively("other codes of the categories"),
        Wording(
            "Categories under the same codes as at the other sites",
            "The site's categories are as frequent as the other sites' would be under other codes. "
            "Honest case mix may look so; where the link with the outcome turns with them, the "
            "site is put under review.",
            "Compare the code list of the site's export with the study's dictionary.",
        ),
    ),
    _cross_site(
        "crosssite.schema",
        ReasonCode.COLUMN_EMPTY,
        Bounds(
            "difference of the unusable share",
            "nine tenths here, less than half at the others, and beyond the limit of drift",
            warn=0.0,
        ),
        Wording(
            "Columns filled as at the other sites",
            "A column is missing, unknown or out of range for nearly every patient of the site, and "
            "not at the other sites.",
            "Often the site does not measure it; check the name and the codes of the column.",
        ),
    ),
    _cross_site(
        "crosssite.drift",
        ReasonCode.DRIFT,
        Bounds("difference of shares beyond the noise limit", _BEYOND_NOISE, warn=0.1),
        Wording(
            "Feature distributed as at the other sites",
            "The site's distribution of a feature differs from the other sites by more than "
            "noise. Honest case mix does this too.",
            "Compare units, devices and admission rules with the site; do not exclude it.",
        ),
    ),
    _cross_site(
        "crosssite.prevalence",
        ReasonCode.PREVALENCE,
        Bounds("difference of the share of positive outcomes", _BEYOND_NOISE, warn=0.1),
        Wording(
            "Outcome as frequent as at the other sites",
            "The outcome is more, or less, frequent than at the other sites by more than noise.",
            "Usually the site's case mix; check that positive and negative are not swapped.",
        ),
    ),
)

TABLES = (
    CLINICAL_TABLE_CHECKS,
    SURVEY_CHECKS,
    OMOP_CHECKS,
    SAMPLE_CHECKS,
    BATCH_CHECKS,
    # laboratory modalities, one line each: reads, alignments, variants, identity
    FASTQ_CHECKS,
    ALIGNMENT_CHECKS,
    VARIANT_CHECKS,
    IDENTITY_CHECKS,
    # counts, cells, taxa, proteins, sequences, signals, images
    BULK_RNA_CHECKS,
    SINGLE_CELL_CHECKS,
    METAGENOMICS_CHECKS,
    PROTEOMICS_CHECKS,
    SEQUENCE_CHECKS,
    SIGNAL_CHECKS,
    IMAGE_CHECKS,
    CROSS_SITE_CHECKS,
)
"""Every table of checks there is; a modality's checks exist once its table stands here."""

REGISTRY = Registry(spec for table in TABLES for spec in table)

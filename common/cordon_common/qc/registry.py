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


def _cross_site(check: str, reason: ReasonCode, unit: str, wording: Wording) -> CheckSpec:
    return CheckSpec(
        id=check,
        modality=CROSS_SITE,
        scope=Scope.COHORT,
        check_class=CheckClass.CROSS_SITE,
        reason=reason,
        bounds=Bounds(unit, _BEYOND_NOISE, warn=0.1),
        wording=wording,
        stability=None,
    )


CROSS_SITE_CHECKS = (
    CheckSpec(
        id="crosssite.inversion",
        modality=CROSS_SITE,
        scope=Scope.COHORT,
        check_class=CheckClass.CROSS_SITE,
        reason=ReasonCode.OUTCOME_TURNED,
        bounds=Bounds(
            "standard deviations against the other sites",
            "one false alarm in 700 where a site's effects drown in noise, fewer elsewhere",
            warn=3.0,
        ),
        wording=Wording(
            "Outcome coded as at the other sites",
            "The features go with the outcome the other way round than at the other sites, as when "
            "positive and negative were swapped.",
            "Ask the site how it codes the outcome; then decide: cordon study decide.",
        ),
        stability=None,
    ),
    _cross_site(
        "crosssite.drift",
        ReasonCode.DRIFT,
        "difference of shares beyond the noise limit",
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
        "difference of the share of positive outcomes beyond the noise limit",
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

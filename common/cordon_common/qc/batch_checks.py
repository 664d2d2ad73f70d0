"""Checks of technical batches that every modality shares: run date, kit, lane, scanner."""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

BATCH = "batch"
VARIANCE, CONFOUNDED, CLASSIFIER = "batch.variance", "batch.confounded", "batch.classifier"


def _batch(check: str, reason: ReasonCode, bounds: Bounds, wording: Wording) -> CheckSpec:
    """Make a check of a whole cohort: unbounded, so it warns and never picks samples."""
    return CheckSpec(
        id=check,
        modality=BATCH,
        scope=Scope.COHORT,
        check_class=CheckClass.LOCAL_SOFT,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )


CHECKS = (
    _batch(
        VARIANCE,
        ReasonCode.BATCH_EFFECT,
        Bounds(
            unit="share of the variance",
            source="PVCA practice (Li et al. 2009): beyond a tenth, model the batch",
            warn=0.1,
        ),
        Wording(
            "Little variance from technical batches",
            "A technical batch explains a visible share of what differs between samples.",
            "Give the batch to the analysis as a covariate, or harmonise before training.",
        ),
    ),
    _batch(
        CONFOUNDED,
        ReasonCode.BATCH_CONFOUNDED,
        Bounds(
            unit="bias-corrected Cramér's V",
            source="Bergsma 2013 (V corrected for bias); Cohen 1988: 0.3 is a medium association",
            warn=0.3,
        ),
        Wording(
            "Batches independent of the outcome",
            "Cases and controls were processed in different batches, so a model can learn the "
            "batch instead of the disease.",
            "Balance or re-run; near 1 no statistical correction can separate the two.",
        ),
    ),
    _batch(
        CLASSIFIER,
        ReasonCode.BATCH_EFFECT,
        Bounds(
            unit="AUC of a classifier that guesses the batch",
            source="classifier two-sample test (Lopez-Paz, Oquab 2017); 0.5 is chance",
            warn=0.7,
        ),
        Wording(
            "Batches look alike",
            "A simple classifier tells from the data which batch a sample came from.",
            "Look at the features that it uses; harmonise, or leave them out.",
        ),
    ),
)

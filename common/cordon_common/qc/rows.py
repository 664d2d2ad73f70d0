"""Make rows of the tables of checks: one call for a check of samples, one for a check of cohorts."""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope


def sample_check(
    check: str,
    reason: ReasonCode,
    bounds: Bounds,
    wording: Wording,
    *,
    modality: str,
    assay_dependent: bool = False,
) -> CheckSpec:
    """Make a check of one sample by its own files alone; where it fails, the sample is left out.

    Guarantee: stability 1, because no other patient's sample takes part in the judgement. Where
    rows of a shared file that others brought would, the finding is `shared` and may only warn.
    """
    excludes = bounds.fail is not None
    return CheckSpec(
        id=check,
        modality=modality,
        scope=Scope.SAMPLE,
        check_class=CheckClass.LOCAL_SOFT,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=1 if excludes else None,
        excludes=excludes,
        assay_dependent=assay_dependent,
    )


def cohort_check(
    check: str, reason: ReasonCode, bounds: Bounds, wording: Wording, *, modality: str
) -> CheckSpec:
    """Make a check of all samples together: unbounded, so it warns and never picks samples."""
    return CheckSpec(
        id=check,
        modality=modality,
        scope=Scope.COHORT,
        check_class=CheckClass.LOCAL_SOFT,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )

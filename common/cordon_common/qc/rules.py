"""Which rules take records out of a study, and what that costs in sensitivity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.registry import REGISTRY

if TYPE_CHECKING:
    from cordon_common.protocol.study import Study
    from cordon_common.qc.checks import CheckSpec

RULES_OF_FILES = ("record.sample-not-listed", "record.sample-failed")
"""The rules that look at what became of a record's sample files."""

_DUPLICATE_PATIENT = "patient.duplicate"


def exclusion_rules(study: Study) -> tuple[CheckSpec, ...]:
    """List the rules that take records out of this study's training set.

    `patient.duplicate` takes part only when the study asks for it and names a patient id: without
    ids, equal rows are one patient by definition and there is nobody left to exclude.
    """
    rules = tuple(spec for spec in REGISTRY.of(CLINICAL_TABLE) if spec.excludes)
    if not study.qc.samples:
        rules = tuple(spec for spec in rules if spec.id not in RULES_OF_FILES)
    if study.qc.duplicate_patients == "exclude" and study.cohort.patient_id is not None:
        return rules
    return tuple(spec for spec in rules if spec.id != _DUPLICATE_PATIENT)


def exclusion_stability(study: Study) -> int:
    """Return c: adding or removing one patient changes the fate of at most c patients.

    Guarantee: the product of the stabilities of the rules in use; a chain of transformations with
    stabilities c1, c2 has stability at most c1·c2 (McSherry 2009, PINQ, section 3.2).
    """
    stabilities = [spec.stability for spec in exclusion_rules(study)]
    # The registry refuses an excluding rule without a stability, so this product is complete.
    return math.prod(stability for stability in stabilities if stability is not None)

"""The checks of identity across modalities: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

IDENTITY = "identity"

_sample = partial(sample_check, modality=IDENTITY)

CHECKS = (
    _sample(
        "identity.genotype",
        ReasonCode.SWAPPED_SAMPLE,
        Bounds(
            "patients",
            "convention: equal genotypes at shared sites with 10 reads or more are above 0.9 in one "
            "person and 0.5 to 0.7 in strangers; 0.8 lies between",
            warn=0,
        ),
        Wording(
            "DNA and RNA of one person",
            "The RNA's genotypes are not those of the patient's DNA.",
            "Look for the tube that was swapped; keep both out of the study until it is found.",
        ),
    ),
    _sample(
        "identity.sex",
        ReasonCode.SEX_MISMATCH,
        Bounds("patients", "record, X and Y genotypes, and XIST against Y genes agree", fail=0),
        Wording(
            "One sex in all sources",
            "Record, DNA and expression do not say the same sex.",
            "Suspect a swapped tube first, then the record.",
        ),
    ),
    cohort_check(
        "identity.cohort",
        ReasonCode.SWAPPED_SAMPLE,
        Bounds("share of tested patients", "a swap is two patients too many", warn=0),
        Wording(
            "No swapped samples",
            "The DNA and RNA of some patients are of different persons.",
            "Compare plate layouts: swaps come in pairs, shifts in rows.",
        ),
        modality=IDENTITY,
    ),
)

"""What becomes of a record, and of a patient, in quality control: closed lists."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cordon_common.protocol.study import Study


class RecordFate(StrEnum):
    """Why a record trains or does not; the first rule that applies, in this order, decides."""

    PATIENT_ID_MISSING = "patient_id_missing"
    DUPLICATE_RECORD = "duplicate_record"
    SAMPLE_NOT_LISTED = "sample_not_listed"
    SAMPLE_FAILED = "sample_failed"
    LABEL_MISSING = "label_missing"
    LABEL_UNKNOWN = "label_unknown"
    IMPOSSIBLE_VALUE = "impossible_value"
    UNKNOWN_CATEGORY = "unknown_category"
    OVER_CAP = "over_cap"
    DUPLICATE_PATIENT = "duplicate_patient"
    KEPT = "kept"


class PatientFate(StrEnum):
    """Where a patient is counted: in exactly one of these, so one patient moves one count."""

    KEPT = "kept"
    KEPT_WITHOUT_DUPLICATES = "kept_without_duplicates"
    KEPT_IN_PART = "kept_in_part"
    LABEL_MISSING = "label_missing"
    LABEL_UNKNOWN = "label_unknown"
    IMPOSSIBLE_VALUE = "impossible_value"
    UNKNOWN_CATEGORY = "unknown_category"
    DUPLICATE_PATIENT = "duplicate_patient"
    SAMPLE_NOT_LISTED = "sample_not_listed"
    SAMPLE_FAILED = "sample_failed"


KEPT_FATES = (
    PatientFate.KEPT,
    PatientFate.KEPT_WITHOUT_DUPLICATES,
    PatientFate.KEPT_IN_PART,
)
"""The fates of patients who take part in training or evaluation."""

_FATES_OF_FILES = (PatientFate.SAMPLE_NOT_LISTED, PatientFate.SAMPLE_FAILED)


def patient_fates(study: Study) -> tuple[PatientFate, ...]:
    """List the fates that a study's summary counts; those of files only when its files are checked."""
    if study.qc.samples:
        return tuple(PatientFate)
    return tuple(fate for fate in PatientFate if fate not in _FATES_OF_FILES)


RECORD_FATE_TEXT: dict[RecordFate, str] = {
    RecordFate.PATIENT_ID_MISSING: "no patient id",
    RecordFate.DUPLICATE_RECORD: "the same record again",
    RecordFate.SAMPLE_NOT_LISTED: "no sample of the patient in the sample sheet",
    RecordFate.SAMPLE_FAILED: "a sample whose files did not pass",
    RecordFate.LABEL_MISSING: "no outcome recorded",
    RecordFate.LABEL_UNKNOWN: "an outcome that the study does not define",
    RecordFate.IMPOSSIBLE_VALUE: "a value outside the study's plausible range",
    RecordFate.UNKNOWN_CATEGORY: "a category that the study does not list",
    RecordFate.OVER_CAP: "more records of one patient than the study uses",
    RecordFate.DUPLICATE_PATIENT: "the same patient under another id",
    RecordFate.KEPT: "kept",
}

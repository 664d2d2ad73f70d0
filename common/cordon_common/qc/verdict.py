"""Severities, reasons and verdicts: per record, per feature and per cohort."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, model_validator

from cordon_common.errors import ProtocolError
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_common.canonical import Json


class Severity(StrEnum):
    """Outcome of a check. `not_applicable` and `error` are never shown as a pass."""

    NOT_APPLICABLE = "not_applicable"
    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def worst(severities: Iterable[Severity]) -> Severity:
    """Merge severities: error > fail > warn > pass, `not_applicable` is the identity.

    Guarantee: associative, commutative and idempotent, so the order of parts never matters.
    """
    return max(severities, key=_RANK.__getitem__, default=Severity.NOT_APPLICABLE)


class Scope(StrEnum):
    """What a check judges."""

    RECORD = "record"
    SAMPLE = "sample"
    FEATURE = "feature"
    COHORT = "cohort"


class CheckClass(StrEnum):
    """What a failed check may lead to.

    local_hard: the site does not train (a sample: it is left out, and the command fails).
    local_soft: shown, never a gate. cross_site: shown; some ask for a person's decision (`gate`),
    none excludes by itself.
    """

    LOCAL_HARD = "local_hard"
    LOCAL_SOFT = "local_soft"
    CROSS_SITE = "cross_site"


class ReasonCode(StrEnum):
    """Why a check did not pass: a closed list, because free text would carry data."""

    TOO_FEW_PATIENTS = "too_few_patients"
    TOO_MANY_EXCLUDED = "too_many_excluded"
    ONE_CLASS_ONLY = "one_class_only"
    CLASS_IMBALANCE = "class_imbalance"
    WRONG_UNIT = "wrong_unit"
    LABEL_MISSING = "label_missing"
    LABEL_UNKNOWN = "label_unknown"
    PATIENT_ID_MISSING = "patient_id_missing"
    IMPOSSIBLE_VALUES = "impossible_values"
    NOT_A_NUMBER = "not_a_number"
    UNKNOWN_CATEGORIES = "unknown_categories"
    DUPLICATE_RECORDS = "duplicate_records"
    DUPLICATE_PATIENTS = "duplicate_patients"
    OVER_CAP = "over_cap"
    CONFLICTING_LABELS = "conflicting_labels"
    MISSING_VALUES = "missing_values"
    MISSING_BY_LABEL = "missing_by_label"
    UNDECLARED_MISSING_CODE = "undeclared_missing_code"
    NEAR_CONSTANT = "near_constant"
    DIGIT_PREFERENCE = "digit_preference"
    IDENTIFIER_COLUMN = "identifier_column"
    DRIFT = "drift"
    PREVALENCE = "prevalence"
    OUTCOME_TURNED = "outcome_turned"
    UNIT_DIFFERS = "unit_differs"
    CODES_DIFFER = "codes_differ"
    COLUMN_EMPTY = "column_empty"
    COUNT_CONTRADICTS_VERDICT = "count_contradicts_verdict"
    CHECKS_CONTRADICT_VERDICT = "checks_contradict_verdict"
    OTHER_PROFILE = "other_profile"
    TOO_FEW_SITES = "too_few_sites"
    # clinical tables without a study
    QUASI_IDENTIFIER = "quasi_identifier"
    FUTURE_DATE = "future_date"
    DATE_ORDER = "date_order"
    TEMPORAL_LEAKAGE = "temporal_leakage"
    BROKEN_LINK = "broken_link"
    UNMAPPED_CONCEPTS = "unmapped_concepts"
    # samples and their files, any modality
    FILE_UNREADABLE = "file_unreadable"
    CHECK_CRASHED = "check_crashed"
    NOT_CONFORMANT = "not_conformant"
    LOW_DEPTH = "low_depth"
    LOW_QUALITY = "low_quality"
    CONTAMINATION = "contamination"
    OUTLIER = "outlier"
    SWAPPED_SAMPLE = "swapped_sample"
    SAMPLE_NOT_LISTED = "sample_not_listed"
    SAMPLE_FAILED = "sample_failed"
    LABELS_CONTRADICT_SHEET = "labels_contradict_sheet"
    BATCH_EFFECT = "batch_effect"
    BATCH_CONFOUNDED = "batch_confounded"
    # reads, alignments, variants, identity
    BASE_COMPOSITION = "base_composition"
    GC_BIAS = "gc_bias"
    DUPLICATE_READS = "duplicate_reads"
    ADAPTERS = "adapters"
    LOW_MAPPING = "low_mapping"
    LOW_COVERAGE = "low_coverage"
    LOW_COMPLEXITY = "low_complexity"
    INSERT_SIZE = "insert_size"
    TITV_RATIO = "titv_ratio"
    HET_HOM_RATIO = "het_hom_ratio"
    HARDY_WEINBERG = "hardy_weinberg"
    SEX_MISMATCH = "sex_mismatch"

    # counts, cells, taxa, proteins, sequences, signals, images
    NOT_COUNTS = "not_counts"
    NOT_CLOSED = "not_closed"
    EXCESS_ZEROS = "excess_zeros"
    DOUBLETS = "doublets"
    SIGNAL_LOST = "signal_lost"
    IRREGULAR_SAMPLING = "irregular_sampling"


@dataclass(frozen=True)
class CheckResult:
    """One judgement of one check; stays at the site.

    subject: the feature's name, or None for the cohort. value, threshold: in the check's unit.
    affected: number of records (or patients) that the finding is about. detail: a plain sentence
    that adds what the check's own text cannot know (which factor, which code).
    """

    check: str
    severity: Severity
    subject: str | None = None
    value: float | None = None
    threshold: float | None = None
    affected: int | None = None
    reason: ReasonCode | None = None
    detail: str = ""


class CohortVerdict(StrictModel):
    """The coarse verdict that a study declares as leaving without noise.

    No counts, no feature names: one severity per check (worst over the features).
    """

    kind: str = Field(default="qc-verdict.v1", pattern=r"^qc-verdict\.v1$")
    profile: str = Field(pattern=r"^[a-z0-9-]+\.v[0-9]+$")
    severity: Severity
    checks: dict[str, Severity]
    reasons: tuple[ReasonCode, ...]
    may_train: bool

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.severity is not worst(self.checks.values()):
            raise ValueError("the severity is not the worst of the checks")
        return self

    def as_json(self) -> dict[str, Json]:
        """Return the JSON value for `ReleaseReply.verdict`."""
        value: dict[str, Json] = self.model_dump(mode="json")
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> CohortVerdict:
        """Read a verdict that arrived.

        Raises:
            ProtocolError: PR005 when a field is unknown, missing or contradicts another.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ProtocolError(
                "PR005", "a site's QC verdict is not valid", why=f"{where}: {first['msg']}"
            ) from None

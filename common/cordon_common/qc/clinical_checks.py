"""The checks of clinical tables: rows of the registry, with their plain sentences."""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

CLINICAL_TABLE = "clinical-table"


_SHARE = "share of records"
_CONVENTION = "convention: fewer than one record in a hundred is the noise of any registry"


def _rule(
    check: str,
    reason: ReasonCode,
    wording: Wording,
    *,
    unit: str = _SHARE,
    stability: int = 1,
) -> CheckSpec:
    """Make a record rule: bounded stability, excludes, warns above one record in a hundred."""
    return CheckSpec(
        id=check,
        modality=CLINICAL_TABLE,
        scope=Scope.RECORD,
        check_class=CheckClass.LOCAL_SOFT,
        reason=reason,
        bounds=Bounds(unit, _CONVENTION, warn=0.01),
        wording=wording,
        stability=stability,
        excludes=True,
    )


_RECORD_RULES = (
    _rule(
        "record.patient-id",
        ReasonCode.PATIENT_ID_MISSING,
        Wording(
            "Patient id present",
            "Records without a patient id cannot be counted towards a patient and are left out.",
            "Complete the ids in the source system, or check that the export kept the column.",
        ),
    ),
    _rule(
        "record.duplicate",
        ReasonCode.DUPLICATE_RECORDS,
        Wording(
            "Records counted once",
            "The same record of the same patient occurs more than once; one of them is used.",
            "Look for a join that multiplies rows, or an export that was appended twice.",
        ),
    ),
    _rule(
        "record.sample-not-listed",
        ReasonCode.SAMPLE_NOT_LISTED,
        Wording(
            "Samples on the sheet",
            "The study takes patients whose sample files were checked, and the sample sheet lists "
            "none for these records; they are left out.",
            "Compare ids in table and sheet, zeros in front and blanks included.",
        ),
    ),
    _rule(
        "record.sample-failed",
        ReasonCode.SAMPLE_FAILED,
        Wording(
            "Sample files passed",
            "The files behind these records did not pass their own quality control; the records "
            "are left out.",
            "See the report of the sample files; repair or copy the files again, then run again.",
        ),
    ),
    _rule(
        "record.label-missing",
        ReasonCode.LABEL_MISSING,
        Wording(
            "Outcome recorded",
            "Records without an outcome cannot teach the model and are left out.",
            "Check whether the outcome is missing for one ward, period or group only.",
        ),
    ),
    _rule(
        "record.label-unknown",
        ReasonCode.LABEL_UNKNOWN,
        Wording(
            "Outcome coded as in the study",
            "The outcome holds a value that the study does not define; the record is left out.",
            "Recode the outcome, or ask the coordinator to add the value to the study.",
        ),
    ),
    _rule(
        "record.impossible-value",
        ReasonCode.IMPOSSIBLE_VALUES,
        Wording(
            "Values possible",
            "A value lies outside the study's plausible range, or is not a number; the record "
            "is left out.",
            "Check units first, then typing errors and undeclared codes for missing values.",
        ),
    ),
    _rule(
        "record.unknown-category",
        ReasonCode.UNKNOWN_CATEGORIES,
        Wording(
            "Categories known",
            "A category is not on the study's list and the study asks to leave the record out.",
            "Map local codes to the study's codes before the export.",
        ),
    ),
    _rule(
        "record.over-cap",
        ReasonCode.OVER_CAP,
        Wording(
            "Records per patient within the study's cap",
            "A patient has more records than the study uses; a fixed choice of them is used.",
            "Nothing to do, unless one record per patient was expected.",
        ),
    ),
    _rule(
        "patient.duplicate",
        ReasonCode.DUPLICATE_PATIENTS,
        Wording(
            "Patients under one id",
            "Patients under different ids have exactly the same records.",
            "Check for patients registered twice; merge their ids in the source system.",
        ),
        unit="share of patients",
        stability=2,
    ),
)


def _feature(check: str, reason: ReasonCode, bounds: Bounds, wording: Wording) -> CheckSpec:
    """Make a feature check: a statistic of the whole column, so unbounded: it only warns."""
    return CheckSpec(
        id=check,
        modality=CLINICAL_TABLE,
        scope=Scope.FEATURE,
        check_class=CheckClass.LOCAL_SOFT,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )


_FEATURE_CHECKS = (
    CheckSpec(
        id="feature.unit",
        modality=CLINICAL_TABLE,
        scope=Scope.FEATURE,
        check_class=CheckClass.LOCAL_HARD,
        reason=ReasonCode.WRONG_UNIT,
        stability=None,
        bounds=Bounds(
            unit="share of recorded values",
            source="a majority in another unit is a column in another unit, not a set of errors",
            warn=0.01,
            fail=0.5,
        ),
        wording=Wording(
            "Unit as in the study",
            "Values outside the plausible range would be plausible in another unit.",
            "Find the ward, device or period that records in the other unit and convert it.",
        ),
    ),
    _feature(
        "feature.number",
        ReasonCode.NOT_A_NUMBER,
        Bounds(unit="share of recorded values", source="a numeric column holds numbers", warn=0.0),
        Wording(
            "Cells are numbers",
            "Some cells of a numeric column hold text and count as impossible values.",
            "Look for units, signs such as < or >, and decimal commas inside the cells.",
        ),
    ),
    _feature(
        "feature.range",
        ReasonCode.IMPOSSIBLE_VALUES,
        Bounds(unit="share of recorded values", source=_CONVENTION, warn=0.01),
        Wording(
            "Values inside the plausible range",
            "Values lie outside the range that the study calls plausible.",
            "Check the unit, typing errors, and codes that stand for a missing value.",
        ),
    ),
    _feature(
        "feature.category",
        ReasonCode.UNKNOWN_CATEGORIES,
        Bounds(unit="share of recorded values", source=_CONVENTION, warn=0.01),
        Wording(
            "Categories as in the study",
            "Cells hold categories that the study does not list.",
            "Map local codes to the study's codes before the export.",
        ),
    ),
    _feature(
        "feature.missing",
        ReasonCode.MISSING_VALUES,
        Bounds(
            unit=_SHARE,
            source="beyond 40 % imputation is exploratory (Jakobsen et al. 2017, BMC Med Res Methodol)",
            warn=0.4,
        ),
        Wording(
            "Mostly recorded",
            "The value is missing for a large part of the records.",
            "If the site never measures it, say so to the coordinator; else check the export.",
        ),
    ),
    _feature(
        "feature.missing-by-label",
        ReasonCode.MISSING_BY_LABEL,
        Bounds(
            unit="difference of missing shares",
            source="half of 0.4; asked only where a two-proportion test gives |z| > 3.29 (p < 0.001)",
            warn=0.2,
        ),
        Wording(
            "Missing alike for both outcomes",
            "The value is missing much more often for one outcome than for the other, so that "
            "its absence alone predicts the outcome.",
            "Check whether it is measured only when disease is suspected; tell the coordinator.",
        ),
    ),
    _feature(
        "feature.missing-code",
        ReasonCode.UNDECLARED_MISSING_CODE,
        Bounds(unit="share of recorded values", source=_CONVENTION, warn=0.01),
        Wording(
            "No hidden code for missing",
            "Many impossible values are one and the same number, as when a code stands for a "
            "missing value.",
            "Ask the coordinator to declare the code as missing, or leave such cells empty.",
        ),
    ),
    _feature(
        "feature.constant",
        ReasonCode.NEAR_CONSTANT,
        Bounds(
            unit="share of the most frequent value",
            source="less than one record in a hundred differs: the column says next to nothing",
            warn=0.99,
        ),
        Wording(
            "Varies between patients",
            "Nearly all records hold the same value.",
            "Check that the export filled the right column; else nothing to do.",
        ),
    ),
    _feature(
        "feature.digit",
        ReasonCode.DIGIT_PREFERENCE,
        Bounds(
            unit="share of values that end in 0",
            source="10 % expected; for the habit see Nietert et al. 2006 (Am J Hypertens)",
            warn=0.6,
        ),
        Wording(
            "Read to the last digit",
            "Most values end in 0, as when a scale is read by eye and rounded.",
            "Nothing to repair here; the measurement is coarser than it looks.",
        ),
    ),
)


def _cohort(
    check: str, reason: ReasonCode, check_class: CheckClass, bounds: Bounds, wording: Wording
) -> CheckSpec:
    """Make a cohort check: a statistic of all patients, so unbounded: it never picks records."""
    return CheckSpec(
        id=check,
        modality=CLINICAL_TABLE,
        scope=Scope.COHORT,
        check_class=check_class,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )


_COHORT_CHECKS = (
    _cohort(
        "cohort.patients",
        ReasonCode.TOO_FEW_PATIENTS,
        CheckClass.LOCAL_HARD,
        Bounds(
            unit="patients short of the study's minimum",
            source="the study: qc.gate.min_patients",
            fail=0,
        ),
        Wording(
            "Enough patients",
            "Fewer patients passed quality control than the study asks of every site.",
            "See which rule excluded the most patients; otherwise this site is too small.",
        ),
    ),
    _cohort(
        "cohort.excluded",
        ReasonCode.TOO_MANY_EXCLUDED,
        CheckClass.LOCAL_HARD,
        Bounds(
            unit="share of patients",
            source="the study: qc.gate.max_excluded_fraction; one patient in ten is worth a look",
            warn=0.1,
            fail=0.5,
        ),
        Wording(
            "Most patients usable",
            "A large share of the patients was left out; what remains may not be typical.",
            "Repair the rule that excluded the most patients at its source, then run again.",
        ),
    ),
    _cohort(
        "cohort.classes",
        ReasonCode.ONE_CLASS_ONLY,
        CheckClass.LOCAL_HARD,
        Bounds(
            unit="outcomes without a patient",
            source="nothing can be told apart when one of two outcomes never occurs",
            fail=0,
        ),
        Wording(
            "Both outcomes occur",
            "All usable records have the same outcome.",
            "Check the outcome's coding, and whether the export filtered on it.",
        ),
    ),
    _cohort(
        "cohort.balance",
        ReasonCode.CLASS_IMBALANCE,
        CheckClass.LOCAL_SOFT,
        Bounds(
            unit="share of the more frequent outcome",
            source="convention: beyond 19 to 1 local metrics are carried by a handful of patients",
            warn=0.95,
        ),
        Wording(
            "Outcomes balanced enough",
            "One outcome is rare at this site, so local results will be uncertain.",
            "Nothing to repair if this is the site's case mix; it helps to tell the coordinator.",
        ),
    ),
    _cohort(
        "cohort.conflicting-labels",
        ReasonCode.CONFLICTING_LABELS,
        CheckClass.LOCAL_SOFT,
        Bounds(unit="share of patients", source=_CONVENTION, warn=0.01),
        Wording(
            "One outcome per patient",
            "Patients have records with both outcomes, or equal records with different ones.",
            "Check at which time the outcome was read, and whether ids were mixed up.",
        ),
    ),
    _cohort(
        "cohort.sheet-labels",
        ReasonCode.LABELS_CONTRADICT_SHEET,
        CheckClass.LOCAL_SOFT,
        Bounds(unit="patients", source="table and sample sheet tell of the same people", warn=0),
        Wording(
            "Outcomes as on the sample sheet",
            "Table and sample sheet give patients different outcomes.",
            "Find out which of the two is right; shifted lines of a sheet look like this.",
        ),
    ),
    _cohort(
        "cohort.identifiers",
        ReasonCode.IDENTIFIER_COLUMN,
        CheckClass.LOCAL_HARD,
        Bounds(
            unit="columns",
            source="data minimisation: GDPR Art. 5(1)(c); HIPAA 45 CFR 164.514(b)(2)",
            fail=0,
        ),
        Wording(
            "No direct identifiers in the file",
            "The file has columns whose names promise direct identifiers. They were not read.",
            "Leave such columns out of the export; nothing is shared before they are gone.",
        ),
    ),
)
_QUASI = _cohort(
    "cohort.quasi-identifiers",
    ReasonCode.QUASI_IDENTIFIER,
    CheckClass.LOCAL_SOFT,
    Bounds(unit="columns", source="HIPAA 45 CFR 164.514(b)(2)", warn=0),
    Wording(
        "No indirect identifiers in the file",
        "The file has columns whose names promise birth dates, post codes or places. They were "
        "not read.",
        "Leave such columns out of the export.",
    ),
)

CHECKS = (*_RECORD_RULES, *_FEATURE_CHECKS, *_COHORT_CHECKS, _QUASI)

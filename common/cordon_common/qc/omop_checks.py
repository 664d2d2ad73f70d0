"""The checks of OMOP tables: rows of the registry, in the three categories of Kahn et al. 2016.

Source of the categories: Kahn et al. 2016 (eGEMs 4(1):1244), conformance, completeness,
plausibility. Where the OHDSI Data Quality Dashboard (v2, fields of CDM 5.4) has a threshold, it is
taken and its check named.
"""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

OMOP = "omop"

_ROWS = "share of rows"


def _dashboard(check: str) -> str:
    return f"OHDSI Data Quality Dashboard v2, {check}"


def _row(
    check: str,
    reason: ReasonCode,
    bounds: Bounds,
    wording: Wording,
    scope: Scope = Scope.FEATURE,
) -> CheckSpec:
    """Make a check of a table or column: a statistic of all rows, so unbounded. `fail`: hard."""
    return CheckSpec(
        id=check,
        modality=OMOP,
        scope=scope,
        check_class=CheckClass.LOCAL_SOFT if bounds.fail is None else CheckClass.LOCAL_HARD,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )


_PRIVACY = (
    _row(
        "omop.identifiers",
        ReasonCode.IDENTIFIER_COLUMN,
        Bounds(
            "columns", "HIPAA 45 CFR 164.514(b)(2); GDPR Art. 5(1)(c), data minimisation", fail=0
        ),
        Wording(
            "No direct identifiers",
            "Columns are called, or look, like names, record numbers, telephone numbers or mail "
            "addresses of persons.",
            "Empty these columns in the export (often *_source_value); nothing is shared before.",
        ),
        Scope.COHORT,
    ),
    _row(
        "omop.quasi-identifiers",
        ReasonCode.QUASI_IDENTIFIER,
        Bounds("columns", "HIPAA 45 CFR 164.514(b)(2)", warn=0),
        Wording(
            "No indirect identifiers",
            "The export holds days of birth, places, free text, or the source's own patient "
            "numbers.",
            "Empty what no study needs: day_of_birth, birth_datetime, person_source_value, "
            "LOCATION, NOTE.",
        ),
        Scope.COHORT,
    ),
    _row(
        "omop.persons",
        ReasonCode.TOO_FEW_PATIENTS,
        Bounds("persons short of ten", "k = 10: below, statistics speak of persons", fail=0),
        Wording(
            "Enough persons",
            "PERSON has fewer than ten rows; any statistic of them would speak of persons.",
            "This site is too small to take part by itself.",
        ),
        Scope.COHORT,
    ),
)

_CONFORMANCE = (
    _row(
        "omop.tables",
        ReasonCode.NOT_CONFORMANT,
        Bounds("tables", _dashboard("cdmTable"), fail=0),
        Wording(
            "PERSON is there",
            "Without PERSON no other table can be counted per patient.",
            "Export PERSON into the same folder.",
        ),
        Scope.COHORT,
    ),
    _row(
        "omop.columns",
        ReasonCode.NOT_CONFORMANT,
        Bounds("columns", f"{_dashboard('cdmField')}; CDM 5.4, required fields", fail=0),
        Wording(
            "Required columns are there",
            "A table lacks columns that the common data model requires.",
            "Export the table as the specification names its columns (CDM 5.3 or 5.4).",
        ),
    ),
    _row(
        "omop.person-key",
        ReasonCode.DUPLICATE_PATIENTS,
        Bounds(_ROWS, _dashboard("isPrimaryKey"), fail=0),
        Wording(
            "One row per person",
            "Rows of PERSON share an id, or have none; patients cannot be counted.",
            "Look for a join that multiplies rows, or two exports that were put together.",
        ),
        Scope.COHORT,
    ),
    _row(
        "omop.key",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds(_ROWS, _dashboard("isPrimaryKey"), warn=0),
        Wording(
            "Primary keys unique",
            "Rows of a table share their primary key.",
            "Look for a part of the table that was exported twice.",
        ),
    ),
    _row(
        "omop.lines",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of lines", "every line has as many fields as the header (RFC 4180)", warn=0),
        Wording(
            "Lines complete",
            "Lines have more or fewer fields than the header; they were left out.",
            "Look for commas inside unquoted cells, and for lines that were cut.",
        ),
    ),
    _row(
        "omop.required",
        ReasonCode.MISSING_VALUES,
        Bounds(_ROWS, _dashboard("isRequired"), warn=0),
        Wording(
            "Required cells filled",
            "Cells are empty that the common data model requires.",
            "Write 0 where no concept fits, and find out why dates or ids are missing.",
        ),
    ),
    _row(
        "omop.types",
        ReasonCode.NOT_A_NUMBER,
        Bounds(_ROWS, _dashboard("cdmDatatype"), warn=0),
        Wording(
            "Cells of the right type",
            "Cells of an id, number or date hold something else.",
            "Write ids as whole numbers and dates as YYYY-MM-DD.",
        ),
    ),
    _row(
        "omop.person-link",
        ReasonCode.BROKEN_LINK,
        Bounds(_ROWS, _dashboard("isForeignKey"), warn=0),
        Wording(
            "Every row belongs to a person",
            "Rows name a person who is not in PERSON; they are used for nobody.",
            "Export all tables for the same set of persons, from one state of the database.",
        ),
    ),
    _row(
        "omop.visit-link",
        ReasonCode.BROKEN_LINK,
        Bounds("share of rows that name a visit", _dashboard("isForeignKey"), warn=0),
        Wording(
            "Visits known, and the same person's",
            "Rows name a visit that is not in VISIT_OCCURRENCE, or that is another person's.",
            "Export visits and events together; look for ids that were made anew in one of them.",
        ),
    ),
    _row(
        "omop.gender",
        ReasonCode.UNKNOWN_CATEGORIES,
        Bounds("share of persons", _dashboard("fkDomain"), warn=0),
        Wording(
            "Gender is a concept of its domain",
            "gender_concept_id is neither 8507 (male) nor 8532 (female) nor 0 (not mapped).",
            "Map the source's codes to the standard concepts of the domain Gender.",
        ),
    ),
)

_COMPLETENESS = (
    _row(
        "omop.unmapped",
        ReasonCode.UNMAPPED_CONCEPTS,
        Bounds(_ROWS, _dashboard("standardConceptRecordCompleteness"), warn=0.05),
        Wording(
            "Mapped to standard concepts",
            "Rows have concept 0: the source's code was not mapped, so no study will find them.",
            "Map the most frequent source codes first; tell the coordinator what stays unmapped.",
        ),
    ),
    _row(
        "omop.observed",
        ReasonCode.MISSING_VALUES,
        Bounds("share of persons", _dashboard("measurePersonCompleteness"), warn=0),
        Wording(
            "Persons have an observation period",
            "Without a period nobody knows whether a missing event did not happen, or was not seen.",
            "Build OBSERVATION_PERIOD for all persons, even from first to last event.",
        ),
    ),
    _row(
        "omop.valueless",
        ReasonCode.MISSING_VALUES,
        Bounds(
            _ROWS,
            "beyond 40 % imputation is exploratory (Jakobsen et al. 2017, BMC Med Res Methodol)",
            warn=0.4,
        ),
        Wording(
            "Measurements have a value",
            "Measurements have neither a number nor a concept as their value.",
            "Check whether results stayed behind in value_source_value.",
        ),
    ),
    _row(
        "omop.unitless",
        ReasonCode.WRONG_UNIT,
        Bounds(
            "share of numbers", _dashboard("standardConceptRecordCompleteness, unit"), warn=0.05
        ),
        Wording(
            "Numbers have a unit",
            "Measurements have a number and no unit concept, so that it cannot be converted.",
            "Map unit_source_value to UCUM units; a study can only use numbers whose unit is known.",
        ),
    ),
)

_PLAUSIBILITY = (
    _row(
        "omop.birth-year",
        ReasonCode.IMPOSSIBLE_VALUES,
        Bounds("share of persons", _dashboard("plausibleValueLow and High"), warn=0.01),
        Wording(
            "Years of birth plausible",
            "Years of birth lie before 1850, or after the file was written.",
            "Check codes that stand for an unknown year, such as 1800 or 9999.",
        ),
    ),
    _row(
        "omop.before-birth",
        ReasonCode.DATE_ORDER,
        Bounds("share of dated rows", _dashboard("plausibleAfterBirth"), warn=0.01),
        Wording(
            "Nothing before birth",
            "Rows are dated before their person was born.",
            "Check the year of birth, and dates that stand for 'unknown', such as 1900-01-01.",
        ),
    ),
    _row(
        "omop.future",
        ReasonCode.FUTURE_DATE,
        Bounds("share of dated rows", _dashboard("plausibleValueHigh"), warn=0.01),
        Wording(
            "Nothing in the future",
            "Rows start after the day on which the file was written.",
            "Check the order of day and month, appointments, and dates that stand for 'never'.",
        ),
    ),
    _row(
        "omop.date-order",
        ReasonCode.DATE_ORDER,
        Bounds("share of rows with both dates", _dashboard("plausibleStartBeforeEnd"), warn=0.01),
        Wording(
            "Ends after it starts",
            "Rows end before they start.",
            "Check which of the two dates is wrong.",
        ),
    ),
    _row(
        "omop.after-death",
        ReasonCode.DATE_ORDER,
        Bounds("share of rows of the dead", _dashboard("plausibleDuringLife"), warn=0.01),
        Wording(
            "Nothing long after death",
            "Rows are dated more than 60 days after their person's death.",
            "Check the date of death, and whether two patients' ids were mixed up.",
        ),
    ),
    _row(
        "omop.outside-period",
        ReasonCode.DATE_ORDER,
        Bounds("share of dated rows", _dashboard("withinVisitDates, by analogy"), warn=0.05),
        Wording(
            "Events inside observation periods",
            "Rows are dated outside all observation periods of their person.",
            "Build the periods again from first to last event, or find out what they stand for.",
        ),
    ),
    _row(
        "omop.period-overlap",
        ReasonCode.DATE_ORDER,
        Bounds("share of persons", _dashboard("measureObservationPeriodOverlap"), warn=0),
        Wording(
            "Observation periods do not overlap",
            "Persons have observation periods that overlap or touch.",
            "Merge them into one, as the specification says.",
        ),
    ),
    _row(
        "omop.values",
        ReasonCode.IMPOSSIBLE_VALUES,
        Bounds("share of numbers", _dashboard("plausibleValueLow and High, concepts"), warn=0.01),
        Wording(
            "Measured values possible",
            "Numbers lie outside what a living person can have in the unit that they name.",
            "Look for values in another unit under this unit's concept, and for hidden codes.",
        ),
    ),
    _row(
        "omop.units",
        ReasonCode.WRONG_UNIT,
        Bounds("share of numbers with a unit", _dashboard("plausibleUnitConceptIds"), warn=0.01),
        Wording(
            "Units fit the measurement",
            "Numbers name a unit that this measurement is not given in.",
            "Check the mapping of unit_source_value, and of the measurement itself.",
        ),
    ),
    _row(
        "omop.repeated",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds(_ROWS, "convention: one in a hundred is the noise of any registry", warn=0.01),
        Wording(
            "Events occur once",
            "Rows repeat person, concept, date, visit and value of another row.",
            "Look for a source that was loaded twice, or a join that multiplies rows.",
        ),
    ),
)

CHECKS = (*_PRIVACY, *_CONFORMANCE, *_COMPLETENESS, *_PLAUSIBILITY)

"""The checks of a clinical table without a study: rows of the registry, with plain sentences."""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

CLINICAL = "clinical"

_SHARE = "share of records"
_CONVENTION = "convention: fewer than one record in a hundred is the noise of any registry"


def _table(
    check: str,
    reason: ReasonCode,
    bounds: Bounds,
    wording: Wording,
    check_class: CheckClass = CheckClass.LOCAL_SOFT,
) -> CheckSpec:
    """Make a check of a table or one of its columns: a statistic of all rows, so unbounded."""
    return CheckSpec(
        id=check,
        modality=CLINICAL,
        scope=Scope.COHORT if check.startswith("table.") else Scope.FEATURE,
        check_class=check_class,
        reason=reason,
        bounds=bounds,
        wording=wording,
        stability=None,
    )


CHECKS = (
    _table(
        "table.identifiers",
        ReasonCode.IDENTIFIER_COLUMN,
        Bounds(
            "columns", "HIPAA 45 CFR 164.514(b)(2); GDPR Art. 5(1)(c), data minimisation", fail=0
        ),
        Wording(
            "No direct identifiers",
            "Columns are called, or look, like names, record numbers, telephone numbers or mail "
            "addresses of persons.",
            "Leave these columns out of the export; nothing is shared before they are gone.",
        ),
        CheckClass.LOCAL_HARD,
    ),
    _table(
        "table.records",
        ReasonCode.TOO_FEW_PATIENTS,
        Bounds("records short of ten", "k = 10: below, statistics speak of persons", fail=0),
        Wording(
            "Enough records",
            "The table has fewer than ten records; any statistic of it would speak of persons.",
            "This site is too small to take part by itself.",
        ),
        CheckClass.LOCAL_HARD,
    ),
    _table(
        "table.quasi-identifiers",
        ReasonCode.QUASI_IDENTIFIER,
        Bounds("columns", "HIPAA 45 CFR 164.514(b)(2)", warn=0),
        Wording(
            "No indirect identifiers",
            "Columns hold what identifies people together with other data: birth dates, post "
            "codes, places.",
            "Replace birth dates by ages, and places by regions, unless the study needs them.",
        ),
    ),
    _table(
        "table.lines",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of lines", "every line has as many fields as the header (RFC 4180)", warn=0),
        Wording(
            "Lines complete",
            "Lines have more or fewer fields than the header; they were left out.",
            "Look for commas inside unquoted cells, and for lines that were cut.",
        ),
    ),
    _table(
        "table.repeated",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds(_SHARE, _CONVENTION, warn=0.01),
        Wording(
            "Records occur once",
            "Whole rows occur more than once.",
            "Look for a join that multiplies rows, or an export that was appended twice.",
        ),
    ),
    _table(
        "table.future",
        ReasonCode.FUTURE_DATE,
        Bounds("share of dates", "a date after the day on which the file was written", warn=0),
        Wording(
            "No dates in the future",
            "Dates lie after the day on which the file was written.",
            "Check the order of day and month, and dates that stand for 'never'.",
        ),
    ),
    _table(
        "table.date-order",
        ReasonCode.DATE_ORDER,
        Bounds("share of records with both dates", "nothing is measured before birth", warn=0),
        Wording(
            "Dates in order",
            "Something is recorded before birth, or after death.",
            "Check which of the two dates is wrong, and whether ids were mixed up.",
        ),
    ),
    _table(
        "table.afterwards",
        ReasonCode.TEMPORAL_LEAKAGE,
        Bounds("share of records", "a feature must be known when the prediction is made", warn=0),
        Wording(
            "Nothing recorded after the outcome",
            "A column is known only once the outcome is; a model that uses it looks good and is "
            "useless.",
            "Leave it out of the features, and cut records at the time of prediction.",
        ),
    ),
    _table(
        "column.tells-outcome",
        ReasonCode.TEMPORAL_LEAKAGE,
        Bounds("AUC of the column alone", "no single honest measurement is this good", warn=0.99),
        Wording(
            "No column tells the outcome by itself",
            "One column alone tells the two outcomes apart almost perfectly.",
            "Check whether it was recorded after the outcome, or because of it.",
        ),
    ),
    _table(
        "column.missing",
        ReasonCode.MISSING_VALUES,
        Bounds(
            _SHARE,
            "beyond 40 % imputation is exploratory (Jakobsen et al. 2017, BMC Med Res Methodol)",
            warn=0.4,
        ),
        Wording(
            "Column recorded for most",
            "The column is empty in a large share of the records.",
            "Check whether the export lost it; else tell the coordinator how it is collected.",
        ),
    ),
    _table(
        "column.code",
        ReasonCode.UNDECLARED_MISSING_CODE,
        Bounds("share of recorded values", "the value lies far from all others", warn=0),
        Wording(
            "No hidden code for missing",
            "A number that often stands for 'missing' lies far away from all other values.",
            "Declare it as a missing code in the study, or leave such cells empty.",
        ),
    ),
    _table(
        "column.constant",
        ReasonCode.NEAR_CONSTANT,
        Bounds("share of the most frequent value", "the column says nothing", warn=0.999),
        Wording(
            "Column varies",
            "All recorded cells hold the same value.",
            "Check that the export filled the right column; a 0 throughout often means 'missing'.",
        ),
    ),
    _table(
        "column.units",
        ReasonCode.WRONG_UNIT,
        Bounds("share of recorded values", _CONVENTION, warn=0.01),
        Wording(
            "One unit per column",
            "The values form two groups whose ratio is that of two units in use.",
            "Find the ward, device or period that records in the other unit and convert it.",
        ),
    ),
    _table(
        "column.number",
        ReasonCode.NOT_A_NUMBER,
        Bounds("share of recorded cells", "a numeric column holds numbers", warn=0),
        Wording(
            "Cells are numbers",
            "Some cells of a numeric column hold text.",
            "Look for units, signs such as < or >, and decimal commas inside the cells.",
        ),
    ),
)

"""Words, patterns and factors that clinical tables are judged by; all of it is public knowledge."""

from __future__ import annotations

import re

_OF_THINGS = (
    r"clinic|hospital|site|ward|drug|medication|test|lab|study|file|column|feature|variable|gene|"
    r"device|unit|department|panel|product|brand|generic|concept|source|event|user|group|form"
)

IDENTIFIER_NAME = re.compile(
    rf"(^|[_\W])(?<!{'[_ .-])(?<!'.join(_OF_THINGS.split('|'))}[_ .-])"
    r"((first|last|sur|full|maiden|family|given|fore|middle|patient|nick)[_\W]?)?name(s)?($|[_\W\d])"
    r"|(^|[_\W])(sur|fore|last|first)name($|[_\W\d])"
    r"|(^|[_\W])(mrn|ssn|nhs([_\W]?(no|number))?|e?[-_]?mail|phone|telephone|mobile|fax|address|"
    r"street|passport|insurance|iban|ahv|nino|licen[cs]e)([_\W]?(no|nr|num|number|id))?($|[_\W\d])"
    r"|social.?security|medical.?record.?(no|nr|num)|(home|mailing|e-?mail).?address",
    re.IGNORECASE,
)
"""Column names that promise a direct identifier (a person's name, number, address, telephone)."""

QUASI_NAME = re.compile(
    r"birth[_\W]?(date|day|datetime)|(date|day|place)[_\W]?of[_\W]?birth|(^|[_\W])dob($|[_\W])|post.?code|(^|[_\W])(zip|plz)([_\W]?code)?($|[_\W])"
    r"|(^|[_\W])(ip|gps|latitude|longitude|city|town|village|occupation|employer)($|[_\W])",
    re.IGNORECASE,
)
"""Column names of what identifies people together with other data (HIPAA 45 CFR 164.514(b)(2))."""

IDENTIFIER_CONTENT = {
    "e-mail addresses": r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$",
    "telephone numbers": r"^\+\d[\d \-/().]{7,18}$|^\(?0\d{1,4}\)?[ \-/]\d{3,4}[ \-/]?\d{3,6}$"
    r"|^\(?\d{3}\)?[ -]\d{3}-\d{4}$",
    "social security numbers": r"^\d{3}-\d{2}-\d{4}$|^756\.\d{4}\.\d{4}\.\d{2}$",
    "record numbers": r"^(MRN|PAT|PID|KIS|CASE)[ #:-]?\d{5,10}$",
    "names of persons": r"^(Mr|Mrs|Ms|Dr|Prof|Herr|Frau|Mme)\.? [A-Z][a-z]+"
    r"|^[A-Z][a-z]{2,}, [A-Z][a-z]{2,}( [A-Z]\.?)?$",
    "network addresses": r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$",
}
"""Shapes of cells that are direct identifiers, whatever the column is called (RE2 syntax)."""

IDENTIFIER_SHARE = 0.2
"""From this share of recorded cells on, a shape is a column's content and not an accident."""

DATE = (
    r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"
    r"|^\d{4}/\d{2}/\d{2}( \d{2}:\d{2}(:\d{2})?)?$"
)
"""Dates are read where year, month and day stand in this unmistakable order (ISO 8601)."""

DEATH_NAME = re.compile(r"death|died|decease|(^|[_\W])dod($|[_\W])|exitus", re.IGNORECASE)
BIRTH_NAME = re.compile(
    r"birth[_\W]?(date|day|datetime)|date[_\W]?of[_\W]?birth|(^|[_\W])dob($|[_\W])", re.IGNORECASE
)
AFTERWARDS_NAME = re.compile(
    r"discharge|death|died|decease|exitus|(^|[_\W])dod($|[_\W])|expire|autopsy|length.?of.?stay"
    r"|(^|[_\W])los($|[_\W])|survival|days?.?to|time.?to|follow.?up|readmi|post.?op",
    re.IGNORECASE,
)
"""Names of what is known only once the outcome is."""

OUTCOME_NAME = re.compile(
    r"^(y|outcome|label|target|class|status|diagnosis|death|died|event|result|num|e)$",
    re.IGNORECASE,
)

UNIT_FACTORS = {
    "glucose, mmol/L and mg/dL": 18.02,
    "cholesterol, mmol/L and mg/dL": 38.67,
    "creatinine, µmol/L and mg/dL": 88.4,
    "pressure, kPa and mmHg": 7.50062,
    "weight, kg and lb": 2.20462,
    "length, cm and inch": 2.54,
    "bilirubin, µmol/L and mg/dL": 17.1,
    "a factor of ten": 10.0,
    "a factor of hundred": 100.0,
    "a factor of thousand": 1000.0,
}
"""Ratios of units in use side by side (Young, Huth 1998, SI Units for Clinical Measurement)."""

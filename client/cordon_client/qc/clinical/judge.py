"""Judge a surveyed table: each function looks at one thing and says what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.clinical.leakage import leakage
from cordon_client.qc.clinical.vocabulary import (
    BIRTH_NAME,
    DEATH_NAME,
    IDENTIFIER_NAME,
    IDENTIFIER_SHARE,
    QUASI_NAME,
    UNIT_FACTORS,
)
from cordon_client.qc.finding import Finding
from cordon_client.qc.judge_features import WELL_KNOWN_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.qc.clinical.survey import Survey

    Values = npt.NDArray[np.float64]
    Found = tuple[str | None, Finding]

MIN_RECORDS = 10
_FEW = 5
_MIN_UNIT_SHARE, _RATIO_TOLERANCE = 0.01, 0.1
_CONSTANT_MIN_VALUES = 20
_DISTINCT, _ZERO_GAP, _ZERO_STEPS = 8, 0.25, 4
"""A 0 is no value of a column whose smallest other value is above a quarter of its median, and
further from 0 than values are from each other."""


def judge_table(survey: Survey) -> Iterator[Found]:
    """Yield (column or None, finding) for every check that applies."""
    short = max(0, MIN_RECORDS - survey.records)
    yield None, Finding("table.records", short, survey.records, f"{survey.records} records.")
    lines = survey.records + survey.damaged
    yield (
        None,
        Finding(
            "table.lines", survey.damaged / lines, survey.damaged, f"{survey.damaged} of {lines}."
        ),
    )
    yield None, _identifiers(survey)
    yield None, _quasi(survey)
    share = survey.repeated
    told = "" if share is None else f"{share:.1%} of the rows repeat an earlier one."
    yield None, Finding("table.repeated", share, None, told)
    yield from _columns(survey)
    yield from _future(survey)
    yield from _date_order(survey)
    yield from leakage(survey)


# -- identifiers ---------------------------------------------------------------------------------


def _identifiers(survey: Survey) -> Finding:
    """Name columns that are called like identifiers, or whose cells have their shape."""
    found = {name: "by its name" for name in survey.columns if IDENTIFIER_NAME.search(name)}
    for name, tally in survey.columns.items():
        for shape, cells in tally.shapes.items():
            if tally.looked_at >= _FEW and cells >= IDENTIFIER_SHARE * tally.looked_at:
                found[name] = f"holds {shape}"
    told = "; ".join(f"{name} ({why})" for name, why in found.items())
    return Finding("table.identifiers", float(len(found)), len(found), f"{told}.")


def _quasi(survey: Survey) -> Finding:
    found = [
        name
        for name in survey.columns
        if QUASI_NAME.search(name) and not IDENTIFIER_NAME.search(name)
    ]
    return Finding("table.quasi-identifiers", float(len(found)), len(found), f"{', '.join(found)}.")


# -- columns -------------------------------------------------------------------------------------


def _columns(survey: Survey) -> Iterator[Found]:
    for name, tally in survey.columns.items():
        if name in survey.row_numbers:
            continue
        share = tally.missing / tally.records if tally.records else None
        yield name, Finding("column.missing", share, tally.missing, f"{tally.missing} records.")
        if not tally.is_numeric:
            continue
        words = tally.recorded - tally.numbers
        yield (
            name,
            Finding("column.number", words / tally.recorded, words, f"{words} cells hold text."),
        )
        values = survey.numbers[name]
        values = values[np.isfinite(values)]
        yield name, _constant(values)
        code = hidden_code(values)
        yield name, _code(values, code)
        yield name, _units(values[values != code] if code is not None else values)


def _constant(values: Values) -> Finding:
    if len(values) < _CONSTANT_MIN_VALUES:
        return Finding("column.constant", None)
    distinct, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    share = float(counts[most] / len(values))
    return Finding("column.constant", share, None, f"Every recorded cell holds {distinct[most]:g}.")


def hidden_code(values: Values) -> float | None:
    """Return a well-known number that lies far from all other values; None when there is none.

    Far: beyond nearly all others by more than half of their span. One cell below zero is telling in
    a quantity that is never negative, and one zero where everybody else has plenty: a blood
    pressure of 0 is none.
    """
    for code in WELL_KNOWN_CODES:
        hits = int((values == code).sum())
        others = values[values != code]
        if hits and len(np.unique(others)) >= _DISTINCT and _is_far(code, hits, others):
            return float(code)
    return None


def _is_far(code: float, hits: int, others: Values) -> bool:
    if code == 0:
        lowest, steps = others.min(), np.diff(np.unique(others))
        alone = lowest > max(_ZERO_GAP * np.median(others), _ZERO_STEPS * np.median(steps))
        return hits <= len(others) and bool(alone)
    low, high = np.quantile(others, [0.005, 0.995])
    margin = (high - low) / 2
    if code < 0:
        return bool(others.min() >= 0) and (code < low - margin or hits >= _FEW or low > 0)
    return hits >= _FEW and bool(code < low - margin or code > high + margin)


def _code(values: Values, code: float | None) -> Finding:
    if not len(values):
        return Finding("column.code", None)
    if code is None:
        return Finding("column.code", 0.0, 0)
    hits = int((values == code).sum())
    others = values[values != code]
    told = (
        f"{hits} cells hold {code:g}; all others lie between {others.min():g} and {others.max():g}."
    )
    return Finding("column.code", hits / len(values), hits, told)


def _units(values: Values) -> Finding:
    """Look for two groups on the logarithmic scale, apart by a ratio of units in use."""
    positive = np.sort(values[values > 0])
    if len(positive) < 10 * _FEW or len(positive) < 0.9 * len(values):
        return Finding("column.units", None)
    logs = np.log(positive)
    least = max(_FEW, int(_MIN_UNIT_SHARE * len(logs)))
    gaps = np.diff(logs)[least - 1 : len(logs) - least]
    place = least + int(gaps.argmax()) if len(gaps) else 0
    below, above = logs[:place], logs[place:]
    if not len(gaps) or not _are_two_groups(below, above, float(gaps.max())):
        return Finding("column.units", 0.0, 0)
    ratio = float(np.exp(np.median(above) - np.median(below)))
    name = min(UNIT_FACTORS, key=lambda each: abs(np.log(ratio / UNIT_FACTORS[each])))
    tolerance = _RATIO_TOLERANCE if ratio > 4 else _RATIO_TOLERANCE / 2
    if abs(np.log(ratio / UNIT_FACTORS[name])) > tolerance:
        return Finding("column.units", 0.0, 0)
    fewer = min(len(below), len(above))
    told = (
        f"Two groups, around {np.exp(np.median(below)):.3g} and {np.exp(np.median(above)):.3g}: "
        f"a ratio of {ratio:.3g}, as of {name} ({UNIT_FACTORS[name]:g})."
    )
    return Finding("column.units", fewer / len(values), fewer, told)


def _are_two_groups(below: Values, above: Values, gap: float) -> bool:
    """Say whether a gap separates two groups of alike spread, and not a tail from its body."""
    spreads = float(below.std()), float(above.std())
    if min(spreads) == 0 or len(np.unique(below)) < _FEW or len(np.unique(above)) < _FEW:
        return False
    alike = max(spreads) <= 2.5 * min(spreads)
    return alike and gap > max(spreads)


# -- dates ---------------------------------------------------------------------------------------


def _future(survey: Survey) -> Iterator[Found]:
    tomorrow = survey.written + np.timedelta64(1, "D")
    for name, dates in survey.dates.items():
        known = dates[~np.isnat(dates)]
        if len(known):
            late = int((known > tomorrow).sum())
            yield name, Finding("table.future", late / len(known), late, f"{late} dates.")


def _date_order(survey: Survey) -> Iterator[Found]:
    for name, dates in survey.dates.items():
        for other, events in survey.dates.items():
            both = ~np.isnat(dates) & ~np.isnat(events)
            if name == other or not both.any():
                continue
            if BIRTH_NAME.search(name):
                wrong = int((events[both] < dates[both]).sum())
                told = f"{wrong} times before {name}."
            elif DEATH_NAME.search(name) and not BIRTH_NAME.search(other):
                day = dates[both].astype("datetime64[D]")
                wrong = int((events[both].astype("datetime64[D]") > day).sum())
                told = f"{wrong} times after {name}."
            else:
                continue
            yield other, Finding("table.date-order", wrong / int(both.sum()), wrong, told)

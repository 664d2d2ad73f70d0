"""Judge a read export: each function looks at one thing and says what it saw, table by table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.clinical.vocabulary import IDENTIFIER_NAME, IDENTIFIER_SHARE
from cordon_client.qc.finding import Finding
from cordon_client.qc.omop.model import (
    EVENTS,
    FEMALE,
    MALE,
    MEASUREMENT,
    NO_CONCEPT,
    PERIOD,
    PERSON,
    PLACES_AND_TEXT,
)
from cordon_client.qc.omop.plausible import MEASUREMENTS
from cordon_common.qc.omop_checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cordon_client.qc.omop.survey import Export
    from cordon_client.qc.omop.tally import Tally

    Found = tuple[str | None, Finding]

MIN_PERSONS = 10
_FEW = 5
_FIRST_YEAR = 1850
_WORDS = {
    "before-birth": "before their person's birth",
    "future": "after the day on which the export was written",
    "date-order": "end before they start",
    "after-death": "more than 60 days after their person's death",
    "outside-period": "outside the observation periods of their person",
}


def judge_export(export: Export) -> Iterator[Found]:
    """Yield (table or column, finding); a check that had nothing to look at is said once, so."""
    said = set()
    for judge in _JUDGES:
        for subject, finding in judge(export):
            if finding.value is not None:
                said.add(finding.check)
                yield subject, finding
    for spec in CHECKS:
        if spec.id not in said:
            yield None, Finding(spec.id, None)


def _privacy(export: Export) -> Iterator[Found]:
    found = {
        name: "by its name"
        for name in sorted(export.columns)
        if IDENTIFIER_NAME.search(name.partition(".")[2])
    }
    for name, tally in export.texts.items():
        for shape, cells in tally.shapes.items():
            if tally.looked_at >= _FEW and cells >= IDENTIFIER_SHARE * tally.looked_at:
                found[name] = f"holds {shape}"
    told = "; ".join(f"{name} ({why})" for name, why in found.items())
    yield None, Finding("omop.identifiers", float(len(found)), len(found), f"{told}.")
    quasi = [f"{name.upper()}" for name in export.unread if name in PLACES_AND_TEXT]
    quasi += ["person.day_of_birth"] * (export.days_of_birth > 0)
    for name in ("person.birth_datetime", "person.person_source_value"):
        if name in export.texts and export.texts[name].recorded:
            quasi.append(name)
    yield None, Finding("omop.quasi-identifiers", float(len(quasi)), None, f"{', '.join(quasi)}.")


def _structure(export: Export) -> Iterator[Found]:
    missing = PERSON.name not in export.tallies
    told = "person is not in the folder."
    yield None, Finding("omop.tables", float(missing), None, told)
    for name in export.tallies:
        lacking = export.absent.get(name, ())
        yield name, Finding("omop.columns", float(len(lacking)), None, f"{', '.join(lacking)}.")
    if missing:
        return
    persons = 0 if export.persons is None else len(export.persons.ids)
    short = max(0, MIN_PERSONS - persons)
    yield None, Finding("omop.persons", short, persons, f"{persons} persons.")
    again = export.person_rows - persons
    share = again / export.person_rows if export.person_rows else None
    told = f"{again} of {export.person_rows} rows repeat an id, or have none."
    yield None, Finding("omop.person-key", share, again, told)


def _tables(export: Export) -> Iterator[Found]:
    for name, tally in export.tallies.items():
        lines = tally.rows + tally.damaged
        if lines:
            yield name, _part("omop.lines", tally.damaged, lines, "lines")
        if tally.rows:
            yield from _rows(name, tally)
    for name, (wrong, tested) in export.broken.items():
        if tested:
            yield name, _part("omop.visit-link", wrong, tested)


def _rows(name: str, tally: Tally) -> Iterator[Found]:
    for column, empty in tally.empty.items():
        yield f"{name}.{column}", _part("omop.required", empty, tally.rows, "cells", "are empty")
    for column, wrong in sorted(tally.wrong.items()):
        yield f"{name}.{column}", _part("omop.types", wrong, tally.rows)
    if tally.table.concept in tally.empty:
        column = f"{name}.{tally.table.concept}"
        yield column, _part("omop.unmapped", tally.unmapped, tally.rows, "rows", "hold 0")
    if name == PERSON.name:
        return
    yield name, _part("omop.person-link", tally.orphans, tally.rows, "rows", "name nobody")
    if tally.table.key is not None:
        yield name, _repeats("omop.key", tally.keys.share(), "share their key")


def _persons(export: Export) -> Iterator[Found]:
    known = sum(export.gender.values())
    if known:
        odd = {c: n for c, n in export.gender.items() if c not in {MALE, FEMALE, NO_CONCEPT}}
        told = "; ".join(f"concept {concept}: {n} persons" for concept, n in sorted(odd.items()))
        count = sum(odd.values())
        yield None, Finding("omop.gender", count / known, count, f"{told}.")
    years = export.birth_years
    if len(years):
        last = 1970 + export.today // 365.2425
        wrong = int(((years < _FIRST_YEAR) | (years > last)).sum())
        yield None, _part("omop.birth-year", wrong, len(years), "persons")
    persons = 0 if export.persons is None else len(export.persons.ids)
    if persons and PERIOD.name in export.tallies:
        yield None, _part("omop.observed", export.without_period, persons, "persons", "have none")
        yield None, _part("omop.period-overlap", export.touching, persons, "persons")


def _times(export: Export) -> Iterator[Found]:
    events = {table.name for table in EVENTS}
    for name, tally in export.tallies.items():
        for pair, words in _WORDS.items():
            share, rows = tally.share(pair)
            if pair in {"outside-period", "after-death"} and name not in events:
                continue
            told = (
                f"{rows} rows are dated {words}."
                if pair != "date-order"
                else f"{rows} rows {words}."
            )
            yield name, Finding(f"omop.{pair}", share, rows, told)
        if name in events:
            yield name, _repeats("omop.repeated", tally.events.share(), "repeat an earlier one")


def _values(export: Export) -> Iterator[Found]:
    tally = export.tallies.get(MEASUREMENT.name)
    if tally is None:
        return
    for pair, words in (("valueless", "no value"), ("unitless", "a number without a unit")):
        share, rows = tally.share(pair)
        yield MEASUREMENT.name, Finding(f"omop.{pair}", share, rows, f"{rows} rows have {words}.")
    for concept, (word, bounds) in MEASUREMENTS.items():
        units = {unit: n for (which, unit), n in tally.numbers.items() if which == concept}
        if not units:
            continue
        odd = {unit: n for unit, n in units.items() if unit not in bounds}
        told = f"unit concepts {', '.join(str(unit) for unit in sorted(odd))}."
        subject = f"{word} ({concept})"
        count = sum(odd.values())
        yield subject, Finding("omop.units", count / sum(units.values()), count, told)
        yield from _outside(subject, concept, units, tally)


def _outside(subject: str, concept: int, units: dict[int, int], tally: Tally) -> Iterator[Found]:
    for unit, count in units.items():
        limits = MEASUREMENTS[concept][1].get(unit)
        if limits is None:
            continue
        outside = tally.impossible[concept, unit]
        told = f"{outside} numbers in unit {unit} lie outside {limits[0]:g} to {limits[1]:g}."
        yield f"{subject}, unit {unit}", Finding("omop.values", outside / count, outside, told)


def _part(check: str, some: int, rows: int, what: str = "rows", words: str = "") -> Finding:
    told = f"{some} of {rows} {what}{' ' if words else ''}{words}."
    return Finding(check, some / rows, some, told)


def _repeats(check: str, share: float | None, words: str) -> Finding:
    return Finding(check, share, None, "" if share is None else f"{share:.2%} of the rows {words}.")


_JUDGES: tuple[Callable[[Export], Iterator[Found]], ...] = (
    _privacy,
    _structure,
    _tables,
    _persons,
    _times,
    _values,
)

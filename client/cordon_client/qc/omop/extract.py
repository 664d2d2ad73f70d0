"""Make a cohort file of OMOP tables by a recipe: one row per person, nothing known too late in it.

Guarantee: a person's row depends on that person's own rows and the recipe alone, so one patient
more or less changes no other row (stability 1); and on the rows, not on their order or files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cordon_client.qc.omop.folder import by_table
from cordon_client.qc.omop.gather import NEVER, gather_for
from cordon_client.qc.omop.model import DEATH, FEMALE, MALE, PERIOD, PERSON, TABLES
from cordon_client.qc.omop.persons import NO_DAY, NOBODY
from cordon_client.qc.omop.recipe import (
    PERSON_ID,
    AgeFeature,
    EventFeature,
    NumberFeature,
    SexFeature,
)
from cordon_client.qc.omop.survey import (
    Export,
    Reading,
    batches_of,
    owners_of,
    read_persons,
    values_of,
)
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.modality import Progress
    from cordon_client.qc.omop.persons import Persons
    from cordon_client.qc.omop.recipe import Index, OmopFeature, Outcome, Recipe

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Gathered = NumberFeature | EventFeature

_ONLY_PERSONS = (PERSON.name, DEATH.name, PERIOD.name)


@dataclass(frozen=True)
class Column:
    """One feature of the file, and what was not used for it.

    recorded: persons that have it. other_unit: numbers in a unit without a factor. after_outcome:
    events or numbers dated on or after the day of their person's outcome; many of them beside few
    persons that have it mean that it is asked for because of the outcome.
    """

    name: str
    recorded: int
    other_unit: int = 0
    after_outcome: int = 0


@dataclass(frozen=True)
class Extract:
    """A cohort file and how it came about; persons = rows + all that were left out, by reason."""

    table: pa.Table
    persons: int
    left_out: dict[str, int]
    positive: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class _Rows:
    """Dated rows of known persons, whose concept was asked for or who were asked for all."""

    person: Ints
    day: Ints
    concept: Ints
    unit: Ints
    value: Floats


class _Source:
    """An export's tables, read as often as the recipe needs them."""

    def __init__(self, recipe: Recipe, files: Sequence[Path], progress: Progress) -> None:
        self._tables = by_table(files)
        features = [f for f in recipe.features if isinstance(f, NumberFeature | EventFeature)]
        self.by_table: dict[str, list[Gathered]] = {}
        for feature in features:
            self.by_table.setdefault(feature.table, []).append(feature)
        asked = [recipe.index.table, recipe.outcome.table, *self.by_table]
        self._require(*_needed(recipe, asked))
        read = [*_ONLY_PERSONS, *(name for name in asked if name != DEATH.name)]
        self._reading = Reading([f for name in read for f in self._tables.get(name, ())], progress)
        self._export = Export()
        self.persons: Persons = read_persons(self._export, self._tables, self._reading)

    def _require(self, *names: str) -> None:
        missing = [name for name in dict.fromkeys(names) if name not in self._tables]
        if missing:
            raise DataError("DA045", why=f"there is no {', '.join(missing)}")

    def rows(self, name: str) -> Iterator[_Rows]:
        """Read a table's dated rows of known persons.

        Raises:
            DataError: DA045 when it lacks a required column, else as `open_table`.
        """
        table = TABLES[name]
        for cells, batch in batches_of(self._export, table, self._tables[name], self._reading):
            if name in self._export.absent:
                lacking = ", ".join(self._export.absent[name])
                raise DataError("DA045", why=f"{name} lacks {lacking}")
            day, concept = cells[table.start or ""], cells[table.concept or ""]
            person = owners_of(cells, self.persons, batch.num_rows)
            some = (person != NOBODY) & day.known & concept.known
            unit = cells.get("unit_concept_id")
            units = np.zeros(batch.num_rows, np.int64) if unit is None else unit.values
            value = values_of(self._export, table, batch)
            numbers = np.full(batch.num_rows, np.nan) if value is None else value
            yield _Rows(
                person[some], day.values[some], concept.values[some], units[some], numbers[some]
            )


def _needed(recipe: Recipe, asked: Sequence[str]) -> list[str]:
    observed = recipe.index.prior_days > 0 or recipe.outcome.follow_up == "observed"
    return [PERSON.name, *asked, *([PERIOD.name] if observed else [])]


def extract(recipe: Recipe, files: Sequence[Path], progress: Progress) -> Extract:
    """Make the cohort file's table, rows by ascending person id.

    Raises:
        DataError: DA045 when the tables do not hold what the recipe asks for; as `open_table`.
    """
    source = _Source(recipe, files, progress)
    index = _index(source, recipe.index)
    happened, before = _outcome(source, recipe.outcome, index)
    positive = happened != NEVER
    left_out, keep = _fates(source.persons, recipe, index, positive, before)
    columns: dict[str, pa.Array] = {PERSON_ID: pa.array(source.persons.ids[keep])}
    unused = {f.name: Counter[str]() for f in recipe.features}
    gathered = _gather(source, np.where(keep, index, NEVER), happened, unused)
    for feature in recipe.features:
        columns[feature.name] = _column(feature, source.persons, index, keep, gathered)
    columns[recipe.outcome.name] = pa.array(positive[keep].astype(np.int8))
    table = pa.table({name: columns[name] for name in recipe.columns})
    told = tuple(
        Column(
            f.name,
            len(table) - table[f.name].null_count,
            unused[f.name]["unit"],
            unused[f.name]["after"],
        )
        for f in recipe.features
    )
    persons = len(source.persons.ids)
    return Extract(table, persons, left_out, int(positive[keep].sum()), told)


# -- who, and when ---------------------------------------------------------------------------------


def _index(source: _Source, index: Index) -> Ints:
    """Return each person's index date; NEVER where there is none."""
    sign = 1 if index.occurrence == "first" else -1
    found = np.full(len(source.persons.ids), NEVER)
    for rows in source.rows(index.table):
        some = _asked(rows.concept, index.concepts)
        np.minimum.at(found, rows.person[some], sign * rows.day[some])
    return np.where(found == NEVER, NEVER, sign * found)


def _outcome(source: _Source, outcome: Outcome, index: Ints) -> tuple[Ints, Mask]:
    """Return the day of each person's first outcome in the window, else NEVER; who had it earlier."""
    happened, before = np.full(len(index), NEVER), np.zeros(len(index), np.bool_)
    for person, day in _outcome_days(source, outcome):
        since = _since(day, index[person])
        low, high = outcome.days
        inside = (since >= low) & (since <= high)
        np.minimum.at(happened, person[inside], day[inside])
        before[person[since < low]] = True
    return happened, before


def _outcome_days(source: _Source, outcome: Outcome) -> Iterator[tuple[Ints, Ints]]:
    if outcome.table == DEATH.name:
        died = np.flatnonzero(source.persons.died != NO_DAY)
        yield died, source.persons.died[died]
        return
    for rows in source.rows(outcome.table):
        some = _asked(rows.concept, outcome.concepts)
        yield rows.person[some], rows.day[some]


def _fates(
    persons: Persons, recipe: Recipe, index: Ints, positive: Mask, before: Mask
) -> tuple[dict[str, int], Mask]:
    """Say who makes a row; the others are counted under the first reason that applies.

    Who died in the outcome's window has been observed to its end.
    """
    everybody = np.arange(len(index))
    dated = index != NEVER
    day = np.where(dated, index, 0)
    prior, last = recipe.index.prior_days, day + recipe.outcome.days[1]
    watched = persons.observed(everybody, day, last) | (persons.died <= last) | positive
    reasons = {
        "no index event": ~dated,
        "not observed long enough before": dated
        & ~(persons.observed(everybody, day - prior, day) if prior else dated),
        "had the outcome before": before & (recipe.outcome.before == "left-out"),
        "not observed to the end": ~watched & (recipe.outcome.follow_up == "observed"),
    }
    keep, counts = np.ones(len(index), np.bool_), {}
    for reason, hit in reasons.items():
        counts[reason] = int((hit & keep).sum())
        keep &= ~hit
    return counts, keep


# -- what is known of them -------------------------------------------------------------------------


def _gather(
    source: _Source, index: Ints, happened: Ints, unused: dict[str, Counter[str]]
) -> dict[str, Floats]:
    """Read each table once for all of its features; returns columns by feature, of all persons.

    index: NEVER for persons without a row. unused: counts what is not used, by feature.
    """
    found: dict[str, Floats] = {}
    for name, features in source.by_table.items():
        gathers = {feature.name: gather_for(feature, len(index)) for feature in features}
        for rows in source.rows(name):
            since = _since(rows.day, index[rows.person])
            after = (since != NEVER) & (rows.day >= happened[rows.person])
            for feature in features:
                low, high = feature.days
                asked = _asked(rows.concept, feature.concepts)
                value, fits = _converted(feature, rows)
                inside = asked & (since >= low) & (since <= high)
                used = inside & fits
                number = np.isfinite(rows.value) & (feature.kind == "number")
                unused[feature.name]["unit"] += int((inside & number & ~fits).sum())
                unused[feature.name]["after"] += int((asked & fits & after).sum())
                gathers[feature.name].add(rows.person[used], rows.day[used], value[used])
        found |= {feature: gather.result() for feature, gather in gathers.items()}
    return found


def _converted(feature: Gathered, rows: _Rows) -> tuple[Floats, Mask]:
    """Return numbers in the feature's unit, and which rows can be used."""
    if isinstance(feature, EventFeature):
        return rows.value, np.ones(len(rows.day), np.bool_)
    factor = np.where(rows.unit == feature.unit, 1.0, np.nan)
    for unit, by in feature.factors.items():
        factor = np.where(rows.unit == unit, by, factor)
    value = rows.value * factor
    return value, np.isfinite(value)


def _column(
    feature: OmopFeature,
    persons: Persons,
    index: Ints,
    keep: Mask,
    gathered: dict[str, Floats],
) -> pa.Array:
    if isinstance(feature, AgeFeature):
        return _ages(persons.born[keep], index[keep])
    if isinstance(feature, SexFeature):
        words = {MALE: feature.male, FEMALE: feature.female}
        return pa.array([words.get(each) for each in persons.gender[keep].tolist()], pa.string())
    values = gathered[feature.name][keep]
    if isinstance(feature, EventFeature):
        return pa.array(values.astype(np.int64))
    return pa.array(values, from_pandas=True)


def _ages(born: Ints, day: Ints) -> pa.Array:
    """Count completed years; null where the birth is not known."""
    known = born != NO_DAY
    birth = np.where(known, born, 0).astype("datetime64[D]")
    at = day.astype("datetime64[D]")
    birth_month, month = birth.astype("datetime64[M]"), at.astype("datetime64[M]")
    months = (month - birth_month).astype(np.int64)
    months -= (at - month).astype(np.int64) < (birth - birth_month).astype(np.int64)
    return pa.array(months // 12, mask=~known)


def _asked(concept: Ints, concepts: tuple[int, ...]) -> Mask:
    return np.isin(concept, concepts) if concepts else np.ones(len(concept), np.bool_)


def _since(day: Ints, index: Ints) -> Ints:
    """Return days since the index date; NEVER, in no window, for who has none."""
    return np.where(index == NEVER, NEVER, day - np.where(index == NEVER, 0, index))

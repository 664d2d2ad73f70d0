"""What one pass over an OMOP table counts: exact integers, and fair parts where ids are too many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.clinical.tally import RepeatedRows
from cordon_client.qc.omop.model import MEASUREMENT, NO_CONCEPT
from cordon_client.qc.omop.persons import AFTER_DEATH_DAYS, NO_DAY, NOBODY
from cordon_client.qc.omop.plausible import MEASUREMENTS

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.omop.cells import Whole
    from cordon_client.qc.omop.model import CdmTable
    from cordon_client.qc.omop.persons import Persons

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

_KEPT_VISITS = 2_000_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Batch:
    """Some rows of a table, read.

    whole: ids, concepts and days by column; person: places among
    the persons, NOBODY = none of them; value: float64 [rows], of tables with values; texts: hashes
    of the cells of other columns, uint64 [rows] each.
    """

    rows: int
    whole: dict[str, Whole]
    person: Ints
    value: npt.NDArray[np.float64] | None = None
    texts: tuple[npt.NDArray[np.uint64], ...] = ()


@dataclass
class Tally:
    """Counts of one table; every pair is (rows that the check holds against, rows it looked at)."""

    table: CdmTable
    rows: int = 0
    damaged: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    unmapped: int = 0
    years: Counter[int] = field(default_factory=Counter)
    pairs: dict[str, tuple[int, int]] = field(default_factory=dict)
    keys: RepeatedRows = field(default_factory=RepeatedRows)
    events: RepeatedRows = field(default_factory=RepeatedRows)
    numbers: Counter[tuple[int, int]] = field(default_factory=Counter)
    impossible: Counter[tuple[int, int]] = field(default_factory=Counter)

    def count(self, name: str, against: Mask, looked_at: Mask) -> None:
        """Add to a pair."""
        before = self.pairs.get(name, (0, 0))
        held = int((against & looked_at).sum())
        self.pairs[name] = (before[0] + held, before[1] + int(looked_at.sum()))

    def share(self, name: str) -> tuple[float | None, int]:
        """Return a pair as (share, rows); None where nothing was looked at."""
        held, looked_at = self.pairs.get(name, (0, 0))
        return (held / looked_at if looked_at else None), held

    def add(self, batch: Batch, persons: Persons, today: int) -> None:
        """Count a batch. today: the day on which the file was written, in days since 1970."""
        self.rows += batch.rows
        for name, column in batch.whole.items():
            self.wrong[name] += column.wrong
            if name in self.table.required:
                self.empty[name] += column.empty
        self.orphans += int((batch.person == NOBODY).sum())
        self._add_keys(batch)
        if self.table.concept in batch.whole:
            concept = batch.whole[self.table.concept]
            self.unmapped += int((concept.known & (concept.values == NO_CONCEPT)).sum())
        if self.table.start in batch.whole:
            self._add_dates(batch, persons, today)
        if batch.value is not None and self.table is MEASUREMENT:
            self._add_values(batch)

    def _add_keys(self, batch: Batch) -> None:
        if self.table.key in batch.whole:
            key = batch.whole[self.table.key]
            self.keys.add([key.values[key.known].view(np.uint64)])
        if self.table.start is None or self.table.concept not in batch.whole:
            return
        said = [*batch.texts]
        said += [c.values.view(np.uint64) for n, c in batch.whole.items() if n != self.table.key]
        if batch.value is not None:
            said.append(batch.value.view(np.uint64))
        # What was not mapped says too little to call two rows of one day the same event.
        mapped = batch.whole[self.table.concept].values != NO_CONCEPT
        self.events.add([cells[mapped] for cells in said])

    def _add_dates(self, batch: Batch, persons: Persons, today: int) -> None:
        start = batch.whole[self.table.start or ""]
        day, dated = start.values, start.known & (batch.person != NOBODY)
        place = np.maximum(batch.person, 0)
        born = persons.born[place] if len(persons.ids) else np.zeros_like(day)
        died = persons.died[place] if len(persons.ids) else np.full_like(day, NO_DAY)
        self.count("future", day > today + 1, start.known)
        self.count("before-birth", day < born, dated & (born != NO_DAY))
        dead = dated & (died != NO_DAY)
        self.count("after-death", day > np.where(dead, died, 0) + AFTER_DEATH_DAYS, dead)
        if len(persons.starts):
            self.count("outside-period", ~persons.observed(place, day), dated)
        if self.table.end in batch.whole:
            end = batch.whole[self.table.end]
            self.count("date-order", end.values < day, start.known & end.known)
        years = day[start.known].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
        self.years.update(dict(zip(*np.unique(years, return_counts=True), strict=True)))

    def _add_values(self, batch: Batch) -> None:
        value = batch.value
        if value is None:
            return
        has_number, rows = np.isfinite(value), np.ones(batch.rows, dtype=np.bool_)
        concept, unit = _column(batch, self.table.concept), _column(batch, "unit_concept_id")
        coded = _column(batch, "value_as_concept_id") != NO_CONCEPT
        self.count("valueless", ~has_number & ~coded, rows)
        self.count("unitless", unit == NO_CONCEPT, has_number)
        known = has_number & (unit != NO_CONCEPT) & np.isin(concept, list(MEASUREMENTS))
        pairs = np.stack([concept[known], unit[known]])
        distinct, inverse = np.unique(pairs, axis=1, return_inverse=True)
        for place, (which, scale) in enumerate(distinct.T.tolist()):
            own = value[known][inverse.ravel() == place]
            self.numbers[which, scale] += len(own)
            bounds = MEASUREMENTS[which][1].get(scale)
            if bounds is not None:
                outside = int(((own < bounds[0]) | (own > bounds[1])).sum())
                self.impossible[which, scale] += outside


def _column(batch: Batch, name: str | None) -> Ints:
    if name in batch.whole:
        column = batch.whole[name]
        return np.where(column.known, column.values, NO_CONCEPT)
    return np.zeros(batch.rows, dtype=np.int64)


class Visits:
    """Which visit is whose, for all visits or a fair part of them, chosen by their id alone.

    So an event's visit is either kept, or not tested; memory is bounded whatever the export's size.
    """

    def __init__(self, kept: int = _KEPT_VISITS) -> None:
        self._limit, self._shift = kept, 0
        self._ids, self._persons = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def add(self, ids: Ints, persons: Ints) -> None:
        """Take a batch of visits."""
        tested = self._tested(ids)
        self._ids = np.concatenate([self._ids, ids[tested]])
        self._persons = np.concatenate([self._persons, persons[tested]])
        while len(self._ids) > self._limit:
            self._shift += 1
            tested = self._tested(self._ids)
            self._ids, self._persons = self._ids[tested], self._persons[tested]

    def close(self) -> None:
        """Sort; call once, after the last batch."""
        order = np.argsort(self._ids, kind="stable")
        self._ids, self._persons = self._ids[order], self._persons[order]

    def broken(self, ids: Ints, persons: Ints) -> tuple[Mask, Mask]:
        """Return (not there or another person's, tested) for events that name a visit."""
        tested = self._tested(ids)
        if not len(self._ids):
            return np.ones(len(ids), dtype=np.bool_), tested
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        fits = (self._ids[place] == ids) & (self._persons[place] == persons)
        return ~fits, tested

    def _tested(self, ids: Ints) -> Mask:
        if not self._shift:
            return np.ones(len(ids), dtype=np.bool_)
        mixed = ids.view(np.uint64) * _MULTIPLIER
        chosen: Mask = (mixed >> np.uint64(64 - self._shift)) == 0
        return chosen

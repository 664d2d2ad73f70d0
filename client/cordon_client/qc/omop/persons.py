"""Who there is in an export, when each was born, observed and died: what all events are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.omop.cells import DAY_LIMIT

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

NO_DAY = np.iinfo(np.int64).max
NOBODY = -1
AFTER_DEATH_DAYS = 60
"""What is entered within two months of a death is paperwork (the dashboard's bound)."""
_SPAN = 2 * DAY_LIMIT


@dataclass(frozen=True)
class Persons:
    """All persons, by ascending id.

    ids: int64 [persons], each once. born: the earliest day on which each can have been born, given
    what is recorded; died: NO_DAY = not recorded. starts, ends: observation periods as sorted keys
    of person and day; ends: the latest end so far. gender: concepts, 0 = not recorded.
    """

    ids: Ints
    born: Ints
    died: Ints
    starts: Ints
    ends: Ints
    gender: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def find(self, ids: Ints, known: Mask) -> Ints:
        """Return each row's person as a place in `ids`; NOBODY where it is none of them."""
        if not len(self.ids):
            return np.full(len(ids), NOBODY, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(known & (self.ids[place] == ids), place, NOBODY)

    def observed(self, person: Ints, day: Ints, until: Ints | None = None) -> Mask:
        """Say which days, or days up to `until`, lie inside one observation period of their person."""
        if not len(self.starts):
            return np.zeros(len(person), dtype=np.bool_)
        place = np.searchsorted(self.starts, person_day(person, day), side="right") - 1
        last = person_day(person, day if until is None else until)
        found: Mask = (place >= 0) & (self.ends[np.maximum(place, 0)] >= last)
        return found


def person_day(person: Ints, day: Ints) -> Ints:
    """Write person and day as one number that sorts by person, then day."""
    keys: Ints = person * _SPAN + (day + DAY_LIMIT)
    return keys


def earliest_birth(year: Ints, month: Ints, day: Ints) -> Ints:
    """Return the earliest day that year, month and day of birth leave open; 0 = not recorded."""
    fits = (month >= 1) & (month <= 12)
    months = (np.clip(year, 1, 3000) - 1970) * 12 + np.where(fits, month, 1) - 1
    start = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    born: Ints = start + np.where(fits & (day >= 1) & (day <= 31), day, 1) - 1
    return born


def merge_periods(person: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, int]:
    """Sort observation periods: keys of start, latest end so far, and persons whose periods touch."""
    first, last = person_day(person, start), person_day(person, end)
    order = np.lexsort((last, first))
    first, last = first[order], np.maximum.accumulate(last[order]) if len(order) else last
    touching = first[1:] <= last[:-1] + 1
    same = first[1:] // _SPAN == last[:-1] // _SPAN
    return first, last, len(np.unique(first[1:][touching & same] // _SPAN))

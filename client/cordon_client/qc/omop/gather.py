"""Gather what each person has in a window of days: one small array per feature, a batch at a time.

Guarantee: what is gathered for a person depends on that person's own rows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from cordon_client.qc.omop.recipe import EventFeature, NumberFeature

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

NEVER = np.iinfo(np.int64).max


class Gather(Protocol):
    """Takes rows in any number of batches; `result`: float64 [persons], NaN = nothing there."""

    def add(self, person: Ints, day: Ints, value: Floats) -> None:
        """Take rows: place of the person, day since 1970, number in the feature's unit."""
        ...

    def result(self) -> Floats:
        """Return the column."""
        ...


def gather_for(feature: NumberFeature | EventFeature, persons: int) -> Gather:
    """Return what gathers a feature."""
    if isinstance(feature, EventFeature):
        return Occurrences(persons, counted=feature.take == "count")
    if feature.take in {"latest", "first"}:
        return OfOneDay(persons, latest=feature.take == "latest")
    if feature.take == "mean":
        return Mean(persons)
    return Extreme(persons, highest=feature.take == "highest")


class Occurrences:
    """How many rows there are, or whether there is one."""

    def __init__(self, persons: int, *, counted: bool) -> None:
        self._rows, self._counted = np.zeros(persons, np.int64), counted

    def add(self, person: Ints, day: Ints, value: Floats) -> None:
        """Take rows."""
        del day, value
        np.add.at(self._rows, person, 1)

    def result(self) -> Floats:
        """Return counts, or 1 and 0."""
        return (self._rows if self._counted else self._rows > 0).astype(np.float64)


class Mean:
    """The mean of all numbers."""

    def __init__(self, persons: int) -> None:
        self._sum, self._rows = np.zeros(persons), np.zeros(persons, np.int64)

    def add(self, person: Ints, day: Ints, value: Floats) -> None:
        """Take rows."""
        del day
        np.add.at(self._sum, person, value)
        np.add.at(self._rows, person, 1)

    def result(self) -> Floats:
        """Return the means."""
        return _divided(self._sum, self._rows)


class Extreme:
    """The lowest or highest number."""

    def __init__(self, persons: int, *, highest: bool) -> None:
        self._sign = -1.0 if highest else 1.0
        self._lowest = np.full(persons, np.inf)

    def add(self, person: Ints, day: Ints, value: Floats) -> None:
        """Take rows."""
        del day
        np.minimum.at(self._lowest, person, self._sign * value)

    def result(self) -> Floats:
        """Return the numbers."""
        return np.where(np.isinf(self._lowest), np.nan, self._sign * self._lowest)


class OfOneDay:
    """The mean of the latest, or of the first, day that has a number; order of rows is no matter."""

    def __init__(self, persons: int, *, latest: bool) -> None:
        self._sign = -1 if latest else 1
        self._day = np.full(persons, NEVER)
        self._sum, self._rows = np.zeros(persons), np.zeros(persons, np.int64)

    def add(self, person: Ints, day: Ints, value: Floats) -> None:
        """Take rows; a better day than before forgets what the old one had."""
        before = self._day.copy()
        np.minimum.at(self._day, person, self._sign * day)
        better = self._day != before
        self._sum[better], self._rows[better] = 0.0, 0
        own = self._sign * day == self._day[person]
        np.add.at(self._sum, person[own], value[own])
        np.add.at(self._rows, person[own], 1)

    def result(self) -> Floats:
        """Return the means of the chosen days."""
        return _divided(self._sum, self._rows)


def _divided(total: Floats, rows: Ints) -> Floats:
    return np.where(rows > 0, total / np.maximum(rows, 1), np.nan)

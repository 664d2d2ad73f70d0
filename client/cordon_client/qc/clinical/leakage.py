"""Columns that know the outcome before it happened: by their name, their time, or their power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from scipy.stats import rankdata

from cordon_client.qc.cells import MISSING_TEXTS
from cordon_client.qc.clinical.vocabulary import (
    AFTERWARDS_NAME,
    BIRTH_NAME,
    DEATH_NAME,
    OUTCOME_NAME,
)
from cordon_client.qc.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.qc.clinical.survey import Survey

_MIN_PER_OUTCOME = 10
_MAX_OUTCOMES = 6
_BY_NAME = "Its name says that it is known only afterwards."


def leakage(survey: Survey) -> Iterator[tuple[str | None, Finding]]:
    """Yield what is recorded after the outcome, and what tells it by itself."""
    outcome = _outcome(survey)
    name = None if outcome is None else outcome[0]
    yield from _afterwards(survey, name)
    if outcome is not None:
        yield from _telling(survey, *outcome)


def _afterwards(survey: Survey, outcome: str | None) -> Iterator[tuple[str | None, Finding]]:
    """Compare each record's own date with what its name says is known only afterwards."""
    ends = [name for name in survey.dates if AFTERWARDS_NAME.search(name)]
    own = [n for n in survey.dates if n not in ends and not BIRTH_NAME.search(n)]
    for end in ends:
        yield end, _end(survey, end, own)
        if not DEATH_NAME.search(end):  # what follows death has a check of its own
            for record in own:
                yield from _late_records(survey, record, end)
    for name, tally in survey.columns.items():
        if name not in survey.dates and name != outcome and AFTERWARDS_NAME.search(name):
            share = tally.recorded / tally.records if tally.records else None
            yield name, Finding("table.afterwards", share, tally.recorded, _BY_NAME)


def _end(survey: Survey, end: str, own: list[str]) -> Finding:
    told, shares = _BY_NAME, [1.0]
    for record in own:
        both = ~np.isnat(survey.dates[end]) & ~np.isnat(survey.dates[record])
        if both.any():
            later = survey.dates[end][both] > survey.dates[record][both]
            shares.append(float(later.mean()))
            told += f" It lies after {record} in {later.mean():.0%} of the records."
    return Finding("table.afterwards", max(shares), None, told)


def _late_records(survey: Survey, record: str, end: str) -> Iterator[tuple[str | None, Finding]]:
    both = ~np.isnat(survey.dates[end]) & ~np.isnat(survey.dates[record])
    if both.any():
        day = survey.dates[end][both].astype("datetime64[D]")
        late = int((survey.dates[record][both].astype("datetime64[D]") > day).sum())
        told = f"{late} records are dated after {end}."
        yield record, Finding("table.afterwards", late / int(both.sum()), late, told)


def _outcome(survey: Survey) -> tuple[str, npt.NDArray[np.float64]] | None:
    """Find the column that is called like an outcome; returns 1, 0 or NaN per sampled row."""
    for name in survey.columns:
        if not OUTCOME_NAME.search(name):
            continue
        coded = _coded(survey, name)
        if coded is not None:
            return name, coded
    return None


def _coded(survey: Survey, name: str) -> npt.NDArray[np.float64] | None:
    if name in survey.numbers:
        values = survey.numbers[name]
        known = np.unique(values[np.isfinite(values)])
        if not 2 <= len(known) <= _MAX_OUTCOMES:
            return None
        coded = np.where(np.isfinite(values), (values > known[0]).astype(float), np.nan)
    elif name in survey.texts:
        text = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(survey.texts[name], "string"), ""))
        cells = np.asarray(text.to_numpy(), dtype=object)
        kinds = sorted(set(cells.tolist()) - set(MISSING_TEXTS))
        if len(kinds) != 2:
            return None
        coded = np.select([cells == kinds[0], cells == kinds[1]], [0.0, 1.0], default=np.nan)
    else:
        return None
    positive, negative = int((coded == 1).sum()), int((coded == 0).sum())
    return coded if min(positive, negative) >= _MIN_PER_OUTCOME else None


def _telling(
    survey: Survey, outcome: str, coded: npt.NDArray[np.float64]
) -> Iterator[tuple[str | None, Finding]]:
    for name, values in survey.numbers.items():
        if name == outcome or name in survey.row_numbers:
            continue
        known = np.isfinite(values) & np.isfinite(coded)
        value = single_auc(values[known], coded[known])
        told = "" if value is None else f"Alone it tells the outcome with an AUC of {value:.3f}."
        yield name, Finding("column.tells-outcome", value, int(known.sum()), told)


def single_auc(values: npt.NDArray[np.float64], coded: npt.NDArray[np.float64]) -> float | None:
    """Return the AUC of one column for an outcome coded 1 and 0, whichever direction is better."""
    positive = int((coded == 1).sum())
    negative = len(coded) - positive
    if min(positive, negative) < _MIN_PER_OUTCOME:
        return None
    ranks = rankdata(values)
    wins = ranks[coded == 1].sum() - positive * (positive + 1) / 2
    auc = float(wins / (positive * negative))
    return max(auc, 1 - auc)

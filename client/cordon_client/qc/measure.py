"""Measure a cohort: patient shares for the summary, and each feature in full for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.cells import MISSING, UNKNOWN
from cordon_client.qc.fates import first_per_patient, outside
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.measurement import Count, Histogram, Moments
from cordon_common.qc.summary import (
    FATE,
    LABEL,
    MOMENT_CENTRE,
    SHARE,
    encode,
    harmonised,
    qc_layout,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.fates import Fates
    from cordon_common.protocol.dictionary import CategoryFeature, Cohort
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import HistogramSpec, QcLayout

    Codes = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

DISPLAY_BINS = 48


@dataclass(frozen=True)
class FeatureStats:
    """A feature at this site, over distinct records; stays in the local report.

    missing: per outcome (negative, positive), over records with a known outcome. outside: recorded
    numbers beyond the range, or unknown categories. invalid: cells that are not numbers.
    quantiles: 5th, 50th and 95th percentile of the values inside the range (numbers only).
    window: the span of `histogram`, which has DISPLAY_BINS equal cells between one cell for
    smaller and one for larger values (numbers), or one cell per category.
    """

    name: str
    recorded: Count
    missing: tuple[Count, Count]
    outside: Count
    invalid: int
    coded: int
    histogram: Histogram
    window: tuple[float, float] | None = None
    moments: Moments | None = None
    quantiles: tuple[float, float, float] | None = None


def feature_stats(table: StudyTable, fates: Fates, cohort: Cohort) -> tuple[FeatureStats, ...]:
    """Measure every feature of the cohort."""
    distinct = fates.distinct
    labels = table.labels[distinct]
    result = []
    for feature in cohort.measured:
        if isinstance(feature, NumberFeature):
            column = table.numbers[feature.name]
            values, invalid = column.values[distinct], column.invalid[distinct]
            result.append(_number_stats(feature, values, invalid, labels, column.coded))
        else:
            result.append(
                _category_stats(feature, table.categories[feature.name][distinct], labels)
            )
    return tuple(result)


def _number_stats(
    feature: NumberFeature,
    values: npt.NDArray[np.float64],
    invalid: Mask,
    labels: npt.NDArray[np.int8],
    coded: int,
) -> FeatureStats:
    missing = np.isnan(values) & ~invalid
    beyond = outside(values, feature)
    inside = values[~np.isnan(values) & ~beyond]
    low, high = display_window(feature)
    edges = np.concatenate([[-np.inf], np.linspace(low, high, DISPLAY_BINS + 1), [np.inf]])
    edges[-2] = np.nextafter(edges[-2], np.inf)  # the last cell of the window is closed
    counts, _ = np.histogram(inside, edges)
    recorded = int((~missing).sum())
    return FeatureStats(
        name=feature.name,
        recorded=Count(recorded, len(values)),
        missing=_missing_by_label(missing, labels),
        outside=Count(int(beyond.sum()), recorded),
        invalid=int(invalid.sum()),
        coded=coded,
        histogram=Histogram(f"display:{feature.name}", tuple(counts.tolist())),
        window=(low, high),
        moments=Moments.of(inside, low=feature.range[0], high=feature.range[1]),
        quantiles=_quantiles(inside),
    )


def _quantiles(values: npt.NDArray[np.float64]) -> tuple[float, float, float] | None:
    if not len(values):
        return None
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return low, middle, high


def display_window(feature: NumberFeature) -> tuple[float, float]:
    """Return the span that the report draws: `typical` and half of it on either side."""
    if feature.typical is None:
        return feature.range
    low, high = feature.typical
    margin = (high - low) / 2
    return max(feature.range[0], low - margin), min(feature.range[1], high + margin)


def _category_stats(
    feature: CategoryFeature, index: Codes, labels: npt.NDArray[np.int8]
) -> FeatureStats:
    missing = index == MISSING
    recorded = int((~missing).sum())
    counts = np.bincount(index[index >= 0], minlength=len(feature.categories))
    return FeatureStats(
        name=feature.name,
        recorded=Count(recorded, len(index)),
        missing=_missing_by_label(missing, labels),
        outside=Count(int((index == UNKNOWN).sum()), recorded),
        invalid=0,
        coded=0,
        histogram=Histogram(f"categories:{feature.name}", tuple(counts.tolist())),
    )


def _missing_by_label(missing: Mask, labels: npt.NDArray[np.int8]) -> tuple[Count, Count]:
    negative, positive = (
        Count(int(missing[labels == label].sum()), int((labels == label).sum())) for label in (0, 1)
    )
    return negative, positive


def summary_vector(
    study: Study, table: StudyTable, fates: Fates
) -> tuple[QcLayout, npt.NDArray[np.float64]]:
    """Count patients on the public cells of the study's summary.

    Returns the layout and the exact vector, float64 [dimension]. Guarantee: adding or removing one
    patient changes the vector by at most `layout.l2_sensitivity(study)` in L2.
    """
    layout = qc_layout(study)
    cap = study.cohort.max_records_per_patient
    chosen = first_per_patient(fates.patient, fates.rows, fates.distinct, cap)
    known = first_per_patient(fates.patient, fates.rows, fates.distinct & (table.labels >= 0), cap)
    all_units, known_units = _shares(fates, chosen), _shares(fates, known)
    label_cell = np.select([table.labels == 1, table.labels == 0], [0, 1], default=2)
    counts = {
        FATE: np.bincount(fates.patients, minlength=len(layout.histograms[0].cells)) * SHARE,
        LABEL: _units_per_cell(label_cell[chosen], all_units, 3),
    }
    for feature, spec in zip(study.cohort.measured, layout.histograms[2:], strict=True):
        if isinstance(feature, NumberFeature):
            column = table.numbers[feature.name]
            cell = _number_cells(spec, feature, column.values, column.invalid)
        else:
            index = table.categories[feature.name]
            cell = np.where(index == UNKNOWN, len(feature.categories), index)
        missing = len(spec.cells) - 1 - table.labels.astype(np.int64)  # positive, then negative
        cell = np.where(cell == MISSING, missing, cell)
        counts[feature.name] = _units_per_cell(cell[known], known_units, len(spec.cells))
    effects = _signed_sums(study, table, known, known_units)
    return layout, encode(layout, counts, effects, _moments(study, table, known, known_units))


def _signed_sums(study: Study, table: StudyTable, known: Mask, units: Codes) -> Codes:
    """Add value × outcome over the chosen records, in integer units; one sum per effect column.

    Guarantee: a record adds at most its units to the columns of a feature (in L2), so a patient
    adds at most SHARE to each feature.
    """
    signs = units * (2 * table.labels[known].astype(np.int64) - 1)
    sums: list[int] = []
    for feature in study.cohort.measured:
        if isinstance(feature, NumberFeature):
            scaled = np.nan_to_num(_scaled(feature, table.numbers[feature.name].values[known]))
            sums.append(int(np.trunc(scaled * signs).astype(np.int64).sum()))
            continue
        index = table.categories[feature.name][known]
        inside = [int(signs[index == number].sum()) for number in range(len(feature.categories))]
        sums += [inside[1] - inside[0]] if len(inside) == 2 else inside
    return np.array(sums, dtype=np.int64)


def _moments(study: Study, table: StudyTable, known: Mask, units: Codes) -> Codes:
    """Add v and v² - 1/2 over the chosen records, in integer units; int64 [2 · features].

    Guarantee: a record adds at most √5/2 times its units to the two sums of a feature (in L2), so a
    patient adds at most √5/2 times SHARE to each feature.
    """
    totals, squares = [], []
    for feature in harmonised(study):
        scaled = _scaled(feature, table.numbers[feature.name].values[known])
        recorded = ~np.isnan(scaled)
        value, own = scaled[recorded], units[recorded]
        totals.append(int(np.trunc(value * own).astype(np.int64).sum()))
        centred = value**2 - MOMENT_CENTRE
        squares.append(int(np.trunc(centred * own).astype(np.int64).sum()))
    return np.array([*totals, *squares], dtype=np.int64)


def _scaled(feature: NumberFeature, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map values so that `typical` is [-1, 1], clipped there; missing and impossible ones are NaN."""
    possible = np.where(outside(values, feature), np.nan, values)
    scaled: npt.NDArray[np.float64] = np.clip(
        (possible - feature.centre) / feature.half_width, -1.0, 1.0
    )
    return scaled


def _number_cells(
    spec: HistogramSpec, feature: NumberFeature, values: npt.NDArray[np.float64], invalid: Mask
) -> Codes:
    bins = len(spec.edges) - 1
    cell = np.searchsorted(spec.edges, values, side="right") - 1
    cell = np.where(values == spec.edges[-1], bins - 1, cell)
    cell = np.where(np.isnan(values), MISSING, cell)
    return np.where(invalid | outside(values, feature), bins, cell)


def _shares(fates: Fates, chosen: Mask) -> Codes:
    """Return the integer units of each chosen record: a patient's records share SHARE units."""
    owner = fates.patient[chosen]
    per_patient = np.bincount(owner, minlength=len(fates.hashes))
    return np.asarray(SHARE // per_patient[owner], dtype=np.int64)


def _units_per_cell(cell: Codes, units: Codes, cells: int) -> Codes:
    # Sums of integers below 2^53 are exact in the float64 that bincount adds in.
    return np.bincount(cell, weights=units, minlength=cells).astype(np.int64)

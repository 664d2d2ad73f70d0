"""Columns of a file → the study's table: one column or array per feature, nothing judged yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.cells import read_category, read_ids, read_label, read_names, read_number
from cordon_client.qc.sequence_columns import content_marks, read_sequence, read_series
from cordon_common.protocol.dictionary import (
    CategoryFeature,
    NumberFeature,
    SequenceFeature,
    columns_of,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.cells import NumberColumn
    from cordon_client.qc.reader import SourceTable
    from cordon_client.qc.sequence_columns import SequenceArray
    from cordon_common.protocol.dictionary import Cohort

    Names = tuple[tuple[str, ...], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class StudyTable:
    """All records in the study's terms, nothing judged yet.

    numbers, categories: per feature; category indices int64, MISSING or UNKNOWN below zero. Of a
    sequence or series, numbers holds what is measured of it, and arrays the whole (sequence_columns.py).
    labels: int8 [records] 1, 0, MISSING or UNKNOWN. ids: distinct patient ids as text, None for a
    study without ids; patient: int64 [records], index into ids, MISSING = no id. samples: names and
    index of the samples that records are of, where the site's sample sheet asks for them.
    """

    numbers: dict[str, NumberColumn]
    categories: dict[str, npt.NDArray[np.int64]]
    labels: npt.NDArray[np.int8]
    ids: tuple[str, ...] | None
    patient: npt.NDArray[np.int64] | None
    records: int
    arrays: dict[str, SequenceArray] = field(default_factory=dict)
    samples: Names = ((), np.empty(0, dtype=np.int64))

    def content(self, cohort: Cohort) -> npt.NDArray[np.float64]:
        """Return what a record says, float64 [records, columns], outcome last.

        NaN = missing; +inf = not a number. Equal rows are equal records.
        """
        columns: list[npt.NDArray[np.float64]] = []
        for feature in cohort.features:
            if isinstance(feature, CategoryFeature):
                columns.append(self.categories[feature.name].astype(np.float64))
                continue
            column = self.numbers[feature.name]
            columns.append(np.where(column.invalid, np.inf, column.values))
            if feature.name in self.arrays:
                columns += content_marks(self.arrays[feature.name])
        columns.append(self.labels.astype(np.float64))
        return np.column_stack(columns)


def read_columns(
    source: SourceTable, cohort: Cohort, *, sample_column: str | None = None
) -> StudyTable:
    """Read every cell of the study's columns, and the names of samples where a column holds them.

    Raises:
        DataError: DA008 text in a numeric column, DA009 outcomes that the study does not define,
            DA016 patient ids missing, DA019 sequences that do not follow the study; each only
            when it is more than one cell in twenty.
    """
    numbers: dict[str, NumberColumn] = {}
    categories: dict[str, npt.NDArray[np.int64]] = {}
    arrays: dict[str, SequenceArray] = {}
    for feature in cohort.features:
        columns = [source.columns[name] for name in columns_of(feature)]
        if isinstance(feature, NumberFeature):
            numbers[feature.name] = read_number(columns[0], feature)
        elif isinstance(feature, CategoryFeature):
            categories[feature.name] = read_category(columns[0], feature)
        elif isinstance(feature, SequenceFeature):
            arrays[feature.name], numbers[feature.name] = read_sequence(columns[0], feature)
        else:
            arrays[feature.name], numbers[feature.name] = read_series(columns, feature)
    ids, patient = None, None
    if cohort.patient_id is not None:
        ids, patient = read_ids(source.columns[cohort.patient_id], cohort.patient_id)
    labels = read_label(source.columns[cohort.label.name], cohort.label)
    table = StudyTable(numbers, categories, labels, ids, patient, source.records, arrays)
    if sample_column is None:
        return table
    return replace(table, samples=read_names(source.columns[sample_column]))

"""Columns of a file → the study's terms: numbers, category indices, outcomes, patients.

Every cell is read by itself, from its own text and the study, so that no other record can change
what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cordon_common.errors import DataError
from cordon_common.protocol.dictionary import NumberFeature

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_client.qc.reader import SourceTable
    from cordon_common.protocol.dictionary import CategoryFeature, Cohort, Label

MISSING_TEXTS = (
    *("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "none"),
    *("?", ".", "-", "--", "#N/A", "<NA>", "missing", "Missing", "unknown", "Unknown"),
)
"""Texts that mean "not recorded" in any column, unless the study lists one as a category."""

MISSING, UNKNOWN = -1, -2
MAX_MISTYPED = 0.05
"""Above this share of cells that do not follow the study, the column itself is wrong."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"


@dataclass(frozen=True)
class NumberColumn:
    """One numeric column.

    values: float64 [records], NaN = missing or not a number. invalid: bool [records], the cell
    holds something else than a finite number. coded: how many cells held a missing code.
    """

    values: npt.NDArray[np.float64]
    invalid: npt.NDArray[np.bool_]
    coded: int


@dataclass(frozen=True)
class StudyTable:
    """All records in the study's terms, nothing judged yet.

    numbers, categories: per feature; category indices int64, MISSING or UNKNOWN below zero.
    labels: int8 [records] 1, 0, MISSING or UNKNOWN. ids: distinct patient ids as text, None for a
    study without ids; patient: int64 [records], index into ids, MISSING = no id.
    """

    numbers: dict[str, NumberColumn]
    categories: dict[str, npt.NDArray[np.int64]]
    labels: npt.NDArray[np.int8]
    ids: tuple[str, ...] | None
    patient: npt.NDArray[np.int64] | None
    records: int

    def content(self, cohort: Cohort) -> npt.NDArray[np.float64]:
        """Return what a record says, float64 [records, features + 1], outcome last.

        NaN = missing; +inf = not a number. Equal rows are equal records.
        """
        columns: list[npt.NDArray[np.float64]] = []
        for feature in cohort.features:
            if isinstance(feature, NumberFeature):
                column = self.numbers[feature.name]
                columns.append(np.where(column.invalid, np.inf, column.values))
            else:
                columns.append(self.categories[feature.name].astype(np.float64))
        columns.append(self.labels.astype(np.float64))
        return np.column_stack(columns)


def read_columns(source: SourceTable, cohort: Cohort) -> StudyTable:
    """Read every cell of the study's columns.

    Raises:
        DataError: DA008 text in a numeric column, DA009 outcomes that the study does not define,
            DA016 patient ids missing; each only when it is more than one cell in twenty.
    """
    numbers: dict[str, NumberColumn] = {}
    categories: dict[str, npt.NDArray[np.int64]] = {}
    for feature in cohort.features:
        column = source.columns[feature.name]
        if isinstance(feature, NumberFeature):
            numbers[feature.name] = _read_number(column, feature)
        else:
            categories[feature.name] = _read_category(column, feature)
    ids, patient = None, None
    if cohort.patient_id is not None:
        ids, patient = _read_ids(source.columns[cohort.patient_id], cohort.patient_id)
    labels = _read_label(source.columns[cohort.label.name], cohort.label)
    return StudyTable(numbers, categories, labels, ids, patient, source.records)


def _read_number(column: pa.ChunkedArray, feature: NumberFeature) -> NumberColumn:
    if _is_number_type(column.type):
        values = _floats(pc.cast(column, pa.float64(), safe=False))
        missing = np.isnan(values)
    else:
        if not _is_text_type(column.type):
            why = "its type in the Parquet file is neither a number nor text"
            raise DataError("DA008", f"the column {feature.name} does not hold numbers", why=why)
        text = _trimmed(column)
        missing = _bools(pc.is_in(text, value_set=pa.array(MISSING_TEXTS)))
        is_number = pc.match_substring_regex(text, _NUMBER)
        values = _floats(pc.cast(pc.if_else(is_number, text, None), pa.float64()))
    invalid = ~np.isfinite(values) & ~missing
    _check_mistyped(invalid, ~missing, "DA008", f"the column {feature.name} holds text")
    values[invalid] = np.nan
    coded = np.isin(values, feature.missing_codes)
    values[coded] = np.nan
    return NumberColumn(values, invalid, int(coded.sum()))


def _read_category(column: pa.ChunkedArray, feature: CategoryFeature) -> npt.NDArray[np.int64]:
    text = _category_texts(column, feature.categories)
    index = _index(text, feature.categories)
    missing = _index(text, (*feature.missing_codes, *MISSING_TEXTS)) >= 0
    return np.where(index >= 0, index, np.where(missing, MISSING, UNKNOWN))


def _read_label(column: pa.ChunkedArray, label: Label) -> npt.NDArray[np.int8]:
    known = (*label.negative, *label.positive)
    text = _category_texts(column, known)
    index = _index(text, known)
    missing = (index < 0) & (_index(text, MISSING_TEXTS) >= 0)
    unknown = (index < 0) & ~missing
    _check_mistyped(
        unknown, ~missing, "DA009", f"the outcome column {label.name} does not follow the study"
    )
    outcome = (index >= len(label.negative)).astype(np.int8)
    outcome[missing], outcome[unknown] = MISSING, UNKNOWN
    return outcome


def _read_ids(column: pa.ChunkedArray, name: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    text = _category_texts(column, ())
    missing = _index(text, MISSING_TEXTS) >= 0
    if missing.mean() > 0.5:
        raise DataError("DA016", f"the patient id {name} is missing in most records")
    encoded = pc.if_else(pa.chunked_array([pa.array(~missing)]), text, None)
    combined = encoded.combine_chunks().dictionary_encode()
    indices = pc.fill_null(combined.indices, MISSING).to_numpy(zero_copy_only=False)
    return tuple(combined.dictionary.to_pylist()), indices.astype(np.int64)


def _check_mistyped(
    wrong: npt.NDArray[np.bool_], recorded: npt.NDArray[np.bool_], code: str, what: str
) -> None:
    share = wrong.sum() / max(int(recorded.sum()), 1)
    if share > MAX_MISTYPED:
        raise DataError(code, what, why=f"so do {share:.0%} of its recorded cells")


def _category_texts(column: pa.ChunkedArray, known: Sequence[str]) -> pa.ChunkedArray:
    """Return cells as trimmed text; whole numbers lose their decimals (1.0 → 1), as in the study.

    A text that the study lists stays as it is.
    """
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    text = _trimmed(column)
    whole = pc.replace_substring_regex(text, r"^([+-]?\d+)\.0*$", r"\1")
    listed = pc.is_in(text, value_set=pa.array(known, pa.string()))
    return pc.if_else(listed, text, whole)


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.utf8_trim_whitespace(pc.cast(column, pa.string())), "")


def _index(text: pa.ChunkedArray, values: Sequence[str]) -> npt.NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(text, value_set=pa.array(values, pa.string())), MISSING)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.array(column.to_numpy(), dtype=np.float64)  # a copy that may be written to


def _bools(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column.to_numpy(), dtype=np.bool_)


def _is_number_type(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _is_text_type(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    )

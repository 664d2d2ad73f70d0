"""Cells of a file → numbers, category indices, outcomes, patients.

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_common.protocol.dictionary import CategoryFeature, Label, NumberFeature

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


def read_number(column: pa.ChunkedArray, feature: NumberFeature) -> NumberColumn:
    """Read numbers; DA008 when more than one recorded cell in twenty is none."""
    if _is_number_type(column.type):
        values = _floats(pc.cast(column, pa.float64(), safe=False))
        missing = np.isnan(values)
    else:
        if not _is_text_type(column.type):
            why = "its type in the Parquet file is neither a number nor text"
            raise DataError("DA008", f"the column {feature.name} does not hold numbers", why=why)
        text = trimmed(column)
        missing = _bools(pc.is_in(text, value_set=pa.array(MISSING_TEXTS)))
        is_number = pc.match_substring_regex(text, _NUMBER)
        values = _floats(pc.cast(pc.if_else(is_number, text, None), pa.float64()))
    invalid = ~np.isfinite(values) & ~missing
    check_mistyped(invalid, ~missing, "DA008", f"the column {feature.name} holds text")
    values[invalid] = np.nan
    coded = np.isin(values, feature.missing_codes)
    values[coded] = np.nan
    return NumberColumn(values, invalid, int(coded.sum()))


def read_category(column: pa.ChunkedArray, feature: CategoryFeature) -> npt.NDArray[np.int64]:
    """Read categories as indices, int64 [records]; MISSING or UNKNOWN below zero."""
    text = _category_texts(column, feature.categories)
    index = _index(text, feature.categories)
    missing = _index(text, (*feature.missing_codes, *MISSING_TEXTS)) >= 0
    return np.where(index >= 0, index, np.where(missing, MISSING, UNKNOWN))


def read_label(column: pa.ChunkedArray, label: Label) -> npt.NDArray[np.int8]:
    """Read outcomes, int8 [records]; DA009 when more than one in twenty is not the study's."""
    known = (*label.negative, *label.positive)
    text = _category_texts(column, known)
    index = _index(text, known)
    missing = (index < 0) & (_index(text, MISSING_TEXTS) >= 0)
    unknown = (index < 0) & ~missing
    check_mistyped(
        unknown, ~missing, "DA009", f"the outcome column {label.name} does not follow the study"
    )
    outcome = (index >= len(label.negative)).astype(np.int8)
    outcome[missing], outcome[unknown] = MISSING, UNKNOWN
    return outcome


def read_ids(column: pa.ChunkedArray, name: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Read patient ids: (distinct ids, index per record); DA016 when most are missing."""
    ids, index = read_names(column)
    if (index == MISSING).mean() > 0.5:
        raise DataError("DA016", f"the patient id {name} is missing in most records")
    return ids, index


def read_names(column: pa.ChunkedArray) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Read names: (distinct names, index per record, MISSING where there is none)."""
    text = _category_texts(column, ())
    missing = _index(text, MISSING_TEXTS) >= 0
    encoded = pc.if_else(pa.chunked_array([pa.array(~missing)]), text, None)
    combined = encoded.combine_chunks().dictionary_encode()
    indices = pc.fill_null(combined.indices, MISSING).to_numpy(zero_copy_only=False)
    return tuple(combined.dictionary.to_pylist()), indices.astype(np.int64)


def check_mistyped(
    wrong: npt.NDArray[np.bool_], recorded: npt.NDArray[np.bool_], code: str, what: str
) -> None:
    """Refuse a column of which more than `MAX_MISTYPED` of the recorded cells are wrong."""
    share = wrong.sum() / max(int(recorded.sum()), 1)
    if share > MAX_MISTYPED:
        raise DataError(code, what, why=f"so do {share:.0%} of its recorded cells")


def _category_texts(column: pa.ChunkedArray, known: Sequence[str]) -> pa.ChunkedArray:
    """Return cells as trimmed text; whole numbers lose their decimals (1.0 → 1), as in the study.

    A text that the study lists stays as it is.
    """
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    text = trimmed(column)
    whole = pc.replace_substring_regex(text, r"^([+-]?\d+)\.0*$", r"\1")
    listed = pc.is_in(text, value_set=pa.array(known, pa.string()))
    return pc.if_else(listed, text, whole)


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return cells as text without blanks around, missing ones as the empty text."""
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

"""Cells of an OMOP table → whole numbers, days and numbers; what cannot be read is counted.

Text, as in CSV, or typed, as in Parquet. A batch is read at once where all of its cells are plain,
and with the slower patterns only where one is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cordon_client.qc.cells import MISSING_TEXTS

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

_MISSING = pa.array((*MISSING_TEXTS, r"\N"))
_WHOLE = r"^[+-]?\d{1,18}(\.0*)?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"
_DAY = r"^\d{4}([-/]?)\d{2}([-/]?)\d{2}([ T].*)?$"
DAY_LIMIT = 2**19
"""Days since 1970 are kept within ± this: 535 BC to AD 3405."""


@dataclass(frozen=True)
class Whole:
    """Whole numbers or days since 1970: int64 [rows], and where a cell held one.

    wrong: recorded cells that hold something else.
    """

    values: Ints
    known: Mask
    wrong: int

    @property
    def empty(self) -> int:
        """Cells that hold nothing."""
        return int((~self.known).sum()) - self.wrong


def whole(column: pa.Array) -> Whole:
    """Read ids, concepts and years."""
    recorded = column
    if _is_text(column.type):
        recorded = text = _recorded(column)
        try:
            cast = pc.cast(text, pa.int64())
        except pa.ArrowInvalid:
            fits = pc.match_substring_regex(text, _WHOLE)
            plain = pc.replace_substring_regex(text, r"^\+|\.0*$", "")
            cast = pc.cast(pc.if_else(fits, plain, None), pa.int64())
    elif pa.types.is_temporal(column.type) or pa.types.is_nested(column.type):
        cast = pa.nulls(len(column), pa.int64())
    else:
        numbers = pc.cast(column, pa.float64(), safe=False)
        fits = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.less(pc.abs(numbers), 2.0**63))
        recorded = _without_nan(column)
        cast = pc.cast(pc.if_else(fits, column, None), pa.int64(), safe=False)
    return _wholes(cast, recorded)


def days(column: pa.Array) -> Whole:
    """Read dates, or the day of a time; ISO 8601, with or without its marks."""
    recorded = column
    if _is_text(column.type):
        recorded = text = _recorded(column)
        stamp = pc.utf8_slice_codeunits(text, 0, 10)
        try:
            cast = pc.cast(stamp, pa.date32())
        except pa.ArrowInvalid:
            return _parsed_days(text)
    elif pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        cast = pc.cast(column, pa.date32(), safe=False)
    else:
        return _days_of_numbers(whole(column))
    return _wholes(pc.cast(cast, pa.int32()), recorded)


def _days_of_numbers(found: Whole) -> Whole:
    """Read whole numbers as dates, as in 20200131."""
    pairs = zip(found.values.tolist(), found.known.tolist(), strict=True)
    read = _parsed_days(pa.array([str(v) if known else None for v, known in pairs], pa.string()))
    return Whole(read.values, read.known, read.wrong + found.wrong)


def numbers(column: pa.Array) -> tuple[npt.NDArray[np.float64], int]:
    """Read numbers: float64 [rows], NaN = none, and how many recorded cells hold something else."""
    if not _is_text(column.type):
        if pa.types.is_temporal(column.type) or pa.types.is_nested(column.type):
            return np.full(len(column), np.nan), len(column) - column.null_count
        cast = pc.cast(column, pa.float64(), safe=False)
        return _floats(cast), 0
    text = _recorded(column)
    try:
        found = pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(text, _NUMBER)
        plain = pc.replace_substring_regex(text, r"^\+", "")
        found = pc.cast(pc.if_else(fits, plain, None), pa.float64())
    return _floats(found), found.null_count - text.null_count


def _parsed_days(text: pa.Array) -> Whole:
    """Read dates one part at a time; a day that its month has not is none."""
    fits = pc.match_substring_regex(text, _DAY)
    digits = pc.replace_substring_regex(pc.utf8_slice_codeunits(text, 0, 10), r"[-/]", "")
    digits = pc.if_else(fits, pc.utf8_slice_codeunits(digits, 0, 8), "00010101")
    number = pc.fill_null(pc.cast(digits, pa.int64()), 10101).to_numpy(zero_copy_only=False)
    year, month, day = number // 10_000, number // 100 % 100, number % 100
    months = (year - 1970) * 12 + month - 1
    start = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (start + day - 1 < after)
    known = exists & pc.fill_null(fits, fill_value=False).to_numpy(zero_copy_only=False)
    recorded = len(text) - text.null_count
    values = np.clip(np.where(known, start + day - 1, 0), -DAY_LIMIT, DAY_LIMIT - 1)
    return Whole(values, known, recorded - int(known.sum()))


def _recorded(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.is_in(text, value_set=_MISSING), None, text)


def _without_nan(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    return column


def _wholes(cast: pa.Array, recorded: pa.Array) -> Whole:
    known = ~np.asarray(cast.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    values = pc.cast(pc.fill_null(cast, 0), pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_int32(cast.type):
        values = np.clip(values, -DAY_LIMIT, DAY_LIMIT - 1)
    return Whole(values, known, cast.null_count - recorded.null_count)


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    found = np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    )

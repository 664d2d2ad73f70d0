"""What a pass over a table counts: exact integers per column, repeated rows, and a sample of rows.

Memory does not grow with the number of rows: the sample and the row hashes are thinned whenever
they are full, by rules that depend on row number and content alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cordon_client.qc.cells import MISSING_TEXTS
from cordon_client.qc.clinical.vocabulary import DATE, IDENTIFIER_CONTENT
from cordon_client.qc.judge_features import WELL_KNOWN_CODES

if TYPE_CHECKING:
    import numpy.typing as npt

SAMPLE_ROWS = 100_000
_HASHES = 2_000_000
_SHAPED = 5_000
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"
_CODES = np.array([code for code in WELL_KNOWN_CODES if code], dtype=np.float64)


@dataclass
class ColumnTally:
    """Counts of one column. Merging two tallies of one column is addition.

    records = missing + recorded; numbers, dates: recorded cells of that kind; codes: cells per
    well-known code for "missing"; looked_at, shapes: distinct texts that were compared with the
    shapes of identifiers, and how many cells had each shape.
    """

    records: int = 0
    missing: int = 0
    numbers: int = 0
    dates: int = 0
    codes: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(_CODES), dtype=np.int64)
    )
    looked_at: int = 0
    shapes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(IDENTIFIER_CONTENT, 0))

    @property
    def recorded(self) -> int:
        """Cells that hold something."""
        return self.records - self.missing

    @property
    def is_numeric(self) -> bool:
        """Whether nearly all recorded cells are numbers."""
        return self.recorded > 0 and self.numbers >= 0.95 * self.recorded

    @property
    def is_date(self) -> bool:
        """Whether nearly all recorded cells are dates."""
        return self.recorded > 0 and self.dates >= 0.95 * self.recorded

    def __add__(self, other: ColumnTally) -> ColumnTally:
        return ColumnTally(
            self.records + other.records,
            self.missing + other.missing,
            self.numbers + other.numbers,
            self.dates + other.dates,
            self.codes + other.codes,
            self.looked_at + other.looked_at,
            {name: self.shapes[name] + other.shapes[name] for name in self.shapes},
        )

    def code_counts(self) -> dict[int, int]:
        """Return how many cells hold each well-known code, those that occur."""
        pairs = zip(_CODES.tolist(), self.codes.tolist(), strict=True)
        return {int(code): count for code, count in pairs if count}


def tally_column(column: pa.Array) -> tuple[ColumnTally, npt.NDArray[np.uint64]]:
    """Count one batch of one column; also return a 64-bit hash per cell."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        found = ColumnTally(len(column), column.null_count)
        found.dates = found.recorded
        days = pc.fill_null(pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()), -1)
        return found, _mixed(days.to_numpy(zero_copy_only=False).astype(np.uint64))
    if _holds_numbers(column.type):
        values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _numbers(values)
    return _texts(pc.fill_null(pc.cast(column, pa.string()), ""))


def _holds_numbers(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _numbers(values: npt.NDArray[np.float64]) -> tuple[ColumnTally, npt.NDArray[np.uint64]]:
    missing = int(np.isnan(values).sum())
    tally = ColumnTally(len(values), missing, numbers=len(values) - missing)
    tally.codes = _count_codes(values)
    canonical = np.where(np.isnan(values), np.nan, values + 0.0)
    return tally, _mixed(canonical.view(np.uint64))


def _count_codes(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    hits = values[np.isin(values, _CODES)]
    return np.array([(hits == code).sum() for code in _CODES], dtype=np.int64)


def _texts(text: pa.Array) -> tuple[ColumnTally, npt.NDArray[np.uint64]]:
    """Count a batch of text by its distinct values: most columns repeat themselves."""
    encoded = pc.utf8_trim_whitespace(text).dictionary_encode()
    distinct = encoded.dictionary
    counts = np.bincount(encoded.indices.to_numpy(), minlength=len(distinct))
    missing = _bools(pc.is_in(distinct, value_set=pa.array(MISSING_TEXTS)))
    number = _bools(pc.match_substring_regex(distinct, _NUMBER)) & ~missing
    tally = ColumnTally(len(text), int(counts[missing].sum()), int(counts[number].sum()))
    values = pc.cast(pc.if_else(pa.array(number), distinct, None), pa.float64())
    floats = values.to_numpy(zero_copy_only=False)
    tally.codes = np.array([counts[floats == code].sum() for code in _CODES], dtype=np.int64)
    hashes = np.asarray(
        pd.util.hash_array(distinct.to_numpy(zero_copy_only=False)), dtype=np.uint64
    )
    words = ~(number | missing)
    if words.any():
        _shapes(tally, distinct.filter(pa.array(words)), counts[words])
    return tally, hashes[encoded.indices.to_numpy()]


def _shapes(tally: ColumnTally, distinct: pa.Array, counts: npt.NDArray[np.int64]) -> None:
    tally.dates = int(counts[_bools(pc.match_substring_regex(distinct, DATE))].sum())
    some, counts = distinct[:_SHAPED], counts[:_SHAPED]
    tally.looked_at = int(counts.sum())
    for name, shape in IDENTIFIER_CONTENT.items():
        tally.shapes[name] = int(counts[_bools(pc.match_substring_regex(some, shape))].sum())


def _bools(found: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(
        pc.fill_null(found, fill_value=False).to_numpy(zero_copy_only=False), dtype=np.bool_
    )


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter 64-bit words (the finaliser of MurmurHash3, Appleby 2011)."""
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))


class RepeatedRows:
    """The share of rows that occurred before, from all rows or a fair part of them.

    Rows are kept by their hash: all copies of a row, or none. So the share is exact while
    everything fits, and unbiased once only hashes below a bound are kept.
    """

    def __init__(self) -> None:
        self._kept: list[npt.NDArray[np.uint64]] = []
        self._size = 0
        self._shift = 0

    def add(self, columns: list[npt.NDArray[np.uint64]]) -> None:
        """Take a batch: the cells' hashes, one array per column."""
        row = np.zeros(len(columns[0]), dtype=np.uint64)
        for cells in columns:
            row = row * np.uint64(0x9E3779B97F4A7C15) + cells
        row = _mixed(row)
        self._kept.append(self._eligible(row))
        self._size += len(self._kept[-1])
        while self._size > _HASHES:
            self._shift += 1
            self._kept = [self._eligible(np.concatenate(self._kept))]
            self._size = len(self._kept[0])

    def _eligible(self, rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return rows[(rows >> np.uint64(64 - self._shift)) == 0] if self._shift else rows

    def share(self) -> float | None:
        """Return the share of repeats; None without rows."""
        if not self._size:
            return None
        rows = np.concatenate(self._kept)
        return 1 - len(np.unique(rows)) / len(rows)


class RowSample:
    """Every k-th row, k the smallest power of two with which the sample fits."""

    def __init__(self, rows: int = SAMPLE_ROWS) -> None:
        self._limit, self._every, self._seen = rows, 1, 0
        self._kept: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""
        start = -self._seen % self._every
        rows = np.arange(start, batch.num_rows, self._every)
        self._seen += batch.num_rows
        self._kept.append(pa.Table.from_batches([batch.take(pa.array(rows))]))
        while sum(table.num_rows for table in self._kept) > self._limit:
            whole = pa.concat_tables(self._kept, promote_options="permissive")
            half = np.arange(0, whole.num_rows, 2)
            self._kept = [whole.take(pa.array(half))]
            self._every *= 2

    def table(self) -> pa.Table:
        """Return the sampled rows."""
        return pa.concat_tables(self._kept, promote_options="permissive").combine_chunks()

"""Read a clinical table once: tallies of every column, repeated rows, a sample of rows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cordon_client.qc.clinical.tables import open_table
from cordon_client.qc.clinical.tally import ColumnTally, RepeatedRows, RowSample, tally_column

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.modality import Progress


@dataclass(frozen=True)
class Survey:
    """One table, read.

    columns: by name, in the file's order. numbers, dates: the sample's numeric columns as
    float64 [rows] and date columns as datetime64[s] [rows]; NaN and NaT = not recorded. texts: the
    others as they are. row_numbers: columns that only count the rows. written: the day on which the
    file was last changed; later dates in it lie in the future.
    """

    records: int
    damaged: int
    columns: dict[str, ColumnTally]
    repeated: float | None
    numbers: dict[str, npt.NDArray[np.float64]]
    dates: dict[str, npt.NDArray[np.datetime64]]
    texts: dict[str, pa.ChunkedArray]
    row_numbers: tuple[str, ...]
    written: np.datetime64


def read_survey(path: Path, progress: Progress) -> Survey:
    """Read a table of any size.

    Raises:
        DataError: as `open_table`.
    """
    stream = open_table(path, progress)
    columns = {name: ColumnTally() for name in stream.names}
    repeated, sample = RepeatedRows(), RowSample()
    row_numbers: tuple[str, ...] | None = None
    for batch in stream.batches:
        if row_numbers is None:
            row_numbers = _row_numbers(batch)
        hashes = []
        for name, column in zip(stream.names, batch.columns, strict=True):
            tally, cells = tally_column(column)
            columns[name] += tally
            if name not in row_numbers:
                hashes.append(cells)
        if hashes:
            repeated.add(hashes)
        sample.add(batch)
    numbers, dates, texts = _typed(sample.table(), columns)
    changed = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return Survey(
        records=stream.lines.good,
        damaged=stream.lines.damaged,
        columns=columns,
        repeated=repeated.share(),
        numbers=numbers,
        dates=dates,
        texts=texts,
        row_numbers=row_numbers or (),
        written=np.datetime64(changed.replace(tzinfo=None), "s"),
    )


def _row_numbers(batch: pa.RecordBatch) -> tuple[str, ...]:
    """Find columns that count 0, 1, 2 … or 1, 2, 3 …: they tell rows apart and say nothing else."""
    names = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = as_numbers(pa.chunked_array([column]))
        if len(values) > 2 and values[0] in {0.0, 1.0} and (np.diff(values) == 1).all():
            names.append(name)
    return tuple(names)


def _typed(
    sample: pa.Table, columns: dict[str, ColumnTally]
) -> tuple[
    dict[str, npt.NDArray[np.float64]],
    dict[str, npt.NDArray[np.datetime64]],
    dict[str, pa.ChunkedArray],
]:
    numbers, dates, texts = {}, {}, {}
    for name, tally in columns.items():
        column = sample.column(name)
        if tally.is_numeric:
            numbers[name] = as_numbers(column)
        elif tally.is_date:
            dates[name] = _as_dates(column)
        else:
            texts[name] = column
    return numbers, dates, texts


def as_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return cells as float64, NaN where they are not numbers."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        is_number = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$")
        column = pc.cast(pc.if_else(is_number, text, None), pa.float64())
    elif pa.types.is_temporal(column.type) or pa.types.is_nested(column.type):
        return np.full(len(column), np.nan)
    else:
        column = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _as_dates(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    if not pa.types.is_temporal(column.type):
        text = pc.replace_substring(pc.utf8_trim_whitespace(column), "/", "-")
        stamp = pc.utf8_slice_codeunits(text, 0, 10)
        clock = pc.utf8_slice_codeunits(text, 11, 19)
        full = pc.if_else(
            pc.equal(pc.utf8_length(clock), 8),
            pc.binary_join_element_wise(stamp, clock, " "),
            pc.binary_join_element_wise(stamp, "00:00:00", " "),
        )
        column = pc.strptime(full, "%Y-%m-%d %H:%M:%S", "s", error_is_null=True)
    return np.asarray(pc.cast(column, pa.timestamp("s"), safe=False).to_numpy(), "datetime64[s]")

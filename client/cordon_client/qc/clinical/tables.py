"""CSV, TSV, Parquet and ARFF as a stream of column batches, in memory that does not grow with rows."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from cordon_client.qc.reader import open_head, refuse_open_quote, refuse_other_formats
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cordon_client.qc.modality import Progress

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".arff")
_BATCH_ROWS = 65_536
_BLOCK_BYTES = 8 * 1024**2
_READ_AHEAD_BYTES = 1024**2
_ANY_SIZE = 2**62
MAX_DAMAGED = 0.05
"""Above this share of damaged lines the file is refused; below, the lines are left out and told."""


@dataclass
class Lines:
    """How many lines were read, and how many had more or fewer fields than the header."""

    good: int = 0
    damaged: int = 0

    def require_most(self) -> None:
        """Do nothing when a table was there.

        Raises:
            DataError: DA006 without records; DA013 when more than one line in twenty is damaged.
        """
        if self.good + self.damaged == 0:
            raise DataError("DA006")
        if self.damaged > MAX_DAMAGED * (self.good + self.damaged):
            lines = self.good + self.damaged
            why = f"{self.damaged} of {lines} lines have more or fewer fields than the header"
            raise DataError("DA013", why=why)


@dataclass(frozen=True)
class Stream:
    """A table being read. names: its columns; batches: Arrow batches with exactly these columns.

    Text columns keep their text; a Parquet file's numbers keep their type. lines: complete once
    all batches were read.
    """

    names: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]
    lines: Lines


def open_table(path: Path, progress: Progress) -> Stream:
    """Open a table; the format is told by content, then by name.

    Raises:
        DataError: DA001 to DA006, DA011 to DA015 for a file that cannot be read as a table.
    """
    head = open_head(path, _ANY_SIZE)
    if head.startswith(b"PAR1") or path.suffix.lower() in {".parquet", ".pq"}:
        return _parquet(path, progress)
    refuse_other_formats(head)
    if path.suffix.lower() == ".arff" or re.search(rb"(?im)^\s*@relation", head):
        return _arff(path, progress)
    return _delimited(path, head, progress)


# -- delimited text ------------------------------------------------------------------------------


def _delimited(path: Path, head: bytes, progress: Progress) -> Stream:
    refuse_open_quote(path)
    first = _first_line(head)
    delimiter = max(",\t;|", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    names = [name or f"column {place + 1}" for place, name in enumerate(names)]
    if len(set(names)) != len(names):
        raise DataError("DA012")
    if len(names) == 1 and any(mark in first for mark in ",;\t|"):
        raise DataError("DA013", why="the column names cannot be told apart")
    lines = Lines()
    return Stream(tuple(names), _csv_batches(path, (names, delimiter), lines, progress), lines)


def _first_line(head: bytes) -> str:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8-sig")
        if "\n" not in text:
            raise DataError("DA004", why="the column names are not UTF-8 text") from None
    return next((line for line in text.splitlines() if line.strip()), "")


def _csv_batches(
    path: Path, layout: tuple[list[str], str], lines: Lines, progress: Progress
) -> Iterator[pa.RecordBatch]:
    names, delimiter = layout
    size = path.stat().st_size

    def leave_out(row: pa_csv.InvalidRow) -> str:
        lines.damaged += row.expected_columns != row.actual_columns
        return "skip"

    try:
        with path.open("rb") as file:
            reader = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(
                    column_names=names, skip_rows=1, block_size=_BLOCK_BYTES, use_threads=False
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=leave_out
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                lines.good += batch.num_rows
                progress(file.tell(), size)
                yield batch
    except pa.ArrowInvalid as error:
        if "Could not skip initial" not in str(error) and "Empty CSV" not in str(error):
            raise DataError("DA004" if "UTF8" in str(error) else "DA013") from None
    lines.require_most()


# -- Parquet -------------------------------------------------------------------------------------


def _parquet(path: Path, progress: Progress) -> Stream:
    try:
        # Arrow's default, to fetch all of a file's row groups ahead, holds the whole file in memory.
        file = pa_parquet.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD_BYTES)
    except (pa.ArrowInvalid, OSError):
        raise DataError("DA011") from None
    if file.metadata.num_rows == 0:
        raise DataError("DA006")
    names = tuple(file.schema_arrow.names)
    if len(set(names)) != len(names):
        raise DataError("DA012")
    lines = Lines(good=file.metadata.num_rows)
    return Stream(names, _parquet_batches(file, path.stat().st_size, progress), lines)


def _parquet_batches(
    file: pa_parquet.ParquetFile, size: int, progress: Progress
) -> Iterator[pa.RecordBatch]:
    done, rows = 0, file.metadata.num_rows
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            done += batch.num_rows
            progress(size * done // rows, size)
            yield batch
    except (pa.ArrowInvalid, OSError):
        raise DataError("DA011") from None


# -- ARFF (Weka's attribute-relation file format) --------------------------------------------------

_ATTRIBUTE = re.compile(
    r"^\s*@attribute\s+('(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S+)\s+(.+?)\s*$", re.IGNORECASE
)
_DATA = re.compile(r"^\s*@data\b", re.IGNORECASE)


def _arff(path: Path, progress: Progress) -> Stream:
    names, line = [], 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line, text in enumerate(file):  # noqa: B007 - the count is used after the loop
            found = _ATTRIBUTE.match(text)
            if found:
                names.append(found.group(1).strip("'\"").strip())
            if _DATA.match(text):
                break
        else:
            raise DataError("DA006", why="the ARFF file has no @data section")
    if not names:
        raise DataError("DA014", why="the ARFF file names no attribute")
    if len(set(names)) != len(names):
        raise DataError("DA012")
    lines = Lines()
    batches = _arff_batches(path, (tuple(names), line + 1), lines, progress)
    return Stream(tuple(names), batches, lines)


def _arff_batches(
    path: Path, layout: tuple[tuple[str, ...], int], lines: Lines, progress: Progress
) -> Iterator[pa.RecordBatch]:
    (names, skip), size, done = layout, path.stat().st_size, 0
    block: list[list[str]] = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(_lines(file)):
            done += len(text)
            if number < skip or not text.strip() or text.lstrip().startswith("%"):
                continue
            row = _arff_row(text)
            if len(row) != len(names):
                lines.damaged += 1
                continue
            lines.good += 1
            block.append(row)
            if len(block) == _BATCH_ROWS:
                progress(done, size)
                yield _batch(block, names)
                block = []
    lines.require_most()
    if block:
        yield _batch(block, names)


def _lines(file: Iterator[str]) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError:
        raise DataError("DA004") from None


def _arff_row(text: str) -> list[str]:
    """Split a row; blanks, stray tabs and a comma at the end are no part of its values."""
    if text.lstrip().startswith("{"):
        raise DataError("DA014", why="it is a sparse ARFF file")
    row = next(csv.reader([text.strip().removesuffix(",")], quotechar="'", skipinitialspace=True))
    return [value.strip() for value in row]


def _batch(block: list[list[str]], names: tuple[str, ...]) -> pa.RecordBatch:
    columns = [pa.array(column, pa.string()) for column in zip(*block, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=list(names))

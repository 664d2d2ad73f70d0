"""Open a CSV or Parquet file: only the study's columns, and one clear code per way to be wrong.

Messages name the study's columns (public) and never a cell, another column or a path.
"""

from __future__ import annotations

import csv
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from cordon_common.errors import DataError
from cordon_common.protocol.dictionary import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.protocol.dictionary import Cohort

DEFAULT_MAX_BYTES = 2 * 1024**3
"""Largest file that is read, and largest size of a Parquet file's columns in memory."""

_HEAD_BYTES = 64 * 1024
_BLOCK_BYTES = 16 * 1024**2
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
_OTHER_FORMATS = (
    (b"PK\x03\x04", "it looks like a spreadsheet or a zip archive"),
    (b"\x1f\x8b", "it is compressed with gzip"),
    (b"\xd0\xcf\x11\xe0", "it looks like an old spreadsheet"),
    (b"\x89HDF", "it is an HDF5 file"),
)
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class SourceTable:
    """The study's columns as they are in the file.

    columns: one Arrow array per column of the study; text for CSV. unread: names of the other
    columns, whose cells were never loaded.
    """

    columns: dict[str, pa.ChunkedArray]
    unread: tuple[str, ...]
    records: int


def study_columns(cohort: Cohort) -> tuple[str, ...]:
    """List the columns that a cohort's file must have."""
    names = [column for feature in cohort.features for column in columns_of(feature)]
    ids = [] if cohort.patient_id is None else [cohort.patient_id]
    return (*ids, *names, cohort.label.name)


def read_table(
    path: Path,
    cohort: Cohort,
    *,
    also: Sequence[str] = (),
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> SourceTable:
    """Read the study's columns from a CSV or Parquet file (told apart by content, not by name).

    also: columns that the site needs besides.

    Raises:
        DataError: DA001 to DA007, DA010 to DA015, each for one way in which a file can be wrong.
    """
    head = open_head(path, max_bytes)
    needed = tuple(dict.fromkeys((*study_columns(cohort), *also)))
    if head.startswith(b"PAR1") or path.suffix.lower() in {".parquet", ".pq"}:
        table = _read_parquet(path, needed, max_bytes)
    else:
        refuse_other_formats(head)
        table = _read_csv(path, head, needed)
    if table.records == 0:
        raise DataError("DA006")
    return table


def open_head(path: Path, max_bytes: int) -> bytes:
    """Return the first bytes of a file, its first line in any case.

    Raises:
        DataError: DA001, DA002, DA010, DA015.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DataError("DA001") from None
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError("DA015", why="it is not a regular file")
    if status.st_size == 0:
        raise DataError("DA002")
    if status.st_size > max_bytes:
        raise DataError("DA010", why=_size_text(status.st_size, max_bytes))
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            # A table of many columns can have a first line longer than the head.
            return head if b"\n" in head else head + file.readline(_BLOCK_BYTES)
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None


def _size_text(size_bytes: int, max_bytes: int) -> str:
    giga = 1024**3
    return f"it has {size_bytes / giga:.1f} GiB, the limit is {max_bytes / giga:.1f} GiB"


def refuse_other_formats(head: bytes) -> None:
    """Refuse what is no text table, by its first bytes.

    Raises:
        DataError: DA002, DA003, DA004, DA014.
    """
    for magic, why in _OTHER_FORMATS:
        if head.startswith(magic):
            raise DataError("DA014", why=why)
    if head.startswith(_UTF16):
        raise DataError("DA004", why="it is UTF-16 text")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise DataError("DA002", why="it holds nothing but blank space")
    lowered = text[:1024].lower()
    if lowered.startswith(_HTML) or (lowered.startswith(b"<") and b"<html" in lowered):
        raise DataError("DA003")
    if b"\0" in head:
        raise DataError("DA014", why="it holds binary data")
    if text[:1] in {b"<", b"{", b"["}:
        raise DataError("DA014", why="it looks like XML or JSON")


def _read_csv(path: Path, head: bytes, needed: Sequence[str]) -> SourceTable:
    refuse_open_quote(path)
    names, skipped_lines = _csv_header(head, needed)
    _check_names(names, needed)
    try:
        table = pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=names, skip_rows=skipped_lines, block_size=_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(needed),
                column_types=dict.fromkeys(needed, pa.string()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        # Arrow's text quotes the offending row, so only its kind is passed on.
        if "UTF8" in str(error):
            raise DataError("DA004") from None
        if "Could not skip initial" in str(error):  # the first line is all there is
            raise DataError("DA006") from None
        raise DataError("DA013", why=_csv_fault(str(error))) from None
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    return _source(table, names, needed)


def _csv_fault(text: str) -> str:
    if "Expected" in text and "columns" in text:
        return "a line has more or fewer fields than the header"
    return "a line is too long, or its quotes do not fit"


def _csv_header(head: bytes, needed: Sequence[str]) -> tuple[list[str], int]:
    """Return the column names and the number of lines to skip before the first record."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\n" not in head[: error.start]:
            raise DataError("DA004", why="the column names are not UTF-8 text") from None
        text = head[: error.start].decode("utf-8-sig")
    lines = re.split("\r\n|\n|\r", text)
    blank = next(index for index, line in enumerate(lines) if line.strip())
    header = lines[blank]
    names = _split(header, ",")
    if not set(needed) <= set(names):
        for delimiter, words in _DELIMITERS.items():
            if len(set(needed) & set(_split(header, delimiter))) > len(set(needed) & set(names)):
                raise DataError("DA005", why=f"they seem to be separated by {words}")
    return names, blank + 1


def _split(line: str, delimiter: str) -> list[str]:
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    return [name.strip() for name in row]


def refuse_open_quote(path: Path) -> None:
    """Refuse an odd number of quotes: Arrow would take all that follows as one field, silently."""
    quotes = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            quotes += block.count(b'"')
    if quotes % 2:
        raise DataError("DA013", why="a quoted field is not closed")


def _check_names(names: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        lowered = {name.lower() for name in names}
        close = [name for name in missing if name.lower() in lowered]
        fix = f"capital letters count: rename the column to {close[0]}" if close else ""
        raise DataError("DA007", f"the data file lacks: {shown}", fix=fix)
    doubled = [name for name in needed if list(names).count(name) > 1]
    if doubled:
        raise DataError("DA012", f"the column {doubled[0]} occurs twice in the data file")


def _read_parquet(path: Path, needed: Sequence[str], max_bytes: int) -> SourceTable:
    try:
        with pa_parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _check_names(names, needed)
            size_bytes = _loaded_bytes(file.metadata, set(needed))
            if size_bytes > max_bytes:
                raise DataError("DA010", why=_size_text(size_bytes, max_bytes))
            table = file.read(columns=list(needed))
    except (pa.ArrowException, OSError):
        # Arrow's text may hold the path.
        raise DataError("DA011") from None
    return _source(table, names, needed)


def _loaded_bytes(metadata: pa_parquet.FileMetaData, needed: set[str]) -> int:
    total = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if column.path_in_schema in needed:
                total += column.total_uncompressed_size
    return total


def _source(table: pa.Table, names: Sequence[str], needed: Sequence[str]) -> SourceTable:
    return SourceTable(
        columns={name: table.column(name) for name in needed},
        unread=tuple(name for name in names if name not in needed),
        records=table.num_rows,
    )

"""Look at the first rows of a text or Parquet table, to tell which modality it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from cordon_client.qc.matrix.table import SAMPLE_WORDS, head_of, header_of, split_fields
from cordon_common.errors import DataError

if TYPE_CHECKING:
    import re
    from pathlib import Path

_ROWS = 60
_TEXT = (".tsv", ".csv", ".txt", ".tab", ".data", ".mztab", ".gz", ".report", ".kreport", ".arff")


@dataclass(frozen=True)
class Peek:
    """A table's first rows. header: its column names. rows: cells of the first rows.

    head: the first text, empty for Parquet. name: the file's name in lower case.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    head: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """What would name the features: the header if rows are samples, else the first cells."""
        firsts = tuple(row[0] for row in self.rows if row)
        first = self.header[0].strip().strip("#").lower() if self.header else ""
        rows_are_samples = first in SAMPLE_WORDS or len(self.header) > 10 * max(len(firsts), 6)
        return self.header[1:] if rows_are_samples else firsts

    def share(self, pattern: re.Pattern[str]) -> float:
        """Return the share of feature names that the pattern matches from their start."""
        names = self.features[:2000]
        return sum(bool(pattern.match(name)) for name in names) / len(names) if names else 0.0


def peek(path: Path) -> Peek | None:
    """Return the first rows; None where the file is no table of text and no Parquet."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return _peek(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _peek(path: Path, _changed_ns: int, _size: int) -> Peek | None:
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            return _parquet(path)
        if not name.endswith(_TEXT):
            return None
        head = head_of(path)
        delimiter, header, skip = header_of(head)
    except (DataError, pa.ArrowException, OSError):
        return None
    lines = head.splitlines()[skip : skip + _ROWS]
    rows = tuple(tuple(split_fields(line, delimiter)) for line in lines if line.strip())
    return Peek(name, tuple(header), rows, head)


def _parquet(path: Path) -> Peek:
    # Without these options Arrow fetches the whole file before it gives its first rows.
    with pa_parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
        header = tuple(file.schema_arrow.names)
        batch = next(file.iter_batches(batch_size=_ROWS), None)
    columns = [] if batch is None else [column.to_pylist() for column in batch.columns]
    rows = tuple(
        tuple("" if c is None else str(c) for c in row) for row in zip(*columns, strict=True)
    )
    return Peek(path.name.lower(), header, rows)

"""Read a matrix of features × samples from text or Parquet.

Which way round the matrix lies is told by the name of its first column, else by its shape: there
are more features than samples. Messages never hold a cell or a path.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

MAX_BYTES = 8 * 1024**3
"""Largest matrix in memory, as float64."""
SAMPLE_WORDS = frozenset(
    {"sample", "samples", "sample_id", "sampleid", "patient", "patient_id", "barcode", "cell"}
    | {"subject", "subject_id", "run", "id"}
)
FEATURE_WORDS = frozenset(
    {"gene", "genes", "gene_id", "geneid", "gene_name", "feature", "feature_id", "rowname"}
    | {"protein", "protein_id", "otu", "otu id", "asv", "taxon", "taxonomy", "clade_name", "name"}
    | {"symbol", "transcript", "transcript_id", "target_id", "ensembl_id"}
)
_DESCRIBING = frozenset(
    {"chr", "chrom", "start", "end", "strand", "length", "exonlength", "gene_biotype", "biotype"}
    | {"entrezid", "taxonomy_id", "tax_id", "label", "outcome"}
)
"""Columns that describe a feature or sample: numbers in them are no measurements."""
_HEAD_BYTES = 1 << 20
_BLOCK_BYTES = 4 << 20
_MISSING = ["", "NA", "NaN", "nan", "N/A", "null", "NULL", "None", "Filtered", "#N/A"]
_NUMBER = re.compile(r"^\s*[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+|inf|nan)\s*$")


@dataclass(frozen=True)
class FeatureMatrix:
    """A matrix in memory.

    values: float64 [features, samples], NaN = missing. notes: text that the file gives for every
    feature (symbol, taxonomy), by column name.
    """

    features: tuple[str, ...]
    samples: tuple[str, ...]
    values: Values
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def column(self, sample: str) -> Values:
        """Return one sample's values, float64 [features].

        Raises:
            DataError: DA073 when there is no such sample.
        """
        try:
            return np.ascontiguousarray(self.values[:, self.samples.index(sample)])
        except ValueError:
            raise DataError("DA073") from None


def read_matrix(path: Path, *, max_bytes: int = MAX_BYTES) -> FeatureMatrix:
    """Read TSV, CSV (plain or .gz) or Parquet; the last two files stay in memory.

    Raises:
        DataError: DA015 when the file cannot be opened, DA060 to DA063 and DA072 when it is not
            a matrix of numbers.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    return _cached(path, facts.st_mtime_ns, facts.st_size, max_bytes)


@lru_cache(maxsize=2)
def _cached(path: Path, _changed_ns: int, _size: int, max_bytes: int) -> FeatureMatrix:
    # Every sample of a matrix asks for the same file: time and size are part of the key, so that
    # a file that was written again is read again.
    if path.name.lower().endswith((".parquet", ".pq")):
        table = _read_parquet(path, max_bytes)
    else:
        table = _read_text(path)
    return shape_matrix(table, max_bytes)


def head_of(path: Path) -> str:
    """Return the first MiB of a text file, unpacked.

    Raises:
        DataError: DA015 when it cannot be opened, DA060 when it is not text.
    """
    try:
        with pa.input_stream(str(path), compression=_compression(path)) as stream:
            head: bytes = stream.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    except (OSError, pa.ArrowException):
        raise DataError("DA060", why="the compressed file is damaged or cut off") from None
    if b"\x00" in head:
        raise DataError("DA060", why="it is not a text file")
    return head.decode("utf-8-sig", errors="replace")


def _compression(path: Path) -> str | None:
    return "gzip" if path.name.lower().endswith(".gz") else None


def header_of(head: str) -> tuple[str, list[str], int]:
    """Return delimiter, column names (the first is the row names') and lines before the rows."""
    lines = head.splitlines()
    comments = 0
    while comments < len(lines) and (not lines[comments].strip() or lines[comments][0] == "#"):
        comments += 1
    if comments >= len(lines):
        raise DataError("DA063")
    delimiter = max("\t,;", key=lines[comments].count)
    first = split_fields(lines[comments], delimiter)
    if len(first) < 2:
        raise DataError("DA060", why="its lines have one field only")
    above = split_fields(lines[comments - 1].lstrip("#"), delimiter) if comments else []
    if len(above) == len(first):  # "#OTU ID", "#NAME": the comment is the header
        return delimiter, above, comments
    if comments + 1 < len(lines):
        second = split_fields(lines[comments + 1], delimiter)
        if len(second) == len(first) + 1:  # R writes no name for its row names
            return delimiter, ["", *first], comments + 1
    return delimiter, first, comments + 1


def split_fields(line: str, delimiter: str) -> list[str]:
    """Split one line, with quotes."""
    return [cell.strip() for cell in next(csv.reader(io.StringIO(line), delimiter=delimiter), [])]


def _read_text(path: Path) -> pa.Table:
    delimiter, names, skip = header_of(head_of(path))
    unique = [f"{index}\t{name}" for index, name in enumerate(names)]
    convert = pa_csv.ConvertOptions(
        null_values=_MISSING, strings_can_be_null=False, quoted_strings_can_be_null=True,
        column_types={unique[0]: pa.string()},
    )  # fmt: skip
    read = pa_csv.ReadOptions(column_names=unique, skip_rows=skip, block_size=_BLOCK_BYTES)
    parse = pa_csv.ParseOptions(delimiter=delimiter)
    try:
        with pa.input_stream(str(path), compression=_compression(path)) as stream:
            return pa_csv.read_csv(stream, read, parse, convert)
    except (pa.ArrowException, OSError) as error:
        raise DataError("DA060", why=_fault(str(error))) from None


def _fault(text: str) -> str:
    if "Expected" in text and "columns" in text:
        return "a line has more or fewer fields than the header"
    if "conversion error" in text:
        return "a column holds numbers first and text further down"
    return "it is damaged, or not UTF-8 text"


def _read_parquet(path: Path, max_bytes: int) -> pa.Table:
    try:
        with pa_parquet.ParquetFile(path) as file:
            if file.metadata.num_rows * file.metadata.num_columns * 8 > max_bytes:
                raise DataError("DA072", why=f"more than {max_bytes // 2**20} MiB")
            table = file.read()
    except (pa.ArrowException, OSError):
        raise DataError("DA011") from None
    names = list(table.column_names)
    text = [i for i, kind in enumerate(table.schema.types) if not _is_number(kind)]
    lead = text[0] if text else 0
    order = [lead, *(i for i in range(len(names)) if i != lead)]
    return table.select(order).rename_columns([f"{i}\t{names[o]}" for i, o in enumerate(order)])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def shape_matrix(table: pa.Table, max_bytes: int = MAX_BYTES) -> FeatureMatrix:
    """Turn a table whose first column names its rows into features × samples.

    Column names carry their position and a tab in front, so that doubles can be told apart.

    Raises:
        DataError: DA061 to DA063, DA072.
    """
    names = [name.split("\t", 1)[1] for name in table.column_names]
    rows = tuple("" if row is None else str(row) for row in table.column(0).to_pylist())
    numbers, texts = _split(table, names)
    if not numbers or not rows:
        raise DataError("DA063")
    if len(rows) * len(numbers) * 8 > max_bytes:
        raise DataError("DA072", why=f"more than {max_bytes // 2**20} MiB")
    columns = tuple(names[index] for index in numbers)
    values = np.empty((len(numbers), len(rows)))
    for place, index in enumerate(numbers):
        values[place] = _floats(table.column(index))
    if _rows_are_samples(names[0], len(rows), len(columns)):
        return _checked(FeatureMatrix(columns, rows, values))
    notes = {names[i]: tuple(str(c or "") for c in table.column(i).to_pylist()) for i in texts}
    return _checked(FeatureMatrix(rows, columns, values.T, notes))


def _floats(column: pa.ChunkedArray) -> Values:
    cast = column.cast(pa.float64())
    return np.asarray(cast.to_numpy(zero_copy_only=False), dtype=np.float64)


def _split(table: pa.Table, names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the positions of columns with numbers, and of columns with text."""
    numbers, texts = [], []
    for index in range(1, table.num_columns):
        kind = table.schema.types[index]
        if names[index].lower() in _DESCRIBING:
            texts.append(index)
        elif _is_number(kind):
            numbers.append(index)
        elif _mostly_numbers(table.column(index)):
            raise DataError("DA061", why="numbers and text are mixed in one column")
        else:
            texts.append(index)
    return numbers, texts


def _mostly_numbers(column: pa.ChunkedArray) -> bool:
    head = [str(cell).replace(",", ".") for cell in column.slice(0, 1000).to_pylist() if cell]
    return bool(head) and sum(bool(_NUMBER.match(cell)) for cell in head) > len(head) / 2


def _rows_are_samples(first: str, rows: int, columns: int) -> bool:
    word = first.strip().strip("#").lower()
    if word in SAMPLE_WORDS:
        return True
    if word in FEATURE_WORDS:
        return False
    return columns > rows


def _checked(matrix: FeatureMatrix) -> FeatureMatrix:
    if len(set(matrix.samples)) != len(matrix.samples):
        raise DataError("DA062")
    return matrix

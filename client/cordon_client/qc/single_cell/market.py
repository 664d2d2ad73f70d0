"""Read a 10x folder: matrix.mtx with barcodes.tsv and features.tsv (genes.tsv), plain or .gz."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from cordon_client.qc.single_cell.blocks import BLOCK_VALUES, CellFile, csr_block
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from cordon_client.qc.single_cell.blocks import CellBlock

_BLOCK_BYTES = 16 << 20


def open_market(path: Path) -> CellFile:
    """Open the folder that a matrix.mtx lies in.

    Raises:
        DataError: DA060 when the matrix is damaged, DA064 when a file of the three is missing or
            does not fit.
    """
    genes = _lines(_beside(path, "features.tsv", "genes.tsv"))
    barcodes = _lines(_beside(path, "barcodes.tsv"))
    rows, columns, _, _ = _size(path)
    if (rows, columns) != (len(genes), len(barcodes)):
        raise DataError(
            "DA064", why="the matrix has another size than the lists of barcodes and genes"
        )
    fields = [line.split("\t") for line in genes]
    return CellFile(
        cells=len(barcodes),
        genes=tuple(field[0] for field in fields),
        symbols=tuple(field[1] if len(field) > 1 else field[0] for field in fields),
        where="matrix.mtx",
        blocks=lambda: _blocks(path),
    )


def _beside(path: Path, *names: str) -> Path:
    prefix = path.name.partition("matrix.mtx")[0]
    for name in names:
        for ending in ("", ".gz"):
            other = path.parent / f"{prefix}{name}{ending}"
            if other.is_file():
                return other
    raise DataError("DA064", why=f"{names[0]} is missing")


def _open(path: Path) -> BinaryIO:
    try:
        kind = "gzip" if path.name.endswith(".gz") else None
        stream: BinaryIO = pa.input_stream(str(path), compression=kind)
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    return stream


def _lines(path: Path) -> list[str]:
    try:
        with _open(path) as stream:
            text = stream.read().decode("utf-8")
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise DataError("DA064", why=f"{path.name} is damaged") from None
    return text.splitlines()


def _size(path: Path) -> tuple[int, int, int, int]:
    """Return genes, cells, stored values and the bytes before the first of them."""
    with _open(path) as stream:
        try:
            head = stream.read(1 << 16)
        except (pa.ArrowException, OSError):
            raise DataError("DA060", why="the compressed file is damaged or cut off") from None
    if not head.startswith(b"%%MatrixMarket matrix coordinate"):
        raise DataError("DA060", why="it is not a sparse Matrix Market file")
    skipped = 0
    for line in head.splitlines(keepends=True):
        skipped += len(line)
        if not line.startswith(b"%"):
            numbers = line.split()
            if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
                break
            return int(numbers[0]), int(numbers[1]), int(numbers[2]), skipped
    raise DataError("DA060", why="its size line is missing")


def _blocks(path: Path) -> Iterator[CellBlock]:
    genes, cells, stored, skipped = _size(path)
    read, first = 0, 0
    held = np.empty((0, 3))
    for part in _triplets(path, skipped):
        read += len(part)
        held = np.vstack([held, part])
        if len(held) < BLOCK_VALUES:
            continue
        last = held[-1, 1]
        whole = held[:, 1] < last  # the last cell may go on in the next part
        if (np.diff(held[:, 1]) < 0).any():
            continue  # not in the order of cells: keep everything, sort at the end
        yield _make(held[whole], first, int(last) - 1, genes)
        first, held = int(last) - 1, held[~whole]
    if read != stored:
        raise DataError("DA060", why="it was cut off: it has fewer values than it says")
    held = held[np.argsort(held[:, 1], kind="stable")]
    if len(held) and (held[0, 1] - 1 < first or held[-1, 1] > cells):
        raise DataError("DA060", why="its cells are out of order or out of range")
    yield _make(held, first, cells, genes)


def _triplets(
    path: Path, skipped: int
) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    names = ["gene", "cell", "count"]
    read = pa_csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES)
    parse = pa_csv.ParseOptions(delimiter=" ")
    convert = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()))
    try:
        with _open(path) as stream:
            stream.read(skipped)
            if not len(stream.read(0)) and _at_end(path, skipped):
                return
            for batch in pa_csv.open_csv(stream, read, parse, convert):
                yield np.column_stack([column.to_numpy() for column in batch.columns])
    except (pa.ArrowException, OSError):
        raise DataError("DA060", why="a line is no triplet of numbers, or it was cut off") from None


def _at_end(path: Path, skipped: int) -> bool:
    with _open(path) as stream:
        stream.read(skipped)
        return not stream.read(1)


def _make(
    triplets: np.ndarray[tuple[int, int], np.dtype[np.float64]], first: int, end: int, genes: int
) -> CellBlock:
    gene = triplets[:, 0].astype(np.int32) - 1
    if len(gene) and (gene.min() < 0 or gene.max() >= genes):
        raise DataError("DA060", why="it points at genes that it does not have")
    cell = triplets[:, 1].astype(np.int64) - 1 - first
    indptr = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=end - first))])
    return csr_block(first, triplets[:, 2], gene, indptr.astype(np.int32), genes)

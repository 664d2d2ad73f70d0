"""Open single-cell files: 10x folders, 10x HDF5 of both versions, and h5ad of every version."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cordon_client.qc.matrix.table import MAX_BYTES, FeatureMatrix
from cordon_client.qc.single_cell.blocks import csr_block, cuts
from cordon_client.qc.single_cell.market import open_market
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cordon_client.qc.single_cell.blocks import CellBlock, CellFile

_SAMPLE_COLUMNS = ("sample_id", "sample", "orig.ident", "library_id", "donor_id", "batch")
_SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "feature_name", "gene_name", "gene_names")
_DENSE_ROWS = 512


def open_cells(path: Path) -> CellFile:
    """Open a file of cells × genes; only names are read until blocks are asked for.

    Raises:
        DataError: DA015, DA060, DA064 or DA065 when the file cannot be used.
    """
    name = path.name.lower()
    if name.endswith((".mtx", ".mtx.gz")):
        return open_market(path)
    with _hdf5(path) as file:
        if "matrix" in file and "barcodes" in file["matrix"]:
            return _ten_x(path, file["matrix"], "matrix")
        genome = next((k for k in file if _is_group(file[k]) and "barcodes" in file[k]), None)
        if genome is not None:
            return _ten_x(path, file[genome], genome)
        if "X" in file and "obs" in file:
            return _h5ad(path, file)
    raise DataError("DA065", why="it holds neither an h5ad nor a 10x matrix")


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file; what HDF5 finds damaged, then or later, is one error."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        # HDF5's own text may hold the path.
        raise DataError("DA065", why=_part_of(error)) from None


def _part_of(error: Exception) -> str:
    return "a part that its format needs is missing" if isinstance(error, KeyError) else ""


def _is_group(node: object) -> bool:
    return hasattr(node, "keys")


def _words(node: Any) -> tuple[str, ...]:  # noqa: ANN401 - h5py has no types
    """Read text, whether stored as strings, bytes or categories."""
    if _is_group(node):
        names = np.asarray(_words(node["categories"]), dtype=object)
        codes = np.asarray(node["codes"][:])
        return tuple(names[code] if code >= 0 else "" for code in codes.tolist())
    values = node[:]
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


# -- 10x -------------------------------------------------------------------------------------------


def _ten_x(path: Path, group: Any, where: str) -> CellFile:  # noqa: ANN401 - h5py has no types
    from cordon_client.qc.single_cell.blocks import CellFile

    if "features" in group:
        genes, symbols = _words(group["features"]["id"]), _words(group["features"]["name"])
    else:
        genes, symbols = _words(group["genes"]), _words(group["gene_names"])
    cells = len(group["barcodes"])
    if len(group["indptr"]) != cells + 1:
        raise DataError("DA065", why="it has more or fewer barcodes than cells")
    return CellFile(
        cells, genes, symbols, f"10x: {where}", lambda: _sparse_rows(path, where, len(genes))
    )


# -- h5ad ------------------------------------------------------------------------------------------


def _h5ad(path: Path, file: Any) -> CellFile:  # noqa: ANN401 - h5py has no types
    from cordon_client.qc.single_cell.blocks import CellFile

    where = _counts_of(file)
    frame = file["raw/var"] if where == "raw/X" else file["var"]
    genes = _index(frame)
    symbols = next((_column(frame, c) for c in _SYMBOL_COLUMNS if _has(frame, c)), genes)
    cells = len(_index(file["obs"]))
    groups = next((_column(file["obs"], c) for c in _SAMPLE_COLUMNS if _has(file["obs"], c)), None)
    node = file[where]
    if not _is_group(node):
        return CellFile(cells, genes, symbols, where, lambda: _dense_rows(path, where), groups)
    if _format(node) == "csc":
        return CellFile(
            cells, genes, symbols, where, lambda: _sparse_columns(path, where, cells), groups
        )
    return CellFile(
        cells, genes, symbols, where, lambda: _sparse_rows(path, where, len(genes)), groups
    )


def _counts_of(file: Any) -> str:  # noqa: ANN401 - h5py has no types
    """Return where the raw counts are: a layer named counts, X if it holds counts, raw, else X."""
    for layer in ("counts", "raw_counts"):
        if "layers" in file and layer in file["layers"]:
            return f"layers/{layer}"
    node = file["X"]
    head = np.asarray((node["data"] if _is_group(node) else node)[:1000])
    if (head == np.rint(head)).all() and (head >= 0).all():
        return "X"
    return "raw/X" if "raw" in file and "X" in file["raw"] else "X"


def _format(node: Any) -> str:  # noqa: ANN401 - h5py has no types
    """Return csr or csc, from the attribute of any version of the format."""
    for name in ("encoding-type", "h5sparse_format"):
        if name in node.attrs:
            value = node.attrs[name]
            return str(value.decode() if isinstance(value, bytes) else value).partition("_")[0]
    raise DataError("DA065", why="its matrix names no format")


def _index(frame: Any) -> tuple[str, ...]:  # noqa: ANN401 - h5py has no types
    if not _is_group(frame):  # before version 0.7: one compound table
        return _words(frame.fields("index" if "index" in frame.dtype.names else "_index"))
    name = frame.attrs["_index"]
    return _words(frame[name.decode() if isinstance(name, bytes) else name])


def _has(frame: Any, column: str) -> bool:  # noqa: ANN401 - h5py has no types
    return column in (frame if _is_group(frame) else frame.dtype.names)


def _column(frame: Any, column: str) -> tuple[str, ...]:  # noqa: ANN401 - h5py has no types
    if not _is_group(frame):
        return _words(frame.fields(column))
    node = frame[column]
    if not _is_group(node) and "categories" in node.attrs:  # before 0.8: a reference to the names
        names = np.asarray(_words(node.file[node.attrs["categories"]]), dtype=object)
        return tuple(str(name) for name in names[np.asarray(node[:], dtype=np.int64)])
    return _words(node)


# -- blocks ----------------------------------------------------------------------------------------


def _sparse_rows(path: Path, where: str, genes: int) -> Iterator[CellBlock]:
    with _hdf5(path) as file:
        group = file[where]
        indptr = np.asarray(group["indptr"][:], dtype=np.int64)
        _check_indptr(indptr, len(group["data"]))
        for start, end in cuts(indptr):
            low, high = int(indptr[start]), int(indptr[end])
            indices = group["indices"][low:high]
            if len(indices) and (indices.min() < 0 or indices.max() >= genes):
                raise DataError("DA065", why="it points at genes that it does not have")
            offsets = (indptr[start : end + 1] - low).astype(np.int32)
            yield csr_block(
                start, group["data"][low:high], indices.astype(np.int32, copy=False), offsets, genes
            )


def _check_indptr(indptr: np.ndarray[Any, np.dtype[np.int64]], stored: int) -> None:
    if len(indptr) < 1 or indptr[0] != 0 or indptr[-1] != stored or (np.diff(indptr) < 0).any():
        raise DataError("DA065", why="its matrix was cut off")


def _sparse_columns(path: Path, where: str, cells: int) -> Iterator[CellBlock]:
    """Turn a matrix that lies gene by gene round; the one layout that is read whole."""
    from scipy.sparse import csc_matrix

    with _hdf5(path) as file:
        group = file[where]
        indptr = group["indptr"][:]
        _check_indptr(np.asarray(indptr, dtype=np.int64), len(group["data"]))
        whole = csc_matrix(
            (group["data"][:], group["indices"][:], indptr), shape=(cells, len(indptr) - 1)
        ).tocsr()
    for start, end in cuts(whole.indptr.astype(np.int64)):
        part = whole[start:end]
        yield csr_block(start, part.data, part.indices, part.indptr, whole.shape[1])


def _dense_rows(path: Path, where: str) -> Iterator[CellBlock]:
    from scipy.sparse import csr_matrix

    with _hdf5(path) as file:
        node = file[where]
        for start in range(0, node.shape[0], _DENSE_ROWS):
            part = csr_matrix(node[start : start + _DENSE_ROWS])
            yield csr_block(start, part.data, part.indices, part.indptr, node.shape[1])


def dense_matrix(path: Path) -> FeatureMatrix:
    """Read an h5ad of bulk samples into memory, features × samples.

    Raises:
        DataError: as `open_cells`, and DA072 when it is too large for that.
    """
    opened = open_cells(path)
    if opened.cells * len(opened.genes) * 8 > MAX_BYTES:
        raise DataError("DA072", why=f"more than {MAX_BYTES // 2**20} MiB")
    values = np.zeros((opened.cells, len(opened.genes)))
    for block in opened.blocks():
        values[block.first : block.first + block.matrix.shape[0]] = block.matrix.toarray()
    with _hdf5(path) as file:
        samples = _index(file["obs"])
    return FeatureMatrix(opened.genes, samples, values.T, {"symbol": opened.symbols})

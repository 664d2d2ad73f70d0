"""What all single-cell files are read as: names, and blocks of whole cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Array = npt.NDArray[Any]
    Groups = npt.NDArray[np.int64]

BLOCK_VALUES = 2_000_000
"""Stored values per block: 16 MiB at most, however large the file is."""


@dataclass(frozen=True)
class CellBlock:
    """Whole cells: the rows of a CSR matrix [cells, genes] without explicit zeros.

    first: the place of the first row among all cells of the file.
    """

    first: int
    matrix: csr_matrix


@dataclass(frozen=True)
class CellFile:
    """An opened file of cells × genes.

    genes, symbols: one name each per gene; the same where the file gives only one. groups: the
    sample of every cell where the file names samples, else None. where: which part of the file
    holds the counts. blocks: reads the file from its start, in blocks of whole cells.
    """

    cells: int
    genes: tuple[str, ...]
    symbols: tuple[str, ...]
    where: str
    blocks: Callable[[], Iterator[CellBlock]]
    groups: tuple[str, ...] | None = None


def csr_block(first: int, data: Array, indices: Array, indptr: Array, genes: int) -> CellBlock:
    """Make a block; explicit zeros are taken out, because they are no detected genes."""
    from scipy.sparse import csr_matrix

    matrix: csr_matrix = csr_matrix(
        (data, indices, indptr), shape=(len(indptr) - 1, genes), copy=False
    )
    if np.count_nonzero(data) < len(data):
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    return CellBlock(first, matrix)


def cuts(indptr: Groups) -> Iterator[tuple[int, int]]:
    """Cut rows into ranges (first, last + 1) of about BLOCK_VALUES stored values each."""
    start = 0
    rows = len(indptr) - 1
    while start < rows:
        end = int(np.searchsorted(indptr, indptr[start] + BLOCK_VALUES, side="right")) - 1
        end = min(max(end, start + 1), rows)
        yield start, end
        start = end

"""Measure cells in one pass over blocks: integers per cell and per gene.

Per-gene sums merge by addition over any split of the cells; per-cell values do not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt
    from scipy.sparse import csc_matrix, csr_matrix

    from cordon_client.qc.single_cell.blocks import CellBlock

    Integers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

TOP = 20
_SPREAD = 3
"""Candidates per cell for its TOP largest counts, times TOP; more only costs time."""
_WIDE = 1024
_EXACT_FLOAT32 = 2**24


@dataclass(frozen=True)
class GeneTally:
    """Sums over cells; int64 [genes] each. wrong: values that no count can be."""

    cells: int
    seen_in: Integers
    total: Integers
    wrong: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.cells + other.cells,
            self.seen_in + other.seen_in,
            self.total + other.total,
            self.wrong + other.wrong,
        )

    @classmethod
    def empty(cls, genes: int) -> Self:
        """Return the identity of the merge."""
        nothing = np.zeros(genes, dtype=np.int64)
        return cls(0, nothing, nothing)


@dataclass(frozen=True)
class CellValues:
    """One integer per cell; int64 [cells]. top: sum of the TOP largest counts."""

    total: Integers
    genes: Integers
    mitochondrial: Integers
    top: Integers


def measure_block(matrix: csr_matrix, mitochondrial: Mask) -> tuple[CellValues, GeneTally]:
    """Measure whole cells; matrix CSR [cells, genes] without explicit zeros.

    Values that are no counts are tallied as wrong, and rounded to the next count in the sums.
    """
    data = matrix.data
    wrong = 0
    if data.dtype.kind == "f":
        wrong = int(np.count_nonzero(data != np.rint(data)))
    if len(data) and data.min() < 0:
        wrong += int(np.count_nonzero(data < 0))
    if wrong:
        matrix = matrix.copy()
        matrix.data = np.maximum(np.rint(np.nan_to_num(data)), 0)
    values = CellValues(
        total=_exact_sums(matrix, np.ones(matrix.shape[1], dtype=np.float32)),
        genes=np.diff(matrix.indptr).astype(np.int64),
        mitochondrial=_exact_sums(matrix, mitochondrial.astype(np.float32)),
        top=top_sums(matrix, TOP),
    )
    return values, _tally_genes(matrix, wrong)


def _exact_sums(matrix: csr_matrix | csc_matrix, weights: npt.NDArray[np.float32]) -> Integers:
    """Return the exact row sums of counts where weights are 1; int64 [rows].

    Half as much memory is read in float32, which adds counts exactly as long as no sum reaches
    2^24; partial sums only grow, so the result itself tells. Beyond that float64 does it again.
    """
    if not weights.any():
        return np.zeros(matrix.shape[0], dtype=np.int64)
    sums = matrix @ weights
    if sums.dtype == np.float32 and len(sums) and sums.max() >= _EXACT_FLOAT32:
        sums = matrix @ weights.astype(np.float64)
    return np.asarray(sums, dtype=np.int64)


def _tally_genes(matrix: csr_matrix, wrong: int) -> GeneTally:
    from scipy.sparse import csr_matrix as make

    ones = np.ones(matrix.shape[0], dtype=np.float32)
    marks = np.ones(matrix.nnz, dtype=np.float32)
    seen = make((marks, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
    return GeneTally(
        cells=matrix.shape[0],
        seen_in=_exact_sums(seen.T, ones),
        total=_exact_sums(matrix.T, ones),
        wrong=wrong,
    )


def top_sums(matrix: csr_matrix, how_many: int) -> Integers:
    """Return the sum of each row's `how_many` largest values; int64 [rows].

    Only values above a cut that leaves a few times `how_many` per row are looked at; rows in which
    that leaves too few, or very many, are done one by one. Exact for every input.
    """
    data, indptr = matrix.data, matrix.indptr
    rows = matrix.shape[0]
    if not len(data):
        return np.zeros(rows, dtype=np.int64)
    keep = min(1.0, _SPREAD * how_many * rows / len(data))
    cut = np.quantile(data[:: max(1, len(data) // 8192)], 1.0 - keep)
    chosen = np.flatnonzero(data >= cut)
    bounds = np.searchsorted(chosen, indptr)
    found, lengths = np.diff(bounds), np.diff(indptr)
    odd = (found < np.minimum(how_many, lengths)) | (found > _WIDE)
    width = max(int(found[~odd].max(initial=0)), how_many)
    row = np.repeat(np.arange(rows), found)
    even = ~odd[row]
    place = np.arange(len(chosen)) - np.repeat(bounds[:-1], found)
    table = np.zeros((rows, width), dtype=data.dtype)
    table[row[even], place[even]] = data[chosen[even]]
    result = np.partition(table, width - how_many, axis=1)[:, width - how_many :].sum(axis=1)
    sums = np.asarray(result, dtype=np.int64)
    for index in np.flatnonzero(odd).tolist():
        values = data[indptr[index] : indptr[index + 1]]
        top = values if len(values) <= how_many else np.partition(values, -how_many)[-how_many:]
        sums[index] = int(top.sum())
    return sums


def measure_cells(
    blocks: Iterable[CellBlock], mitochondrial: Mask, tell: Callable[[int], None] | None = None
) -> tuple[CellValues, GeneTally]:
    """Measure all blocks of a file. tell: told the number of cells that are done."""
    parts: list[CellValues] = []
    tally = GeneTally.empty(len(mitochondrial))
    for block in blocks:
        values, more = measure_block(block.matrix, mitochondrial)
        parts.append(values)
        tally += more
        if tell is not None:
            tell(tally.cells)
    names = ("total", "genes", "mitochondrial", "top")
    empty = np.zeros(0, dtype=np.int64)
    joined = {name: np.concatenate([empty, *(getattr(p, name) for p in parts)]) for name in names}
    return CellValues(**joined), tally

"""Judge one sample of single cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.matrix.compare import robust_z
from cordon_client.qc.matrix.tally import feature_kinds
from cordon_client.qc.modality import SampleQc, StatColumn
from cordon_client.qc.single_cell.ambient import ambient_share
from cordon_client.qc.single_cell.blocks import CellBlock
from cordon_client.qc.single_cell.doublets import MOST_CELLS, expected_rate, find_doublets
from cordon_client.qc.single_cell.measure import measure_cells
from cordon_client.qc.single_cell.noise import dropout
from cordon_client.qc.single_cell.plots import sample_plots
from cordon_client.qc.single_cell.read import open_cells
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_client.qc.single_cell.blocks import CellFile
    from cordon_client.qc.single_cell.doublets import Doublets
    from cordon_client.qc.single_cell.measure import CellValues, GeneTally
    from cordon_client.qc.single_cell.noise import Dropout
    from cordon_common.qc.profile import Profile

    Mask = npt.NDArray[np.bool_]
    Values = npt.NDArray[np.float64]

COLUMNS = (
    StatColumn("cells", "Cells", "cells", "cells of the sample", 0),
    StatColumn("depth", "Molecules", "per cell", "median number of molecules per cell", 0),
    StatColumn("genes", "Genes", "per cell", "median number of genes seen per cell", 0),
    StatColumn("mt", "MT", "%", "median share of mitochondrial molecules"),
    StatColumn("outliers", "Outliers", "%", "cells beyond 5 MAD of the sample's own medians"),
    StatColumn("doublets", "Doublets", "%", "estimated share, from simulated pairs of cells"),
    StatColumn("ambient", "Free RNA", "%", "share of molecules that no cell of its own made"),
    StatColumn("zeros", "Excess zeros", "%", "genes with more zeros than a count model expects"),
)
_OUTLIER_MAD, _MT_MAD, _MT_SHARE = 5.0, 3.0, 0.08
_HELD_VALUES = 4_000_000
"""Stored values that are kept for the doublet simulation; the rest of the cells is only counted."""


@dataclass(frozen=True)
class Measured:
    """What one pass over a sample's cells found; mitochondrial genes None = not assessable."""

    values: CellValues
    tally: GeneTally
    mitochondrial: bool
    doublets: Doublets | None
    zeros: Dropout | None
    ambient: float | None

    @property
    def usable(self) -> bool:
        """Whether the values are counts, so that sums of them mean something."""
        return self.tally.wrong == 0 and self.tally.cells > 0


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one sample in one pass over its file, in memory that does not grow with it.

    Raises:
        DataError: DA015, DA060, DA064, DA065 or DA073 when its files cannot be used.
    """
    opened = open_cells(sample.files[0])
    wanted = _wanted(opened, sample.inside)
    size = sample.files[0].stat().st_size
    kinds = feature_kinds(opened.genes, opened.symbols)
    kept = _Kept()

    def chosen() -> Iterator[CellBlock]:
        for block in opened.blocks():
            part = block if wanted is None else _only(block, wanted)
            kept.add(part.matrix)
            yield part

    total = max(opened.cells, 1)
    values, tally = measure_cells(
        chosen(), kinds.mitochondrial, lambda done: progress(size * done // total, size)
    )
    counts = kept.matrix()
    clean = tally.wrong == 0 and counts is not None
    measured = Measured(
        values=values,
        tally=tally,
        mitochondrial=bool(kinds.mitochondrial.any()),
        doublets=find_doublets(counts, tally.cells) if clean and counts is not None else None,
        zeros=dropout(counts) if clean and counts is not None else None,
        ambient=ambient_share(sample.files[1:], counts) if clean and counts is not None else None,
    )
    return SampleQc(
        sample=sample.sample,
        stats=_stats(measured),
        results=tuple(result_of(finding, profile) for finding in _findings(measured)),
        plots=tuple(sample_plots(measured)),
        measures={"genes": tally},
    )


def check_file(
    samples: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Check the samples that one file holds, one after another."""
    return tuple(check_sample(sample, profile, progress) for sample in samples)


def _wanted(opened: CellFile, inside: str | None) -> Mask | None:
    if inside is None:
        return None
    if opened.groups is None or inside not in set(opened.groups):
        raise DataError("DA073")
    return np.fromiter((group == inside for group in opened.groups), np.bool_, opened.cells)


def _only(block: CellBlock, wanted: Mask) -> CellBlock:
    rows = wanted[block.first : block.first + block.matrix.shape[0]]
    return CellBlock(block.first, block.matrix[rows])


class _Kept:
    """Cells that are kept for the simulation: all of them up to a bound, then every n-th."""

    def __init__(self) -> None:
        self._parts: list[csr_matrix] = []
        self._every = 1

    def add(self, matrix: csr_matrix) -> None:
        """Keep every n-th cell of a block, and thin out what is kept once it is too much."""
        self._parts.append(matrix[:: self._every])
        while sum(part.nnz for part in self._parts) > _HELD_VALUES and self._rows() > MOST_CELLS:
            self._parts = [part[::2] for part in self._parts]
            self._every *= 2

    def _rows(self) -> int:
        return sum(part.shape[0] for part in self._parts)

    def matrix(self) -> csr_matrix | None:
        """Return the kept cells as one CSR matrix, and forget them; None where there are none."""
        from scipy.sparse import vstack

        whole = vstack(self._parts, format="csr") if self._rows() else None
        self._parts = []
        return whole


def cell_outliers(values: CellValues) -> Mask:
    """Flag cells beyond 5 MAD in log counts, log genes or the top genes' share; bool [cells]."""
    top = values.top / np.maximum(values.total, 1)
    measures = (np.log1p(values.total), np.log1p(values.genes), top)
    far = [np.abs(robust_z(np.asarray(measure))) > _OUTLIER_MAD for measure in measures]
    return np.asarray(np.logical_or.reduce(far))


def dying_cells(values: CellValues) -> Mask:
    """Flag cells beyond 3 MAD above the median, or 8 %, of mitochondrial molecules; bool [cells]."""
    share = values.mitochondrial / np.maximum(values.total, 1)
    return np.asarray((robust_z(share) > _MT_MAD) & (share > 0.01) | (share > _MT_SHARE))


def _median(values: Values | npt.NDArray[np.int64]) -> float | None:
    return float(np.median(values)) if len(values) else None


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _stats(m: Measured) -> dict[str, float | int | None]:
    values = m.values
    share = values.mitochondrial / np.maximum(values.total, 1)
    return {
        "cells": m.tally.cells,
        "depth": _median(values.total) if m.usable else None,
        "genes": _median(values.genes) if m.usable else None,
        "mt": _percent(_median(share)) if m.usable and m.mitochondrial else None,
        "outliers": _percent(float(cell_outliers(values).mean())) if m.usable else None,
        "doublets": None if m.doublets is None else _percent(m.doublets.rate),
        "ambient": _percent(m.ambient),
        "zeros": None if m.zeros is None else _percent(m.zeros.share),
    }


def _findings(m: Measured) -> Iterator[Finding]:
    stored = int(m.tally.seen_in.sum())
    yield Finding(
        "cells.counts", m.tally.wrong / stored if stored else None, m.tally.wrong,
        f"{m.tally.wrong:,} of {stored:,} stored values.",
    )  # fmt: skip
    yield Finding("cells.number", m.tally.cells, detail=f"{m.tally.cells} cells.")
    yield Finding("cells.depth", _median(m.values.total) if m.usable else None)
    yield Finding("cells.genes", _median(m.values.genes) if m.usable else None)
    dying = dying_cells(m.values) if m.usable and m.mitochondrial else None
    yield _share_of_cells("cells.mitochondrial", dying)
    yield _share_of_cells("cells.outliers", cell_outliers(m.values) if m.usable else None)
    yield _doublet_finding(m)
    yield Finding("cells.ambient", m.ambient)
    yield Finding("cells.dropout", None if m.zeros is None else m.zeros.share)


def _share_of_cells(check: str, flagged: Mask | None) -> Finding:
    if flagged is None or not len(flagged):
        return Finding(check, None)
    found = int(flagged.sum())
    return Finding(check, float(flagged.mean()), found, f"{found} of {len(flagged)} cells.")


def _doublet_finding(m: Measured) -> Finding:
    if m.doublets is None:
        return Finding("cells.doublets", None)
    expected = expected_rate(m.tally.cells)
    detail = f"Estimated {m.doublets.rate:.0%}, expected {expected:.1%} for {m.tally.cells} cells."
    return Finding("cells.doublets", max(m.doublets.rate - expected, 0.0), detail=detail)

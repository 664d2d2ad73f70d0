"""Free RNA in a sample's droplets, from the unfiltered matrix beside the cells'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.single_cell.noise import ambient_profile, contamination
from cordon_client.qc.single_cell.read import open_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Values = npt.NDArray[np.float64]

_GROUPS = 8
_GENES = 500
_ROUNDS = 20


def ambient_share(raw: Sequence[Path], counts: csr_matrix) -> float | None:
    """Estimate the share of molecules from free RNA; None without the unfiltered matrix.

    raw: the sample's second file, if it has one. counts: CSR [cells, genes] of the cells.
    """
    if not raw:
        return None
    opened = open_cells(raw[0])
    if len(opened.genes) != counts.shape[1]:
        return None
    profile = ambient_profile(opened.blocks(), len(opened.genes))
    if profile is None:
        return None
    groups = alike(counts)
    sums = [np.asarray(counts[groups == each].sum(axis=0)).ravel() for each in np.unique(groups)]
    return contamination(np.vstack(sums), profile)


def alike(counts: csr_matrix) -> npt.NDArray[np.int64]:
    """Group cells of about the same expression, by k-means on log counts of the most seen genes.

    Coarse on purpose: a group only has to leave some well-expressed genes unexpressed.
    """
    genes = np.argsort(-np.asarray(counts.sum(axis=0)).ravel(), kind="stable")[:_GENES]
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    points = np.log1p(counts[:, np.sort(genes)].toarray() * (1e4 / totals)[:, None])
    draw = np.random.default_rng(0)
    centres = points[draw.choice(len(points), min(_GROUPS, len(points)), replace=False)]
    nearest = np.zeros(len(points), dtype=np.int64)
    for _ in range(_ROUNDS):
        distance = (centres**2).sum(axis=1)[None, :] - 2 * points @ centres.T
        nearest = np.argmin(distance, axis=1)
        moved = [
            points[nearest == i].mean(axis=0) if (nearest == i).any() else centre
            for i, centre in enumerate(centres)
        ]
        centres = np.vstack(moved)
    return nearest

"""Noise of single-cell counts: genes with more zeros than a count model expects, ambient RNA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from cordon_client.qc.single_cell.blocks import CellBlock

    Values = npt.NDArray[np.float64]

_MIN_MEAN = 0.05
_MIN_CELLS, _MOST_CELLS = 50, 5000
_EXCESS = 0.05
_SIGMAS = 4.0
AMBIENT_MOST = 100
"""A droplet with at most so many molecules held no cell."""
_AMBIENT_MIN_TOTAL = 10_000
_MIN_EXPECTED = 20.0
_LOW_QUANTILE = 0.05


@dataclass(frozen=True)
class Dropout:
    """Zeros per gene against the negative binomial with the gene's own mean and variance.

    observed, expected: shares of cells, float64 [assessable genes]. excess: bool [same].
    """

    means: Values
    observed: Values
    expected: Values
    excess: npt.NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of assessable genes with more zeros than expected."""
        return float(self.excess.mean())


def dropout(counts: csr_matrix) -> Dropout | None:
    """Compare zeros with P0 = (1 + μφ)^(-1/φ), φ = (variance - μ) / μ², Poisson where φ ≤ 0.

    counts: CSR [cells, genes]; an even sample of at most 5,000 of them is looked at. A gene has
    excess zeros where they exceed the expectation by 0.05 and by 4 binomial standard errors. None
    below 50 cells, or where no gene has a mean of 0.05.
    """
    part = counts[:: max(1, -(-counts.shape[0] // _MOST_CELLS))].astype(np.float64)
    n = part.shape[0]
    if n < _MIN_CELLS:
        return None
    mean = np.asarray(part.sum(axis=0), dtype=np.float64).ravel() / n
    seen = part.getnnz(axis=0)
    part.data **= 2
    squares = np.asarray(part.sum(axis=0), dtype=np.float64).ravel()
    variance = (squares - n * mean**2) / (n - 1)
    usable = mean >= _MIN_MEAN
    if not usable.any():
        return None
    mean, variance = mean[usable], variance[usable]
    phi = (variance - mean) / mean**2
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        negative_binomial = np.exp(-np.log1p(mean * phi) / phi)
    expected = np.where(phi > 1e-9, negative_binomial, np.exp(-mean))
    observed = 1.0 - seen[usable] / n
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-12) / n)
    excess = (observed - expected > _EXCESS) & (observed - expected > _SIGMAS * error)
    return Dropout(mean, observed, expected, excess)


def ambient_profile(blocks: Iterable[CellBlock], genes: int) -> Values | None:
    """Return the share of every gene in droplets without a cell; float64 [genes].

    None where they hold fewer than 10,000 molecules in all.
    """
    total = np.zeros(genes)
    for block in blocks:
        sums = np.asarray(block.matrix.sum(axis=1)).ravel()
        empty = block.matrix[(sums > 0) & (sums <= AMBIENT_MOST)]
        total += np.asarray(empty.sum(axis=0)).ravel()
    whole = float(total.sum())
    return total / whole if whole >= _AMBIENT_MIN_TOTAL else None


def contamination(group_counts: Values, profile: Values) -> float | None:
    """Estimate the share of ambient molecules in cells.

    group_counts: molecules per group of alike cells, float64 [groups, genes]. In a group that does
    not express a gene, all its molecules of it are ambient: their number over the expected one is
    the share. The smallest ratios over well-expected genes therefore bound it from above (the idea
    of Young, Behjati 2020, GigaScience 9:giaa151). Returns the median over groups.
    """
    found = []
    for counts in group_counts:
        total = float(counts.sum())
        expected = profile * total
        usable = expected >= _MIN_EXPECTED
        if usable.sum() >= 10:
            ratios = counts[usable] / expected[usable]
            found.append(min(float(np.quantile(ratios, _LOW_QUANTILE)), 1.0))
    return float(np.median(found)) if found else None

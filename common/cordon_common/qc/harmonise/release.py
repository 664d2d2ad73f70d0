"""ComBat's two rounds as bounded vectors, so that noise can make them differentially private.

One record moves either vector by at most the declared L2 sensitivity. Values are scaled per feature
to public ranges first; ComBat commutes with such a scaling, because it standardises every feature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.qc.harmonise.combat import BatchSums

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

FIRST_SENSITIVITY = math.sqrt(6.0)
"""‖uu'‖² + ‖uy'‖² ≤ 4 + 2 for u = (1, covariates) with ‖u‖² ≤ 2 and ‖y‖ ≤ 1."""


@dataclass(frozen=True)
class PublicRange:
    """Plausible ranges of the features, float64 [p]; from the study, never from the data."""

    low: Values
    high: Values

    def scale(self, values: Values) -> Values:
        """Return values in -1..1 over √p, clipped, so that every record has norm ≤ 1; no NaN."""
        half = (self.high - self.low) / 2
        unit = (values - (self.low + self.high) / 2) / half
        bounded = np.clip(np.nan_to_num(unit), -1.0, 1.0)
        return np.asarray(bounded / math.sqrt(values.shape[1]), dtype=np.float64)

    def unscale(self, scaled: Values) -> Values:
        """Return scaled values in the features' own units."""
        half = (self.high - self.low) / 2
        return np.asarray(scaled * math.sqrt(scaled.shape[1]) * half + (self.low + self.high) / 2)


def bounded_covariates(covariates: Values) -> Values:
    """Clip covariates [n, c] to 0..1 and divide by √c, so that their norm is ≤ 1."""
    count = max(covariates.shape[1], 1)
    return np.asarray(np.clip(np.nan_to_num(covariates), 0.0, 1.0) / math.sqrt(count))


def first_round(scaled: Values, covariates: Values) -> Values:
    """Return X'X (upper triangle, off-diagonals times √2) and X'Y as one vector.

    scaled: of `PublicRange.scale`. covariates: of `bounded_covariates`. Guarantee: one record more
    or less moves it by at most FIRST_SENSITIVITY.
    """
    sums = BatchSums.of(scaled, covariates)
    rows, columns = np.triu_indices(len(sums.gram))
    weights = np.where(rows == columns, 1.0, math.sqrt(2.0))
    return np.concatenate([sums.gram[rows, columns] * weights, sums.cross.ravel()])


def read_first_round(vector: Values, covariates: int, features: int) -> BatchSums:
    """Read the sums back from a released vector, noised or not."""
    size = 1 + covariates
    rows, columns = np.triu_indices(size)
    weights = np.where(rows == columns, 1.0, math.sqrt(2.0))
    gram = np.zeros((size, size))
    gram[rows, columns] = vector[: len(rows)] / weights
    gram[columns, rows] = gram[rows, columns]
    gram[0, 0] = max(gram[0, 0], 1.0)  # noise must not make an empty site of one that answered
    return BatchSums(gram, vector[len(rows) :].reshape(size, features))


def second_round(residuals: Values, bound: float) -> Values:
    """Return Σ r² per feature [p] of residuals [n, p], each record clipped to the norm `bound`.

    Guarantee: one record more or less moves it by at most bound² in L2.
    """
    norms = np.linalg.norm(residuals, axis=1, keepdims=True)
    clipped = residuals * np.minimum(1.0, bound / np.maximum(norms, 1e-300))
    return np.asarray((clipped**2).sum(axis=0), dtype=np.float64)

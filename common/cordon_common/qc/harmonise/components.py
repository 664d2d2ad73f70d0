"""Principal components of all sites from n, Σx and Σxx' on a small fixed panel of features.

The sums describe the records themselves when there are few of them: with n ≤ p they determine the
rows up to a rotation. So they leave with noise, or where n ≥ 10 p and the hospital allows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Self

import numpy as np

from cordon_common.errors import PolicyRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

RECORDS_PER_FEATURE = 10


@dataclass(frozen=True)
class PanelSums:
    """What a site sends: n, Σx [p], Σxx' [p, p] of records of norm ≤ 1."""

    n: float
    sums: Values
    gram: Values

    @classmethod
    def of(cls, values: Values, *, low: Values, high: Values) -> Self:
        """Measure records [n, p]: scaled to the public ranges low..high [p], then clipped to norm 1.

        A record with a missing value has no part in it.
        """
        half = (high - low) / 2
        scaled = (values - (high + low) / 2) / half / math.sqrt(values.shape[1])
        whole = scaled[~np.isnan(scaled).any(axis=1)]
        norms = np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1.0)
        clipped = whole / norms
        return cls(float(len(clipped)), clipped.sum(axis=0), clipped.T @ clipped)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.n + other.n, self.sums + other.sums, self.gram + other.gram)

    def vector(self) -> Values:
        """Lay the sums out for a release; float64 [1 + p + p(p + 1)/2].

        Off-diagonal cells of the symmetric gram are sent once, times √2, so that the vector's L2
        distance is the gram's Frobenius distance: one record moves it by at most `SENSITIVITY`.
        """
        rows, columns = np.triu_indices(len(self.sums))
        weights = np.where(rows == columns, 1.0, math.sqrt(2.0))
        return np.concatenate([[self.n], self.sums, self.gram[rows, columns] * weights])

    @classmethod
    def from_vector(cls, vector: Values, features: int) -> Self:
        """Read the sums back, noised or not."""
        rows, columns = np.triu_indices(features)
        weights = np.where(rows == columns, 1.0, math.sqrt(2.0))
        gram = np.zeros((features, features))
        gram[rows, columns] = vector[1 + features :] / weights
        gram[columns, rows] = gram[rows, columns]
        return cls(float(vector[0]), vector[1 : 1 + features], gram)


SENSITIVITY = math.sqrt(3.0)
"""L2 distance that one record of norm ≤ 1 moves `PanelSums.vector` by: √(1² + 1² + 1²)."""


@dataclass(frozen=True)
class Components:
    """Directions [k, p] of unit length, their variances [k], and the mean [p], in the panel's scale."""

    directions: Values
    variances: Values
    mean: Values


def require_enough(n: float, features: int, *, noised: bool) -> None:
    """Do nothing when sums of so many records may describe so many features.

    Raises:
        PolicyRefused: PO141 for exact sums of fewer than ten records per feature.
    """
    if not noised and n < RECORDS_PER_FEATURE * features:
        raise PolicyRefused(
            "PO141",
            why=f"{n:.0f} records for {features} features, {RECORDS_PER_FEATURE} each asked",
        )


def fit_components(sites: Sequence[PanelSums], how_many: int, *, noised: bool) -> Components:
    """Return the principal components of all sites' records together.

    Exact sums: the same as on the pooled records. Noised ones: the covariance is projected on the
    positive semidefinite matrices first, so that noise makes no negative variances. Signs are
    fixed: the largest loading of each direction is positive.

    Raises:
        PolicyRefused: PO141 as `require_enough`, for each site alone.
    """
    for site in sites:
        require_enough(site.n, len(site.sums), noised=noised)
    total = reduce(add, sites)
    n = max(total.n, 2.0)
    mean = total.sums / n
    covariance = (total.gram - n * np.outer(mean, mean)) / (n - 1)
    variances, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    order = np.argsort(-variances)[:how_many]
    directions = vectors[:, order].T
    largest = directions[np.arange(len(order)), np.abs(directions).argmax(axis=1)]
    signs = np.where(largest < 0, -1.0, 1.0)
    return Components(directions * signs[:, None], np.maximum(variances[order], 0.0), mean)

"""ComBat across sites from sums: Johnson, Li, Rabinovic 2007 (Biostatistics 8:118), distributed.

Every site is one batch. Round 1: each sends the sums of a regression on its own intercept and the
shared covariates. Round 2: each sends its residual squares. The empirical Bayes step needs one
batch only and stays at the site (Chen et al. 2022, NeuroImage 248:118822). Variances divide by n,
as the common implementations in Python do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cordon_common.errors import PolicyRefused
from cordon_common.qc.harmonise.confounding import require_separable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_CONVERGED = 1e-4
_MOST_ROUNDS = 10_000
_SMALLEST_VARIANCE = 1e-12
_CONDITION = 1e10


@dataclass(frozen=True)
class BatchSums:
    """Round 1 of one site: X'X [1 + c, 1 + c] and X'Y [1 + c, p], X = (1, covariates)."""

    gram: Values
    cross: Values

    @classmethod
    def of(cls, values: Values, covariates: Values) -> Self:
        """Measure records [n, p] and their covariates [n, c], c = 0 for none."""
        design = np.column_stack([np.ones(len(values)), covariates])
        return cls(design.T @ design, design.T @ values)

    @property
    def n(self) -> float:
        """Number of records, as sent."""
        return float(self.gram[0, 0])


@dataclass(frozen=True)
class Location:
    """What round 1 gives all sites: float64.

    batches: coefficient of every site, [sites, p]. covariates: [c, p]. mean: of all, [p]. n: of all.
    """

    batches: Values
    covariates: Values
    mean: Values
    n: float

    def residuals(self, site: int, values: Values, covariates: Values) -> Values:
        """Return y - ŷ of one site's records, [n, p]; it stays there."""
        fitted = self.batches[site] + covariates @ self.covariates
        return np.asarray(values - fitted, dtype=np.float64)

    def residual_squares(self, site: int, values: Values, covariates: Values) -> Values:
        """Round 2 of one site: Σ(y - ŷ)² per feature, [p]."""
        return np.asarray((self.residuals(site, values, covariates) ** 2).sum(axis=0))


@dataclass(frozen=True)
class Harmoniser:
    """What round 2 gives all sites: the location and the pooled variance [p]."""

    location: Location
    variance: Values

    def apply(self, values: Values, covariates: Values) -> Values:
        """Remove one site's batch effect from its own records [n, p]; nothing is sent.

        Features without variance stay as they are.
        """
        standing = self.location.mean + covariates @ self.location.covariates
        scale = np.sqrt(self.variance)
        alive = self.variance > _SMALLEST_VARIANCE
        adjusted = values.astype(np.float64, copy=True)
        z = (values - standing)[:, alive] / scale[alive]
        shift, spread = shrink(z)
        adjusted[:, alive] = (z - shift) / np.sqrt(spread) * scale[alive] + standing[:, alive]
        return adjusted


def fit_location(sites: Sequence[BatchSums], outcomes: npt.NDArray[np.int64]) -> Location:
    """Combine round 1: least squares on site intercepts and covariates, from sums alone.

    outcomes: counts [sites, classes], to see that site and outcome are not one.

    Raises:
        PolicyRefused: PO140 when site and outcome, or site and covariates, cannot be told apart.
    """
    require_separable(outcomes)
    count, extra = len(sites), len(sites[0].gram) - 1
    size, features = count + extra, sites[0].cross.shape[1]
    gram, cross = np.zeros((size, size)), np.zeros((size, features))
    for place, site in enumerate(sites):
        gram[place, place] = site.gram[0, 0]
        gram[place, count:] = gram[count:, place] = site.gram[0, 1:]
        gram[count:, count:] += site.gram[1:, 1:]
        cross[place] = site.cross[0]
        cross[count:] += site.cross[1:]
    if not np.isfinite(gram).all() or np.linalg.cond(gram) > _CONDITION:
        raise PolicyRefused("PO140", why="a covariate is the same for all records of each site")
    solved = np.asarray(np.linalg.solve(gram, cross), dtype=np.float64)
    n = float(sum(site.n for site in sites))
    weights = np.array([site.n for site in sites]) / n
    return Location(solved[:count], solved[count:], weights @ solved[:count], n)


def fit_harmoniser(location: Location, residuals: Sequence[Values]) -> Harmoniser:
    """Combine round 2; noise may make a sum negative, which is read as no variance."""
    total = np.sum(np.vstack(residuals), axis=0)
    return Harmoniser(location, np.maximum(total / location.n, 0.0))


def shrink(z: Values) -> tuple[Values, Values]:
    """Estimate one batch's shift and spread per feature by parametric empirical Bayes.

    z: standardised records of the batch, [n, p]. Returns (gamma*, delta*), [p] each; equations 3.1
    and the iteration of Johnson et al. 2007, section 3.2. The stopping rule divides by the signed
    old value, as the reference implementation does, so that results agree to rounding.
    """
    n = len(z)
    shift, spread = z.mean(axis=0), z.var(axis=0)
    centre, between = float(shift.mean()), float(shift.var())
    middle, width = float(spread.mean()), float(spread.var())
    if between <= 0 or width <= 0:  # one feature, or all alike: nothing to learn from the others
        return shift, np.where(spread > _SMALLEST_VARIANCE, spread, 1.0)
    shape = (2 * width + middle**2) / width
    rate = (middle * width + middle**3) / width
    old_shift, old_spread = shift.copy(), spread.copy()
    for _ in range(_MOST_ROUNDS):
        weight = n * between
        new_shift = (weight * shift + old_spread * centre) / (weight + old_spread)
        squares = ((z - new_shift) ** 2).sum(axis=0)
        new_spread = (0.5 * squares + rate) / (0.5 * n + shape - 1)
        change = max(
            float(np.max(np.abs(new_shift - old_shift) / old_shift)),
            float(np.max(np.abs(new_spread - old_spread) / old_spread)),
        )
        old_shift, old_spread = new_shift, new_spread
        if change <= _CONVERGED:
            break
    return old_shift, old_spread

"""Sums of site releases, and what they mean; pure functions, exact integers until the last step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def sum_releases(releases: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Add the integer vectors of all sites, int64 [d].

    Guarantee: exact, and independent of the order of the sites.

    Raises:
        SystemFault: SY043 when there is none, a shape or type differs, or a partial sum overflows.
    """
    if not releases:
        raise SystemFault("SY043", why="no site answered")
    first = releases[0]
    total = np.zeros_like(first)
    magnitude = np.zeros(first.shape, dtype=np.float64)
    for release in releases:
        if release.shape != first.shape or release.dtype != np.int64 or release.ndim != 1:
            raise SystemFault("SY043", why="the vectors differ in shape or type")
        magnitude += np.abs(release.astype(np.float64))
        total += release
    if bool((magnitude > _LARGEST).any()):
        raise SystemFault("SY043", why="the sum leaves the range of 64-bit integers")
    return total


def dequantise(total: npt.NDArray[np.int64], *, grid_per_unit: float) -> npt.NDArray[np.float64]:
    """Return a summed release in the unit of its statistic, float64 [d]: total / γ."""
    value: npt.NDArray[np.float64] = total.astype(np.float64) / grid_per_unit
    return value


def mean_gradient(
    releases: Sequence[npt.NDArray[np.int64]], *, grid_per_unit: float, divisor: int
) -> npt.NDArray[np.float64]:
    """Return the noised gradient of a round, float64 [d]: Σ sites / γ / divisor.

    divisor: the study's public number; the real number of patients is never used.

    Raises:
        SystemFault: SY043 as `sum_releases`.
    """
    return dequantise(sum_releases(releases), grid_per_unit=grid_per_unit) / divisor


_LARGEST = float(2**63 - 2**20)
"""Below 2^63 by more than the rounding of a float64 sum of magnitudes."""

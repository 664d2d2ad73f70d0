"""Standardise features as if all sites were one, from mergeable moments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_common.qc.measurement import Moments

    Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """Centre and scale per feature; float64 [features]."""

    mean: Values
    deviation: Values

    def apply(self, values: Values) -> Values:
        """Return (x - mean) / deviation; values [records, features], NaN stays NaN."""
        return np.asarray((values - self.mean) / self.deviation, dtype=np.float64)


def fit_scaler(sites: Sequence[Sequence[Moments]]) -> Scaler:
    """Merge every site's moments, one per feature in one order, into a scaler.

    Guarantee: the same for any order and split of sites, because moments are integers about public
    centres. A feature without spread, or with fewer than two values, is scaled by 1; one without
    values is centred at its public centre. Noised moments may say less than nothing: negative
    counts and squares are read as none.
    """
    merged = [reduce(add, feature) for feature in zip(*sites, strict=True)]
    means, deviations = [], []
    for moments in merged:
        means.append(moments.centre if moments.n <= 0 else _inside(moments, moments.mean))
        scatter = moments.n * moments.squares_fixed - moments.sum_fixed**2
        spread = moments.standard_deviation if moments.n >= 2 and scatter > 0 else None
        deviations.append(spread or 1.0)
    return Scaler(np.array(means, dtype=np.float64), np.array(deviations, dtype=np.float64))


def _inside(moments: Moments, mean: float | None) -> float:
    """Keep a mean inside the public range: noise may push it out."""
    value = moments.centre if mean is None else mean
    low, high = moments.centre - moments.half_width, moments.centre + moments.half_width
    return min(max(value, low), high)

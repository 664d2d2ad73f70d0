"""What quality control measures: typed integers whose merge is addition.

Integers because a merge must not depend on the order of files, lanes or sites: sums of floating
point numbers do, and then neither a digest nor a signature over them would be stable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

MOMENT_SCALE = 2**16
"""Steps of the fixed-point grid from the public centre to the end of the public range."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Count:
    """How many, out of how many."""

    part: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.part <= self.total:
            raise ValueError("a count needs 0 <= part <= total")

    def __add__(self, other: Self) -> Count:
        return Count(self.part + other.part, self.total + other.total)

    @property
    def fraction(self) -> float | None:
        """Part of the total, or None when there was nothing to count."""
        return self.part / self.total if self.total else None


@dataclass(frozen=True)
class Histogram:
    """Counts on cells that `bins` names; two histograms merge only over the same public cells.

    counts: one integer per cell, in units of 1/`unit` (1 for plain records).
    """

    bins: str
    counts: tuple[int, ...]
    unit: int = 1

    def __post_init__(self) -> None:
        if self.unit < 1 or any(count < 0 for count in self.counts):
            raise ValueError("a histogram needs non-negative counts and a positive unit")

    def __add__(self, other: Self) -> Histogram:
        if (self.bins, len(self.counts), self.unit) != (other.bins, len(other.counts), other.unit):
            raise ValueError("histograms over different cells do not merge")
        merged = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(self.bins, merged, self.unit)

    @property
    def total(self) -> float:
        """Sum over all cells, in whole records or patients."""
        return sum(self.counts) / self.unit


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares of (value - centre) / half_width on a fixed-point grid.

    centre, half_width: public; values beyond centre ± half_width are left out by `of`, so that
    one value moves the sums by at most one public step count. `sum_fixed` is in 1/MOMENT_SCALE,
    `squares_fixed` in 1/MOMENT_SCALE².
    """

    centre: float
    half_width: float
    n: int = 0
    sum_fixed: int = 0
    squares_fixed: int = 0

    @classmethod
    def of(cls, values: npt.NDArray[np.float64], *, low: float, high: float) -> Moments:
        """Measure the values inside [low, high]; NaN and values outside are not counted."""
        centre, half_width = (low + high) / 2, (high - low) / 2
        inside = values[(values >= low) & (values <= high)]
        total, squares = 0, 0
        for start in range(0, len(inside), _CHUNK):
            scaled = (inside[start : start + _CHUNK] - centre) / half_width * MOMENT_SCALE
            steps = np.rint(scaled).astype(np.int64)
            total += int(steps.sum())
            squares += int((steps * steps).sum())
        return cls(centre, half_width, len(inside), total, squares)

    def __add__(self, other: Self) -> Moments:
        if (self.centre, self.half_width) != (other.centre, other.half_width):
            raise ValueError("moments about different public centres do not merge")
        return Moments(
            self.centre,
            self.half_width,
            self.n + other.n,
            self.sum_fixed + other.sum_fixed,
            self.squares_fixed + other.squares_fixed,
        )

    @property
    def mean(self) -> float | None:
        """Mean in the feature's unit, to within half a grid step; None without values."""
        if not self.n:
            return None
        return self.centre + self.half_width * self.sum_fixed / self.n / MOMENT_SCALE

    @property
    def standard_deviation(self) -> float | None:
        """Sample standard deviation (n - 1) in the feature's unit; None below two values."""
        if self.n < 2:
            return None
        # Exact integers until the last step: no cancellation for values far from the centre.
        scatter = self.n * self.squares_fixed - self.sum_fixed**2
        return self.half_width * math.sqrt(scatter / (self.n * (self.n - 1))) / MOMENT_SCALE


Measurement = Count | Histogram | Moments

"""What noised score histograms say: AUC and calibration, with intervals that include the noise.

Everything here is post-processing of released histograms. Layout: float64 or int64 [2 · bins],
counts of negatives by score bin, then of positives, on equal bins of [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

HISTOGRAM_ROWS = 2


def bin_of(scores: Vector, bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of each score in [0, 1], int64; bin i is [i, i + 1) / bins, the last closed."""
    return np.clip(np.floor(scores * bins), 0, bins - 1).astype(np.int64)


@dataclass(frozen=True)
class ScoreHistogram:
    """Noised counts of negatives and positives per score bin, float64 [bins] each.

    noise_std: standard deviation of the Gaussian noise in each cell, in patients (0: exact).
    """

    negatives: Vector
    positives: Vector
    noise_std: float

    def __add__(self, other: ScoreHistogram) -> ScoreHistogram:
        """Merge two sites: counts add, and so do the variances of independent noise."""
        return ScoreHistogram(
            self.negatives + other.negatives,
            self.positives + other.positives,
            float(np.hypot(self.noise_std, other.noise_std)),
        )


def from_release(
    released: npt.NDArray[np.int64], *, grid_per_unit: float, noise_std_grid: float
) -> ScoreHistogram:
    """Read a released vector int64 [2 · bins] as a histogram in patients."""
    counts = released.astype(np.float64) / grid_per_unit
    bins = counts.size // HISTOGRAM_ROWS
    return ScoreHistogram(counts[:bins], counts[bins:], noise_std_grid / grid_per_unit)


@dataclass(frozen=True)
class AucEstimate:
    """AUC with an interval; all three are None when the histogram cannot tell."""

    auc: float | None
    low: float | None
    high: float | None
    confidence: float
    positives: float
    negatives: float

    @property
    def estimable(self) -> bool:
        """Whether there is an estimate at all."""
        return self.auc is not None


def estimate_auc(histogram: ScoreHistogram, *, confidence: float = 0.95) -> AucEstimate:
    """Estimate the area under the ROC curve from a noised histogram.

    Method: U(A) = Σ p_i n_j (w_ij - A), with w = 1, 1/2, 0 for a higher, equal, lower bin, has
    mean 0 at the true A. The interval holds every A with U(A)² ≤ z² Var U(A), where the variance is
    that of the noise (both histograms are noisy) plus that of drawing patients at AUC A (Newcombe
    2006, method 5). Inverting a test (Fieller 1954) keeps it honest when few positives meet much
    noise, and near 1. Not estimable: a class within z standard deviations of zero.

    What is estimated is the AUC of the binned score; ties within a bin count half.
    """
    z = float(ndtri(0.5 + confidence / 2))
    positives, negatives = histogram.positives, histogram.negatives
    n_positive, n_negative = float(positives.sum()), float(negatives.sum())
    class_noise = histogram.noise_std * float(np.sqrt(positives.size))
    smallest = max(z * class_noise, 1.0)
    if min(n_positive, n_negative) < smallest:
        return AucEstimate(None, None, None, confidence, n_positive, n_negative)
    grid = np.linspace(0.0, 1.0, 2001)
    inside = grid[_accepted(histogram, grid, z)]
    wins = _wins(positives.size)
    auc = float(np.clip(positives @ wins @ negatives / (n_positive * n_negative), 0.0, 1.0))
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (auc, auc)
    return AucEstimate(auc, min(low, auc), max(high, auc), confidence, n_positive, n_negative)


def exact_auc(scores: Vector, labels: Vector, *, confidence: float = 0.95) -> AucEstimate:
    """Return the AUC of exact scores, for a site's own report; labels 0.0 or 1.0.

    Ties count half (Mann-Whitney). Interval: the test with the variance of Newcombe 2006, method 5,
    inverted. Not estimable: a class without patients.
    """
    positive, negative = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    n_positive, n_negative = float(positive.size), float(negative.size)
    if min(n_positive, n_negative) < 1:
        return AucEstimate(None, None, None, confidence, n_positive, n_negative)
    below = np.searchsorted(negative, positive, side="left").sum()
    not_above = np.searchsorted(negative, positive, side="right").sum()
    pairs = n_positive * n_negative
    auc = float((below + not_above) / 2 / pairs)
    z = float(ndtri(0.5 + confidence / 2))
    grid = np.linspace(0.0, 1.0, 2001)
    variance = _drawing_variance(grid, n_positive, n_negative)
    inside = grid[np.square((auc - grid) * pairs) <= z**2 * variance]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (auc, auc)
    return AucEstimate(auc, min(low, auc), max(high, auc), confidence, n_positive, n_negative)


def _accepted(histogram: ScoreHistogram, grid: Vector, z: float) -> npt.NDArray[np.bool_]:
    """Which candidate values of the AUC the histogram does not contradict, bool [grid]."""
    positives, negatives = histogram.positives, histogram.negatives
    wins = _wins(positives.size)
    against_positive = (wins @ negatives)[None, :] - grid[:, None] * negatives.sum()
    against_negative = (positives @ wins)[None, :] - grid[:, None] * positives.sum()
    statistic = against_positive @ positives
    noise = histogram.noise_std**2 * (
        np.square(against_positive).sum(axis=1) + np.square(against_negative).sum(axis=1)
    )
    drawing = _drawing_variance(grid, float(positives.sum()), float(negatives.sum()))
    accepted: npt.NDArray[np.bool_] = np.square(statistic) <= z**2 * (noise + drawing)
    return accepted


def _drawing_variance(auc: Vector, positives: float, negatives: float) -> Vector:
    """Variance of positives · negatives · (empirical AUC) when the true AUC is `auc`."""
    others = (positives + negatives) / 2 - 1
    spread = 1 + others * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    variance: Vector = positives * negatives * auc * (1 - auc) * spread
    return variance


def _wins(bins: int) -> Vector:
    """Return w[i, j]: what a positive in bin i scores against a negative in bin j."""
    order = np.arange(bins)
    wins: Vector = 0.5 * (1.0 + np.sign(order[:, None] - order[None, :]))
    return wins


@dataclass(frozen=True)
class CalibrationRow:
    """One score bin: its bounds, the noised number of patients and the share of positives.

    `positive_share` and its interval are None when the bin holds too few patients to tell.
    """

    low: float
    high: float
    patients: float
    positive_share: float | None
    share_low: float | None
    share_high: float | None


def calibration_table(
    histogram: ScoreHistogram, *, confidence: float = 0.95
) -> list[CalibrationRow]:
    """Compare predicted and observed risk per bin.

    Interval: the test for p of positives - p · patients, whose variance is that of the noise,
    s² ((1 - p)² + p²), plus the binomial n p (1 - p), inverted on a grid (Fieller 1954).
    """
    z = float(ndtri(0.5 + confidence / 2))
    bins = histogram.positives.size
    rows = []
    for index in range(bins):
        positive = float(histogram.positives[index])
        patients = positive + float(histogram.negatives[index])
        share = _share(positive, patients, histogram.noise_std, z)
        rows.append(CalibrationRow(index / bins, (index + 1) / bins, patients, *share))
    return rows


def _share(
    positive: float, patients: float, noise_std: float, z: float
) -> tuple[float | None, float | None, float | None]:
    if patients < max(z * noise_std * np.sqrt(HISTOGRAM_ROWS), 1.0):
        return None, None, None
    grid = np.linspace(0.0, 1.0, 1001)
    noise = noise_std**2 * (np.square(1 - grid) + np.square(grid))
    drawing = patients * grid * (1 - grid)
    inside = grid[np.square(positive - grid * patients) <= z**2 * (noise + drawing)]
    share = float(np.clip(positive / patients, 0.0, 1.0))
    if not inside.size:
        return share, share, share
    return share, min(share, float(inside.min())), max(share, float(inside.max()))

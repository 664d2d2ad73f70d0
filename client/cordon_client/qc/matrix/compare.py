"""Compare the samples of a matrix: size factors, ranks, directions of variance, outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

PCA_FEATURES = 1000
"""Most variable features that samples are compared on."""
_MAD_TO_SIGMA = 1.482602218505602


def size_factors(counts: Values) -> Values | None:
    """Return a factor per sample, median of ratios to the geometric mean; float64 [samples].

    counts: float64 [features, samples]. None where no feature is seen in every sample, so that
    the reference does not exist. Source: Anders, Huber 2010, Genome Biol 11:R106, equation 5.
    """
    everywhere = (counts > 0).all(axis=1)
    if not everywhere.any():
        return None
    logs = np.log(counts[everywhere])
    ratios = np.median(logs - logs.mean(axis=1, keepdims=True), axis=0)
    return np.asarray(np.exp(ratios), dtype=np.float64)


def log_cpm(counts: Values) -> Values:
    """Return log2(counts per million + 1), float64 [features, samples]; empty samples stay 0."""
    totals = np.nansum(counts, axis=0)
    scaled = counts / np.where(totals > 0, totals, 1.0) * 1e6
    return np.asarray(np.log2(scaled + 1.0), dtype=np.float64)


def most_variable(values: Values, how_many: int = PCA_FEATURES) -> Values:
    """Return the rows of largest variance, without rows that hold a NaN."""
    complete = values[~np.isnan(values).any(axis=1)]
    variance = complete.var(axis=1)
    chosen = np.argsort(-variance, kind="stable")[:how_many]
    return np.asarray(complete[np.sort(chosen[variance[chosen] > 0])], dtype=np.float64)


def principal_components(values: Values, how_many: int = 10) -> tuple[Values, Values]:
    """Return scores [samples, k] and shares of the variance [k] of values [features, samples].

    Signs are fixed: the sample of largest magnitude on each component is positive. Computed from
    the samples' Gram matrix, which is the smaller side here.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    weights, vectors = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-weights)[: min(how_many, max(values.shape[1] - 1, 1))]
    weights, vectors = np.maximum(weights[order], 0.0), vectors[:, order]
    scores = vectors * np.sqrt(weights)
    signs = np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(scores.shape[1])])
    total = float((centred**2).sum())
    shares = weights / total if total > 0 else np.zeros_like(weights)
    return np.asarray(scores * np.where(signs == 0, 1, signs)), np.asarray(shares)


def ranks(values: Values) -> Values:
    """Rank each column of values [features, samples] from 1, ties sharing their mean rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=0), dtype=np.float64)


def spearman(values: Values) -> Values:
    """Return Spearman's rank correlation of all pairs of columns, float64 [samples, samples].

    values: [features, samples] without NaN. A constant sample correlates with nothing: NaN.
    """
    ranked = ranks(values)
    centred = ranked - ranked.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((centred.T @ centred) / np.outer(norms, norms), dtype=np.float64)


def robust_z(values: Values) -> Values:
    """Return (x - median) / (1.4826 MAD), float64; 0 where the MAD is 0 and x is the median.

    Where the MAD is 0 a value off the median is infinitely far: at least half the values agree.
    """
    middle = np.nanmedian(values)
    spread = _MAD_TO_SIGMA * np.nanmedian(np.abs(values - middle))
    distance = values - middle
    if spread == 0:
        return np.asarray(np.where(distance == 0, 0.0, np.copysign(np.inf, distance)))
    return np.asarray(distance / spread, dtype=np.float64)


def fit_line(x: Values, y: Values) -> tuple[float, float, float] | None:
    """Return slope, intercept and R² of least squares; None below 3 points or without spread."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (slope * x + intercept)
    r2 = 1.0 - float((residual**2).sum()) / float(((y - y.mean()) ** 2).sum())
    return float(slope), float(intercept), r2

"""Lower bounds on ε from an attack that was carried out, and how surely it would find a fault.

A bound below the claim proves nothing; a bound above it disproves the claim, up to the stated
confidence. Both bounds hold for any test statistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.privacy.gaussian import gdp_epsilon

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trials:
    """What the attack saw: scores with the canary in, and with it left out."""

    inside: Scores
    outside: Scores


def gaussian_lower_bound(
    trials: Trials, thresholds: Sequence[float], *, confidence: float
) -> float:
    """Return μ such that a μ'-GDP mechanism with μ' < μ would give such scores too rarely.

    Guarantee: exceeds the true μ of a Gaussian-DP mechanism with probability at most
    1 - confidence. Every test with false alarms α and misses β has Φ⁻¹(1-α) - Φ⁻¹(β) ≤ μ; both
    rates are replaced by Clopper-Pearson upper limits, the error shared out over all thresholds.
    Source: Nasr et al. 2023, section 5 (f-DP auditing); Dong, Roth, Su 2022, definition 2.6.
    """
    from scipy.special import ndtri

    best = 0.0
    for false_alarms, misses in _limits(trials, thresholds, confidence):
        if max(false_alarms, misses) < 1:
            best = max(best, float(-ndtri(false_alarms) - ndtri(misses)))
    return best


def direct_lower_bound(
    trials: Trials, thresholds: Sequence[float], *, delta: float, confidence: float
) -> float:
    """Return ε that scores like these disprove for any (ε, δ) mechanism, Gaussian or not.

    Guarantee: as `gaussian_lower_bound`. Source: Kairouz, Oh, Viswanath 2015, theorem 2.1
    (1 - β ≤ e^ε α + δ, and the same with both rates exchanged).
    """
    best = 0.0
    for false_alarms, misses in _limits(trials, thresholds, confidence):
        for first, second in ((false_alarms, misses), (misses, false_alarms)):
            if 1 - second - delta > first:
                best = max(best, math.log((1 - second - delta) / first))
    return best


def one_run_lower_bound(
    correct: int, guesses: int, *, canaries: int, delta: float, confidence: float
) -> float:
    """Return ε that so many correct guesses about independent coins disprove.

    correct of guesses: only the surest guesses count, out of `canaries` coins. Source: Steinke,
    Nasr, Jagielski 2023, theorem 5.2. Guarantee: exceeds the true ε with probability at most
    1 - confidence; at most log(guesses)-ish, however broken the mechanism is.
    """
    low, high = 0.0, 30.0
    if _one_run_p_value(correct, guesses, canaries, low, delta) > 1 - confidence:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        if _one_run_p_value(correct, guesses, canaries, middle, delta) <= 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _one_run_p_value(
    correct: int, guesses: int, canaries: int, epsilon: float, delta: float
) -> float:
    from scipy.stats import binom

    probability = 1 / (1 + math.exp(-epsilon))
    tail = binom.sf(np.arange(correct - 1, -2, -1), guesses, probability)  # P[W ≥ v - i], i = 0 …
    beyond = (tail[1:] - tail[0]) / np.arange(1, len(tail))
    return float(tail[0] + 2 * canaries * delta * max(beyond.max(initial=0.0), 0.0))


def _limits(
    trials: Trials, thresholds: Sequence[float], confidence: float
) -> list[tuple[float, float]]:
    """Return upper limits of (false alarms, misses) at each threshold, valid all together."""
    share = (1 - confidence) / (2 * len(thresholds))
    return [
        (
            _upper(int((trials.outside > threshold).sum()), len(trials.outside), share),
            _upper(int((trials.inside <= threshold).sum()), len(trials.inside), share),
        )
        for threshold in thresholds
    ]


def _upper(count: int, of: int, error: float) -> float:
    """Return the one-sided Clopper-Pearson upper limit of a rate."""
    from scipy.stats import beta

    return 1.0 if count >= of else float(beta.ppf(1 - error, count + 1, of - count))


@dataclass(frozen=True)
class Fault:
    """A broken Gaussian mechanism: its noise and its signal, as multiples of what was claimed."""

    name: str
    noise: float = 1.0
    signal: float = 1.0


FAULTS = (
    Fault("noise × 0.5", noise=0.5),
    Fault("noise × 0.1", noise=0.1),
    Fault("clipping off (5 C)", signal=5.0),
)


def detection_power(
    fault: Fault,
    *,
    mu: float,
    delta: float,
    trials: int,
    confidence: float,
    repeats: int = 200,
) -> float:
    """Return how often the Gaussian bound would exceed the claim if the mechanism had this fault.

    Guarantee: a simulation of the audit itself with `trials` trials, half of them with the canary
    in, on scores in units of the claimed noise; the same thresholds and confidence.
    """
    generator = np.random.default_rng(20260101)
    claimed = gdp_epsilon(mu, delta)
    points = thresholds_for(mu)
    half = trials // 2
    found = 0
    for _ in range(repeats):
        inside = fault.noise * generator.standard_normal(half) + fault.signal * mu
        outside = fault.noise * generator.standard_normal(half)
        bound = gaussian_lower_bound(Trials(inside, outside), points, confidence=confidence)
        found += gdp_epsilon(bound, delta) > claimed
    return found / repeats


def thresholds_for(mu: float) -> tuple[float, ...]:
    """Return where the attack cuts the scores: fixed by the claim, never by what was seen."""
    return tuple(mu / 2 + shift for shift in (-1.0, -0.5, 0.0, 0.5, 1.0))

"""Gaussian differential privacy in closed form: exact for full-batch releases, checkable by hand.

A release with noise multiplier σ is μ-GDP with μ = 1/σ; k releases compose to μ = √(Σ 1/σ²).
Source: Balle, Wang 2018 (analytic Gaussian mechanism); Dong, Roth, Su 2022 (GDP).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cordon_common.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_STEPS = 200  # halvings; the bracket reaches neighbouring floats long before


def gdp_delta(mu: float, epsilon: float) -> float:
    """Return the smallest δ for which μ-GDP implies (ε, δ)-DP.

    δ(ε) = Φ(-ε/μ + μ/2) - e^ε Φ(-ε/μ - μ/2), written with the scaled erfc so that e^ε never
    overflows.
    """
    from scipy.special import erfcx, ndtr

    if mu <= 0:
        return 0.0
    near = epsilon / mu - mu / 2
    far = epsilon / mu + mu / 2
    second = 0.5 * math.exp(-near * near / 2) * float(erfcx(far / math.sqrt(2)))
    return max(0.0, float(ndtr(-near)) - second)


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the smallest ε ≥ 0 for which μ-GDP implies (ε, δ)-DP (upper end of the bracket)."""
    check_delta(delta)
    if mu <= 0 or gdp_delta(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while gdp_delta(mu, high) > delta:
        high *= 2
    return crossing(lambda epsilon: gdp_delta(mu, epsilon) <= delta, low=0.0, high=high)


def gdp_mu(epsilon: float, delta: float) -> float:
    """Return the largest μ for which μ-GDP implies (ε, δ)-DP (lower end of the bracket)."""
    check_delta(delta)
    inverse = crossing(lambda inv: gdp_delta(1 / inv, epsilon) <= delta, low=1e-9, high=1e12)
    return 1 / inverse


def gdp_true_positive_rate(mu: float, false_positive_rate: float) -> float:
    """Return the most that any test for one patient can reach: Φ(Φ⁻¹(FPR) + μ)."""
    from scipy.special import ndtr, ndtri

    return float(ndtr(float(ndtri(false_positive_rate)) + mu))


def crossing(
    holds: Callable[[float], bool], *, low: float, high: float, tolerance: float = 1e-14
) -> float:
    """Return the smallest float in (low, high] at which a monotone condition holds, by bisection.

    Guarantee: the condition was seen to hold at the result (or the result is `high`).
    """
    for _ in range(_STEPS):
        middle = math.sqrt(low * high) if low > 0 else (low + high) / 2
        if not low < middle < high:
            break
        if holds(middle):
            high = middle
        else:
            low = middle
        if high - low <= tolerance * high:
            break
    return high


def check_delta(delta: float) -> None:
    """Refuse a δ outside (0, 1).

    Raises:
        UsageError: US001.
    """
    if not 0 < delta < 1:
        raise UsageError("US001", "delta must lie strictly between 0 and 1", why=f"it is {delta}")

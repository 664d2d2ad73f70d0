"""Rényi differential privacy of the two mechanisms, and its conversion to ε; plain addition composes.

Independent of any library, so that it is a second opinion on the headline ε; cached per mechanism.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

Curve = npt.NDArray[np.float64]
"""Rényi divergences at `ORDERS`."""

ORDERS: tuple[float, ...] = (
    *(1 + step / 10 for step in range(1, 100)),
    *(float(order) for order in range(11, 64)),
    *(round(64 * 1.08**step, 1) for step in range(41)),
    2048.0,
    4096.0,
)
"""Orders at which ε is minimised: dense where ε is large, geometric where it is small."""


def gaussian_rdp(noise_multiplier: float, order: float) -> float:
    """Return the Rényi divergence of a Gaussian release: order / (2σ²). Source: Mironov 2017."""
    return order / (2 * noise_multiplier**2)


@lru_cache(maxsize=4096)
def sampled_gaussian_rdp(noise_multiplier: float, rate: float, order: float) -> float:
    """Return the Rényi divergence of a Poisson-sampled Gaussian release at one order > 1.

    log E[((1-q) + q·exp((2x-1)/(2σ²)))^order] / (order-1) over x ~ N(0, σ²), the larger of the two
    directions. Source: Mironov, Talwar, Zhang 2019, §3. The integrand is analytic in the
    strip |Im x| < πσ², so the trapezoid rule with these steps is exact to rounding.
    """
    sigma = noise_multiplier
    step = min(sigma / 3, sigma**2 / 2)
    x = np.arange(-12 * sigma, order + 12 * sigma, step)
    ratio = np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * x - 1) / (2 * sigma**2))
    terms = order * ratio - x**2 / (2 * sigma**2)
    peak = float(terms.max())
    total = math.fsum(np.exp(terms - peak)) * step / (sigma * math.sqrt(2 * math.pi))
    return max(0.0, (peak + math.log(total)) / (order - 1))


def rdp_at(mechanisms: Iterable[tuple[tuple[float, float], int]], order: float) -> float:
    """Return the Rényi divergence of ((noise multiplier, rate), count) pairs at one order."""
    return math.fsum(count * _rdp(*mechanism, order) for mechanism, count in mechanisms)


def epsilon_offset(order: float, delta: float) -> float:
    """Return what the conversion from RDP at an order adds: ε = RDP + offset.

    Source: Canonne, Kamath, Steinke 2020, proposition 12.
    """
    return math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def rdp_curve(mechanisms: Iterable[tuple[tuple[float, float], int]]) -> Curve:
    """Return the Rényi divergences at all `ORDERS`, float64 [orders]."""
    total = np.zeros(len(ORDERS))
    for mechanism, count in mechanisms:
        total += count * _mechanism_curve(*mechanism)
    return total


def curve_epsilon(curve: Curve, delta: float) -> float:
    """Return the ε that a curve proves: the minimum over `ORDERS` of RDP + offset, at least 0."""
    if not curve.any():
        return 0.0
    return max(0.0, float((curve + _offsets(delta)).min()))


def rdp_epsilon(mechanisms: Iterable[tuple[tuple[float, float], int]], delta: float) -> float:
    """Return the ε that RDP proves for ((noise multiplier, rate), count) pairs."""
    return curve_epsilon(rdp_curve(mechanisms), delta)


def _rdp(noise_multiplier: float, rate: float, order: float) -> float:
    if rate == 1:
        return gaussian_rdp(noise_multiplier, order)
    return sampled_gaussian_rdp(noise_multiplier, rate, order)


@lru_cache(maxsize=1024)
def _mechanism_curve(noise_multiplier: float, rate: float) -> Curve:
    return np.array([_rdp(noise_multiplier, rate, order) for order in ORDERS])


@lru_cache(maxsize=64)
def _offsets(delta: float) -> Curve:
    return np.array([epsilon_offset(order, delta) for order in ORDERS])

"""Rényi divergences against high-precision integrals and dp-accounting."""

import logging
import math

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.rdp import RdpAccountant

from cordon_common.privacy.renyi import (
    ORDERS,
    gaussian_rdp,
    rdp_at,
    rdp_epsilon,
    sampled_gaussian_rdp,
)

SETTINGS = [(1.0, 0.05), (0.6, 0.05), (5.0, 0.5), (0.3, 0.01), (20.0, 0.9), (0.8, 0.999)]


def integral(sigma, rate, order, *, reverse=False):
    """log E_Q[(P/Q)^order] / (order-1) by quadrature; `reverse` swaps P and Q."""
    sigma, rate, order = mpmath.mpf(sigma), mpmath.mpf(rate), mpmath.mpf(order)

    def integrand(x):
        ratio = 1 - rate + rate * mpmath.exp((2 * x - 1) / (2 * sigma**2))
        return mpmath.npdf(x, 0, sigma) * ratio ** ((1 - order) if reverse else order)

    points = sorted(
        {k * sigma for k in range(-16, 17)} | {order + k * sigma for k in range(-12, 13)}
    )
    return float(mpmath.log(mpmath.quad(integrand, points)) / (order - 1))


@pytest.mark.parametrize(("sigma", "rate"), SETTINGS)
@pytest.mark.parametrize("order", [1.1, 1.5, 3.3, 10, 40.0])
def test_a_sampled_divergence_equals_its_integral(sigma, rate, order):
    assert sampled_gaussian_rdp(sigma, rate, order) == pytest.approx(
        integral(sigma, rate, order), rel=1e-9
    )


@pytest.mark.parametrize(("sigma", "rate"), SETTINGS)
@pytest.mark.parametrize("order", [1.1, 3.3, 10])
def test_removing_a_patient_never_diverges_more_than_adding_one(sigma, rate, order):
    removed = integral(sigma, rate, order, reverse=True)
    assert removed <= sampled_gaussian_rdp(sigma, rate, order) * (1 + 1e-9)


@pytest.mark.parametrize(("sigma", "rate"), SETTINGS)
def test_whole_orders_agree_with_dp_accounting(sigma, rate):
    orders = [2.0, 5.0, 16.0, 64.0]
    accountant = RdpAccountant(orders=orders)
    event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    accountant.compose(event)
    mine = [sampled_gaussian_rdp(sigma, rate, order) for order in orders]
    np.testing.assert_allclose(mine, accountant.rdp, rtol=1e-9)


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(1, 0.05, 1000), (5, 0.5, 500), (12, 1, 30)])
def test_the_converted_epsilon_agrees_with_dp_accounting(sigma, rate, steps, caplog):
    caplog.set_level(logging.ERROR, logger="absl")  # it warns about orders it gives up on
    accountant = RdpAccountant()
    event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    accountant.compose(event, steps)
    mine = rdp_epsilon([((float(sigma), float(rate)), steps)], 1e-5)
    # dp-accounting gives up on some low orders, so its bound may be a little larger.
    theirs = accountant.get_epsilon(1e-5)
    assert theirs * (1 - 0.01) <= mine <= theirs * (1 + 1e-9)


def test_a_rate_close_to_one_is_close_to_the_full_batch():
    for order in (1.5, 4.0, 32.0):
        near = sampled_gaussian_rdp(4.0, 1 - 1e-9, order)
        assert near == pytest.approx(gaussian_rdp(4.0, order), rel=1e-6)


def test_divergences_add_up():
    parts = [((10.0, 1.0), 3), ((4.0, 0.2), 7)]
    expected = 3 * gaussian_rdp(10.0, 8.0) + 7 * sampled_gaussian_rdp(4.0, 0.2, 8.0)
    assert rdp_at(parts, 8.0) == pytest.approx(expected, rel=1e-14)


def test_the_orders_are_increasing_and_above_one():
    assert list(ORDERS) == sorted(set(ORDERS))
    assert min(ORDERS) > 1
    assert math.isfinite(max(ORDERS))

"""The closed form against high-precision arithmetic and a numerical trade-off."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from cordon_common.errors import UsageError
from cordon_common.privacy.gaussian import (
    crossing,
    gdp_delta,
    gdp_epsilon,
    gdp_mu,
    gdp_true_positive_rate,
)


def exact_delta(mu, epsilon):
    with mpmath.workdps(60):
        mu, epsilon = mpmath.mpf(mu), mpmath.mpf(epsilon)
        far = mpmath.exp(epsilon) * mpmath.ncdf(-epsilon / mu - mu / 2)
        return float(mpmath.ncdf(-epsilon / mu + mu / 2) - far)


@pytest.mark.parametrize("mu", [0.01, 0.1, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 5.0])
def test_delta_equals_the_textbook_formula_in_high_precision(mu, shift):
    epsilon = mu * mu / 2 + shift * mu
    assert gdp_delta(mu, epsilon) == pytest.approx(exact_delta(mu, epsilon), rel=1e-9)


def test_delta_survives_an_epsilon_whose_exponential_overflows():
    assert gdp_delta(45.0, 1100.0) == pytest.approx(exact_delta(45.0, 1100.0), rel=1e-9)


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
def test_delta_equals_the_area_between_two_shifted_normals(mu):
    epsilon = mu
    x = np.linspace(-12, 12 + mu, 400_001)
    gap = np.maximum(norm.pdf(x, loc=mu) - math.exp(epsilon) * norm.pdf(x), 0)
    assert gdp_delta(mu, epsilon) == pytest.approx(float(np.trapezoid(gap, x)), rel=1e-6)


@given(mu=st.floats(0.01, 20), delta=st.floats(1e-12, 0.1))
def test_epsilon_and_mu_are_inverse_and_round_to_the_safe_side(mu, delta):
    epsilon = gdp_epsilon(mu, delta)
    assert gdp_delta(mu, epsilon) <= delta
    if epsilon > 1e-3:
        assert gdp_mu(epsilon, delta) == pytest.approx(mu, rel=1e-7)
        assert gdp_delta(gdp_mu(epsilon, delta), epsilon) <= delta


def test_nothing_released_costs_nothing():
    assert gdp_epsilon(0.0, 1e-5) == 0
    assert gdp_delta(0.0, 1.0) == 0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_outside_the_open_unit_interval_is_refused(delta):
    with pytest.raises(UsageError, match="US001"):
        gdp_epsilon(1.0, delta)


def test_the_best_test_reaches_its_false_positive_rate_plus_delta_at_epsilon_zero():
    mu, rate = 0.8, 0.01
    reach = gdp_true_positive_rate(mu, rate)
    bound = min(gdp_delta(mu, e) + math.exp(e) * rate for e in np.linspace(0, 8, 4001))
    assert reach == pytest.approx(bound, rel=1e-5)


def test_the_crossing_is_a_point_where_the_condition_holds():
    found = crossing(lambda x: x * x >= 2, low=0.0, high=2.0)
    assert found * found >= 2
    assert found == pytest.approx(math.sqrt(2), rel=1e-12)

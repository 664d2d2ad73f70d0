"""Empirical bounds: below the truth for honest mechanisms, above the claim for broken ones."""

import numpy as np
import pytest
from scipy.stats import beta

from cordon_common.privacy.empirical import (
    FAULTS,
    Trials,
    detection_power,
    direct_lower_bound,
    gaussian_lower_bound,
    one_run_lower_bound,
    thresholds_for,
)
from cordon_common.privacy.gaussian import gdp_epsilon, gdp_mu


def trials(mu, count, seed, noise=1.0):
    draws = np.random.default_rng(seed)
    return Trials(mu + noise * draws.standard_normal(count), noise * draws.standard_normal(count))


@pytest.mark.parametrize("mu", [0.2, 0.7, 2.0])
def test_an_honest_mechanism_is_wrongly_accused_no_more_often_than_stated(mu):
    bounds = [
        gaussian_lower_bound(trials(mu, 300, seed), thresholds_for(mu), confidence=0.95)
        for seed in range(200)
    ]
    assert sum(bound > mu for bound in bounds) <= 200 * 0.05


def test_the_bound_comes_close_with_many_trials():
    bound = gaussian_lower_bound(trials(1.0, 200_000, 1), thresholds_for(1.0), confidence=0.95)
    assert 0.97 < bound <= 1.0


def test_the_direct_bound_needs_no_gaussian_and_is_weaker():
    seen = trials(2.0, 5000, 3)
    gaussian = gdp_epsilon(gaussian_lower_bound(seen, thresholds_for(2.0), confidence=0.95), 1e-5)
    direct = direct_lower_bound(seen, thresholds_for(2.0), delta=1e-5, confidence=0.95)
    assert 0 < direct < gaussian


def test_pure_noise_bounds_nothing():
    seen = trials(0.0, 1000, 5)
    assert direct_lower_bound(seen, (0.0,), delta=0, confidence=0.99) == 0
    assert one_run_lower_bound(170, 333, canaries=1000, delta=1e-5, confidence=0.99) == 0


def test_the_one_run_bound_without_delta_is_the_binomial_one():
    # δ = 0: ε with P[Bin(r, e^ε/(1+e^ε)) ≥ v] = 5 % is a Clopper-Pearson lower limit
    lower = beta.ppf(0.05, 90, 11)
    expected = np.log(lower / (1 - lower))
    found = one_run_lower_bound(90, 100, canaries=100, delta=0.0, confidence=0.95)
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_one_run_bound_falls_with_delta():
    bounds = [
        one_run_lower_bound(95, 100, canaries=300, delta=delta, confidence=0.95)
        for delta in (0.0, 1e-6, 1e-4, 1e-2)
    ]
    assert bounds == sorted(bounds, reverse=True)


def test_the_stated_power_is_what_the_faults_reach():
    mu = gdp_mu(3.0, 1e-5)
    half, tenth, unclipped = FAULTS
    options = {"mu": mu, "delta": 1e-5, "confidence": 0.999, "repeats": 100}
    assert detection_power(half, trials=1000, **options) > 0.9
    assert detection_power(tenth, trials=200, **options) == 1
    assert detection_power(unclipped, trials=200, **options) > 0.9

"""Plain-words quantities are true bounds, not decoration."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from cordon_common.errors import ProtocolError
from cordon_common.privacy.explain import detection_rate, exceed_probability, explain
from cordon_common.privacy.gaussian import gdp_delta, gdp_true_positive_rate


def test_a_training_patient_is_found_as_often_as_the_best_test_of_two_gaussians(make_event):
    found = explain([make_event(10.0)] * 25, 1e-5)
    mu = math.sqrt(25) / 10
    threshold = norm.isf(0.01)
    assert found.detection_rate == pytest.approx(norm.sf(threshold - mu), rel=1e-9)


def test_a_simulated_attack_stays_below_the_stated_detection_rate(make_event):
    rng = np.random.default_rng(5)
    sigma, rounds = 6.0, 16
    found = explain([make_event(sigma)] * rounds, 1e-5)
    without = rng.normal(0, sigma, (200_000, rounds)).sum(axis=1)
    present = rng.normal(1, sigma, (200_000, rounds)).sum(axis=1)
    rate = float((present > np.quantile(without, 0.99)).mean())
    assert rate == pytest.approx(found.detection_rate, abs=0.004)


def test_the_numerical_bound_approaches_the_closed_form_from_above():
    near_full = (((5.0, 1 - 1e-6), 30),)
    exact = gdp_true_positive_rate(math.sqrt(30) / 5, 0.01)
    bound = detection_rate(near_full, 0.01)
    assert exact * (1 - 1e-4) <= bound <= exact * 1.02


def test_sampling_lowers_the_detection_rate(make_event):
    full = explain([make_event(5.0)] * 20, 1e-5)
    sampled = explain([make_event(5.0, rate=0.2)] * 20, 1e-5)
    assert 0.01 <= sampled.detection_rate < full.detection_rate


@pytest.mark.parametrize("mu", [0.1, 0.5, 2.0])
def test_the_odds_are_exceeded_as_often_as_the_privacy_loss_says(make_event, mu):
    found = explain([make_event(1 / mu)], 1e-5)
    loss = norm(loc=mu * mu / 2, scale=mu)
    assert found.exceeded == pytest.approx(loss.sf(found.epsilon), rel=1e-6)
    assert found.exceeded >= gdp_delta(mu, found.epsilon)
    assert found.odds_factor == pytest.approx(math.exp(found.epsilon))
    assert found.certainty == pytest.approx(found.odds_factor / (1 + found.odds_factor))


def test_the_numerical_exceed_probability_is_an_upper_bound():
    near_full = (((5.0, 1 - 1e-6), 30),)
    exact = exceed_probability((((5.0, 1.0), 30),), 4.0)
    assert exact <= exceed_probability(near_full, 4.0) <= exact * 10


def test_the_worse_off_patient_decides(make_event):
    training = [make_event(8.0)] * 10
    evaluation = make_event(50.0, purpose="evaluation", population="holdout")
    both = explain([*training, evaluation], 1e-5)
    assert both == explain(training, 1e-5)


def test_the_sentences_state_the_numbers(make_event):
    found = explain([make_event(3.73)], 1e-5)
    odds, test = found.sentences
    assert f"{found.odds_factor:.3g}-fold" in odds
    assert f"{found.detection_rate * 100:.2g} in 100" in test
    assert found.as_json()["sentences"] == [odds, test]


def test_a_hopeless_promise_is_called_so(make_event):
    found = explain([make_event(0.05)], 1e-5)
    assert "without a useful limit" in found.sentences[0]
    assert found.certainty == 1
    assert found.detection_rate == pytest.approx(1, abs=1e-6)


def test_nothing_released_means_blind_guessing():
    found = explain([], 1e-5)
    assert (found.epsilon, found.odds_factor, found.detection_rate) == (0, 1, 0.01)
    assert found.exceeded == 0


def test_an_unknown_event_is_refused():
    with pytest.raises(ProtocolError, match="PR005"):
        explain(["laplace"], 1e-5)

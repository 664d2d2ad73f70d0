"""ε in an audit equals ε computed by hand from what was released."""

from __future__ import annotations

import itertools
import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from cordon_common.audit import spending
from cordon_common.audit.spending import composed_epsilon
from cordon_common.audit.verify import verify_bundles
from cordon_common.privacy.accounting import epsilon_pld
from cordon_common.privacy.events import GaussianRelease, SampledGaussianRelease


def gaussian_epsilon(mu, delta):
    """ε of a μ-GDP mechanism (Balle, Wang 2018, theorem 8), solved numerically."""

    def excess(epsilon):
        left = norm.cdf(mu / 2 - epsilon / mu)
        return left - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - delta

    return brentq(excess, 0, 100)


def release(sigma, population, purpose="training"):
    return GaussianRelease(
        purpose=purpose,
        population=population,
        noise_multiplier=sigma,
        sensitivity_grid=1.0,
        stability=1,
        dimension=3,
    )


def sampled(sigma, rate):
    return SampledGaussianRelease(
        purpose="training",
        population="train",
        noise_multiplier=sigma,
        sensitivity_grid=1.0,
        stability=1,
        dimension=3,
        sample_rate=rate,
    )


def study(train, holdout, qc=20.0):
    return [release(qc, "all"), *(release(s, "train") for s in train), release(holdout, "holdout")]


def brute_force(studies, delta):
    """Compose every path of a patient through the studies, one by one."""
    paths = []
    for parts in itertools.product(("train", "holdout"), repeat=len(studies)):
        events = [
            event
            for part, events in zip(parts, studies, strict=True)
            for event in events
            if event.population in {"all", part}
        ]
        paths.append(epsilon_pld(events, delta))
    return max(paths)


def test_a_studys_epsilon_is_that_of_the_worse_of_training_and_holdout(bundles, consortium):
    result = verify_bundles([bundles["north"]])
    by_scope = {item.scope: item for item in result.parts[0].spending}
    spent = next(item for item in result.parts[0].spending if item.scope.endswith("v1"))
    train = math.sqrt(1 / 20**2 + 4 / 6**2)
    holdout = math.sqrt(1 / 20**2 + 1 / 3**2)
    delta = consortium.study.privacy.delta
    assert spent.releases == 6
    assert spent.delta == delta
    assert spent.epsilon_pld == pytest.approx(gaussian_epsilon(max(train, holdout), delta), 1e-6)
    assert spent.epsilon_rdp >= spent.epsilon_pld
    assert spent.budget == consortium.study.privacy.epsilon
    assert by_scope["lifetime"].budget == 8.0
    assert by_scope["lifetime"].epsilon_pld == by_scope["2026"].epsilon_pld


@pytest.mark.parametrize(
    "studies",
    [
        [study([6.0] * 4, 3.0)],
        [study([6.0] * 4, 3.0), study([4.0] * 10, 9.0)],
        [study([6.0], 3.0), study([6.0] * 9, 3.0), study([2.0], 5.0)],
        [[sampled(1.2, 0.1)] * 5 + [release(3.0, "holdout")], study([6.0] * 4, 3.0)],
    ],
)
def test_several_studies_cost_what_the_worst_path_through_them_costs(studies):
    cost = composed_epsilon(studies, 1e-5)
    assert cost.pld == pytest.approx(brute_force(studies, 1e-5), rel=1e-3)
    assert cost.rdp >= cost.pld


def test_many_studies_are_never_counted_too_small(monkeypatch):
    monkeypatch.setattr(spending, "_MOST_PATHS", 4)
    studies = [[sampled(2.0 + i / 10, 0.2), release(5.0, "holdout")] for i in range(4)]
    bounded = composed_epsilon(studies, 1e-5)
    assert bounded.pld >= brute_force(studies, 1e-5) * (1 - 1e-3)
    everything = [event for events in studies for event in events]
    assert bounded.pld <= epsilon_pld(everything, 1e-5) * (1 + 1e-3)


def test_nothing_released_costs_nothing():
    assert composed_epsilon([], 1e-5).pld == 0

"""The sites' updates go through Flower's strategies, and a resumed study goes on bit for bit."""

import numpy as np
import pytest
from hospitals import study_value

from cordon_common.privacy.schedule import update_grid
from cordon_common.protocol.study import Study
from cordon_common.signing import SigningKey
from cordon_server import optimizer
from cordon_server.rounds import advance

SIZES = {"a": 100, "b": 200, "c": 300, "d": 400, "e": 500}
LOCAL = {
    "algorithm": "dp-fedavg",
    "rounds": 4,
    "clip_norm": 1.0,
    "divisor": 1000,
    "local_steps": 2,
    "local_learning_rate": 0.5,
    "update_norm": 100.0,
    "tail_fraction": 0.0,
}


def make_study(**strategy):
    roster = [
        {"site": site, "key": str(SigningKey.generate().public), "expected_patients": size}
        for site, size in SIZES.items()
    ]
    value = study_value(roster, min_sites=5)
    value["training"] = LOCAL | {"strategy": strategy}
    return Study.model_validate(value, strict=False)


def drawn(seed):
    rng = np.random.default_rng(seed)
    return {site: rng.normal(size=5) for site in SIZES}


def rounds(study, count, state=None):
    """Advance from a state; returns it with the updates that went in (as the grid rounds them)."""
    state = state or optimizer.start(np.linspace(-1, 1, 5))
    gamma = update_grid(study.training)
    for number in range(state.steps, state.steps + count):
        releases = {s: np.rint(u * gamma).astype(np.int64) for s, u in drawn(number).items()}
        state = advance(state, releases, study)
    return state


def stacked(seed):
    return np.stack([drawn(seed)[site] for site in SIZES])


@pytest.mark.parametrize("name", ["fedavg", "fedprox"])
def test_means_weight_sites_by_their_public_sizes(name):
    extra = {"proximal_mu": 0.1} if name == "fedprox" else {}
    state = rounds(make_study(name=name, **extra), 1)
    expected = np.linspace(-1, 1, 5) + np.average(stacked(0), axis=0, weights=list(SIZES.values()))
    np.testing.assert_allclose(state.weights, expected, atol=1e-4)


def test_a_median_is_a_median():
    expected = np.linspace(-1, 1, 5) + np.median(stacked(0), axis=0)
    np.testing.assert_allclose(rounds(make_study(name="fedmedian"), 1).weights, expected, atol=1e-4)


def test_a_trimmed_mean_leaves_out_both_ends():
    expected = np.linspace(-1, 1, 5) + np.sort(stacked(0), axis=0)[1:-1].mean(axis=0)
    state = rounds(make_study(name="fedtrimmedavg", trim=0.25), 1)
    np.testing.assert_allclose(state.weights, expected, atol=1e-4)


def test_krum_takes_one_site_whole_and_never_the_one_far_off():
    study = make_study(name="krum", malicious_sites=1)
    gamma = update_grid(study.training)
    updates = drawn(0) | {"c": np.full(5, 50.0)}
    releases = {site: np.rint(update * gamma).astype(np.int64) for site, update in updates.items()}
    start = optimizer.start(np.zeros(5))
    chosen = advance(start, releases, study).weights
    distance = {site: np.abs(chosen - update).max() for site, update in updates.items()}
    assert min(distance.values()) < 1e-4
    assert min(distance, key=distance.get) != "c"


def test_server_momentum_follows_its_formula():
    study = make_study(name="fedavgm", learning_rate=0.5, momentum=0.9)
    weights, velocity = np.linspace(-1, 1, 5), np.zeros(5)
    for number in range(3):
        mean = np.average(stacked(number), axis=0, weights=list(SIZES.values()))
        velocity = 0.9 * velocity - mean
        weights = weights - 0.5 * velocity
    np.testing.assert_allclose(rounds(study, 3).weights, weights, atol=1e-4)


def test_adam_at_the_server_follows_its_formula():
    study = make_study(name="fedadam", learning_rate=0.1, beta1=0.9, beta2=0.99, tau=0.01)
    weights, first, second = np.linspace(-1, 1, 5), np.zeros(5), np.zeros(5)
    for number in range(3):
        mean = np.average(stacked(number), axis=0, weights=list(SIZES.values()))
        first = 0.9 * first + 0.1 * mean
        second = 0.99 * second + 0.01 * mean**2
        power = number + 2  # Flower counts rounds from 1 and corrects with one more
        rate = 0.1 * np.sqrt(1 - 0.99**power) / (1 - 0.9**power)
        weights = weights + rate * first / (np.sqrt(second) + 0.01)
    np.testing.assert_allclose(rounds(study, 3).weights, weights, atol=1e-4)


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "fedavgm", "momentum": 0.8},
        {"name": "fedadam", "learning_rate": 0.1},
        {"name": "fedyogi", "learning_rate": 0.1},
    ],
    ids=lambda strategy: strategy["name"],
)
def test_a_resumed_study_goes_on_bit_for_bit(strategy):
    study = make_study(**strategy)
    whole = rounds(study, 4)
    halfway = optimizer.from_arrays(rounds(study, 2).arrays())
    resumed = rounds(study, 2, halfway)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array)
    assert whole.steps == 4

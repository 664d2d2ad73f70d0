"""The bound on what privacy noise does to a weight: tight when flat, never too small when curved."""

from __future__ import annotations

import numpy as np
import pytest
from hospitals import study_value

from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.protocol.study import Study
from cordon_server import optimizer
from cordon_server.biomarkers import coefficients, noise_std_bound

SITES = [4] * 6


def make_study(momentum=0.5, tail=0.5, rounds=6, **changes):
    value = study_value([], rounds=rounds, **changes)
    value["training"] |= {
        "optimizer": {"name": "sgd", "learning_rate": 1.0, "momentum": momentum},
        "tail_fraction": tail,
    }
    return resolve(Study.model_validate(value, strict=False))


def simulated_std(study, curvature, draws=4000):
    """Train on a quadratic of the given curvature from its optimum, with nothing but noise."""
    release_std = planned_events(study).training.noise_std_grid / release_grid(study).training
    rng = np.random.default_rng(1)
    finals = np.empty((draws, 5))
    for i in range(draws):
        state = optimizer.start(np.zeros(5))
        for sites in SITES:
            noise = rng.normal(scale=release_std * np.sqrt(sites), size=5)
            gradient = curvature * state.weights + noise / study.training.divisor
            state = optimizer.step(state, gradient, study)
        finals[i] = optimizer.averaged_weights(state)
    return finals.std()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("tail", [0.0, 0.5])
def test_on_a_flat_loss_the_bound_is_exact(momentum, tail):
    study = make_study(momentum, tail)
    bound = noise_std_bound(study, SITES)
    assert simulated_std(study, 0.0) == pytest.approx(bound, rel=0.02)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("curvature", [0.05, 0.5, 1.0, 1.9])
def test_on_a_curved_loss_the_noise_stays_below_the_bound(momentum, curvature):
    study = make_study(momentum)
    bound = noise_std_bound(study, SITES)
    assert simulated_std(study, curvature, draws=1500) < bound * 1.03


def test_missing_sites_bring_less_noise():
    study = make_study()
    assert noise_std_bound(study, [2] * 6) < noise_std_bound(study, SITES)


def test_no_bound_is_claimed_for_adam():
    value = study_value([])
    value["training"]["optimizer"] = {"name": "adam", "learning_rate": 0.1}
    study = resolve(Study.model_validate(value, strict=False))
    assert noise_std_bound(study, SITES) is None
    (first, *_) = coefficients(study, np.ones(5), SITES)
    assert first.clear_of_noise is None


def test_coefficients_carry_the_names_of_the_inputs():
    study = make_study()
    found = coefficients(study, np.array([1.0, -2.0, 0.5, 0.0, 9.0]), SITES)
    assert [(c.name, c.value) for c in found] == [
        ("age", 1.0),
        ("dose", -2.0),
        ("sex=f", 0.5),
        ("sex=m", 0.0),
    ]


def test_a_deep_model_has_no_coefficients():
    study = make_study(model={"family": "mlp", "hidden": [3]})
    assert coefficients(study, np.zeros(19), SITES) == ()

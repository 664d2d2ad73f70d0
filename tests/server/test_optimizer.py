"""The coordinator's optimiser: the textbook's steps, the declared average, equal bits on resuming."""

import numpy as np
import pytest
import torch

from cordon_common.errors import ProtocolError
from cordon_common.protocol.layout import dimension
from cordon_common.protocol.study import Study
from cordon_common.wire import array_bytes, decode, encode
from cordon_server.optimizer import (
    averaged_weights,
    decay_mask,
    first_tail_round,
    from_arrays,
    start,
    step,
)

SGD = {"name": "sgd", "learning_rate": 0.3}
MOMENTUM = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
ADAM = {"name": "adam", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6}


def make_study(optimizer, *, rounds=12, tail=0.5, decay=0.0, hidden=()):
    return Study.model_validate(
        {
            "cordon": 1,
            "name": "toy",
            "purpose": "Test the optimiser on drawn numbers.",
            "permit": {"id": "none", "end_date": "2030-01-01"},
            "cohort": {
                "features": [
                    {"name": f"x{i}", "type": "number", "unit": "1", "range": [-1, 1]}
                    for i in range(4)
                ],
                "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
            },
            "qc": {"gate": {"min_patients": 10, "min_sites": 1}},
            "model": {"family": "mlp" if hidden else "logistic", "hidden": list(hidden)},
            "training": {
                "algorithm": "dp-fedsgd",
                "rounds": rounds,
                "clip_norm": 1.0,
                "divisor": 100,
                "optimizer": optimizer,
                "tail_fraction": tail,
                "weight_decay": decay,
            },
            "privacy": {
                "epsilon": 2.0,
                "delta": 1e-5,
                "unprotected": ["participation", "qc_verdict"],
            },
        }
    )


def gradients(study, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(study.training.rounds, dimension(study)))


def run(study, state, rows):
    states = [state]
    for row in rows:
        states.append(step(states[-1], row, study))
    return states


def torch_path(study, rows):
    weights = torch.nn.Parameter(torch.full((dimension(study),), 0.5, dtype=torch.float64))
    optimizer = study.training.optimizer
    if optimizer.name == "sgd":
        driver = torch.optim.SGD([weights], lr=optimizer.learning_rate, momentum=optimizer.momentum)
    else:
        driver = torch.optim.Adam(
            [weights],
            lr=optimizer.learning_rate,
            betas=(optimizer.beta1, optimizer.beta2),
            eps=optimizer.epsilon,
        )
    path = []
    for row in rows:
        weights.grad = torch.tensor(row)
        driver.step()
        path.append(weights.detach().numpy().copy())
    return path


@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM, ADAM])
def test_every_step_is_the_textbooks(optimizer):
    study = make_study(optimizer)
    rows = gradients(study)
    states = run(study, start(np.full(5, 0.5)), rows)
    for state, expected in zip(states[1:], torch_path(study, rows), strict=True):
        np.testing.assert_allclose(state.weights, expected, rtol=1e-12)


@pytest.mark.parametrize(("tail", "averaged"), [(0.5, 6), (0.25, 3), (0.0, 1), (0.99, 11)])
def test_the_final_model_is_the_mean_of_the_last_iterates(tail, averaged):
    study = make_study(MOMENTUM, tail=tail)
    states = run(study, start(np.zeros(5)), gradients(study))
    expected = np.mean([state.weights for state in states[-averaged:]], axis=0)
    np.testing.assert_allclose(averaged_weights(states[-1]), expected, rtol=1e-12)
    assert states[-1].tail_count == study.training.rounds - first_tail_round(12, tail)


@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM, ADAM])
@pytest.mark.parametrize("stop", [0, 3, 9, 12])
def test_a_resumed_run_continues_bit_for_bit(optimizer, stop):
    study = make_study(optimizer, decay=0.01)
    rows = gradients(study)
    straight = run(study, start(np.ones(5)), rows)
    stored = array_bytes(straight[stop].arrays())
    resumed = run(study, from_arrays(_load(stored)), rows[stop:])[-1]
    assert array_bytes(resumed.arrays()) == array_bytes(straight[-1].arrays())


def _load(data):
    """Read safetensors bytes the way a message's arrays are read."""
    from cordon_common.wire import Refusal

    head = encode(Refusal(site="x", code="PO100"))
    return decode(head + data)[1]


def test_weight_decay_pulls_weights_and_leaves_biases():
    study = make_study(SGD, decay=0.5, hidden=(3,))
    mask = decay_mask(study)
    np.testing.assert_array_equal(mask, [1] * 12 + [0] * 3 + [1] * 3 + [0])
    moved = step(start(np.ones(19)), np.zeros(19), study)
    np.testing.assert_allclose(moved.weights, 1 - 0.3 * 0.5 * mask)


def test_a_step_leaves_the_old_state_alone():
    study = make_study(ADAM)
    before = start(np.ones(5))
    kept = array_bytes(before.arrays())
    step(before, np.ones(5), study)
    assert array_bytes(before.arrays()) == kept


def test_what_does_not_fit_is_refused():
    study = make_study(SGD)
    with pytest.raises(ProtocolError) as refused:
        step(start(np.ones(5)), np.ones(4), study)
    assert refused.value.code == "PR008"
    arrays = start(np.ones(5)).arrays()
    for broken in (
        {},
        {name: array for name, array in arrays.items() if name != "second"},
        arrays | {"momentum": np.zeros(4)},
        arrays | {"counters": np.zeros(3, dtype=np.int64)},
    ):
        with pytest.raises(ProtocolError) as refused:
            from_arrays(broken)
        assert refused.value.code == "PR008"

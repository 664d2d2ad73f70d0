"""The in-process federation: learns, equals pooled gradient descent without noise, ranks exactly."""

import numpy as np
import pytest
from benchmarks.in_process import rank_auc, train
from sklearn.metrics import roc_auc_score

from cordon_client.records import Tensors
from cordon_common.protocol.study import Study


@pytest.fixture
def study():
    return Study.model_validate(
        {
            "cordon": 1,
            "name": "toy",
            "purpose": "Test the in-process federation.",
            "permit": {"id": "none", "end_date": "2030-01-01"},
            "cohort": {
                "features": [
                    {"name": f"x{i}", "type": "number", "unit": "1", "range": [-1, 1]}
                    for i in range(3)
                ],
                "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
            },
            "qc": {"gate": {"min_patients": 10, "min_sites": 1}},
            "model": {"family": "logistic"},
            "training": {
                "algorithm": "dp-fedsgd",
                "rounds": 20,
                "clip_norm": 100.0,
                "divisor": 300,
                "tail_fraction": 0.0,
                "optimizer": {"name": "sgd", "learning_rate": 1.0},
            },
            "privacy": {
                "epsilon": 2.0,
                "delta": 1e-5,
                "unprotected": ["participation", "qc_verdict"],
                "noise": {"qc": 20.0, "training": 5.0, "evaluation": 2.0},
            },
        }
    )


def cohort(patients, seed):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(patients, 3))
    labels = (rng.random(patients) < 1 / (1 + np.exp(-inputs @ [2.0, -1.0, 0.0]))).astype(float)
    return Tensors(inputs, labels, np.arange(patients), patients)


def test_without_noise_the_federation_equals_pooled_gradient_descent(study):
    sites = [cohort(200, 0), cohort(100, 1)]
    inputs = np.concatenate([np.column_stack([s.inputs, np.ones(s.n_patients)]) for s in sites])
    labels = np.concatenate([s.labels for s in sites])
    weights = np.zeros(4)
    for _ in range(20):
        weights -= inputs.T @ (1 / (1 + np.exp(-inputs @ weights)) - labels) / 300
    # the grid is 100 / 2^20 wide: 300 patients, 20 rounds
    np.testing.assert_allclose(train(study, sites, private=False), weights, atol=1e-4)


def test_with_noise_no_two_runs_agree(study):
    sites = [cohort(50, 2)]
    first, second = (train(study, sites, private=True) for _ in range(2))
    assert not np.array_equal(first, second)


def test_the_rank_auc_counts_ties_half():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 200)
    scores = np.round(rng.normal(labels), 1)
    assert rank_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))

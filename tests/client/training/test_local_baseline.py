"""The site's own model: a plain fit, and exact AUCs that stay at the site."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cordon_client.records import Tensors
from cordon_client.training.local_baseline import compare_on_holdout, train_alone
from cordon_common.evaluation import exact_auc
from cordon_common.protocol.layout import dimension


def labelled(study, patients, seed, records=1):
    """A cohort whose outcome follows a known logistic model."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(patients * records, 5))
    chance = 1 / (1 + np.exp(-(inputs @ np.array([2.0, -1.0, 0.5, 0.0, 0.0]))))
    owner = np.repeat(np.arange(patients), records)
    return Tensors(inputs, (rng.random(owner.size) < chance).astype(float), owner, patients)


def test_the_fit_is_ridge_logistic_regression(make_study):
    study = make_study()
    train = labelled(study, 200, seed=0)
    fitted = train_alone(train, study)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(train.inputs, train.labels)
    expected = np.append(reference.coef_[0], reference.intercept_)
    np.testing.assert_allclose(fitted, expected, atol=1e-4)


def test_a_patients_records_share_one_vote(make_study):
    study = make_study(records_per_patient=3)
    once = labelled(study, 60, seed=1)
    thrice = Tensors(
        np.repeat(once.inputs, 3, axis=0),
        np.repeat(once.labels, 3),
        np.repeat(once.patients, 3),
        60,
    )
    np.testing.assert_allclose(train_alone(thrice, study), train_alone(once, study), atol=1e-6)


def test_a_network_learns_and_repeats_itself(make_study):
    study = make_study(hidden=(6,))
    train, holdout = labelled(study, 300, seed=2), labelled(study, 300, seed=3)
    weights = train_alone(train, study)
    np.testing.assert_array_equal(weights, train_alone(train, study))
    models = compare_on_holdout(train, holdout, np.zeros(dimension(study)), study)
    assert models.alone.auc > 0.75
    assert models.federated.auc == 0.5
    assert models.alone.low < models.alone.auc < models.alone.high


def test_a_wide_network_in_float32_is_fitted_too(make_study):
    study = make_study(hidden=(150, 700))
    train = labelled(study, 60, seed=7)
    assert dimension(study) > 100_000
    models = compare_on_holdout(train, train, np.zeros(dimension(study)), study)
    assert models.alone.auc > 0.9


@pytest.mark.parametrize("patients", [0, 1])
def test_tiny_populations_give_no_estimate_but_no_failure(make_study, patients):
    study = make_study()
    few = labelled(study, patients, seed=4)
    assert np.isfinite(train_alone(few, study)).all()
    models = compare_on_holdout(few, few, np.zeros(6), study)
    assert not models.alone.estimable
    assert not models.federated.estimable


def test_the_exact_auc_is_mann_whitneys_with_ties_counted_half():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 120).astype(float)
    scores = np.round(rng.normal(0.5 * labels), 1)
    assert exact_auc(scores, labels).auc == pytest.approx(roc_auc_score(labels, scores))


def test_the_exact_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(1500):
        labels = np.repeat([0.0, 1.0], [40, 15])
        estimate = exact_auc(rng.normal(1.5 * labels), labels)
        held += estimate.low <= 0.8556 <= estimate.high  # Φ(1.5 / √2)
    assert held / 1500 >= 0.93

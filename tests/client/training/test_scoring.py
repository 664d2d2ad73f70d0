"""Score histograms: one patient, one cell, decided by that patient alone."""

import numpy as np
import pytest

from cordon_client.records import Tensors
from cordon_client.training.scoring import patient_scores, score_counts
from cordon_common.evaluation import ScoreHistogram, estimate_auc
from cordon_common.protocol.layout import dimension


@pytest.fixture
def study(make_study):
    return make_study(records_per_patient=4, evaluation={"bins": 10})


@pytest.fixture
def weights(study):
    return np.random.default_rng(0).normal(size=dimension(study))


def naive_counts(tensors, weights, bins):
    """Patient by patient, in plain numpy."""
    cells = np.zeros((2, bins))
    for patient in range(tensors.n_patients):
        rows = tensors.patients == patient
        scores = 1 / (1 + np.exp(-(tensors.inputs[rows] @ weights[:-1] + weights[-1])))
        label = int(tensors.labels[rows].mean() >= 0.5)
        cells[label, min(int(scores.mean() * bins), bins - 1)] += 1
    return cells.ravel()


@pytest.mark.parametrize("records", [1, 3])
def test_counts_equal_a_count_patient_by_patient(study, weights, make_tensors, records):
    tensors = make_tensors(study, patients=300, records=records)
    counts = score_counts(tensors, weights, study)
    np.testing.assert_array_equal(counts, naive_counts(tensors, weights, 10))
    assert counts.sum() == 300


def test_one_patient_more_moves_one_cell_by_one(study, weights, make_tensors):
    tensors = make_tensors(study, patients=40, records=2)
    keep = tensors.patients != 39
    fewer = Tensors(tensors.inputs[keep], tensors.labels[keep], tensors.patients[keep], 39)
    moved = score_counts(tensors, weights, study) - score_counts(fewer, weights, study)
    assert np.linalg.norm(moved) == 1.0
    assert moved.sum() == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
def test_a_score_that_is_no_number_still_counts_once(study, weights, make_tensors, value):
    tensors = make_tensors(study, patients=5)
    tensors.inputs[2, :2] = value
    counts = score_counts(tensors, weights, study)
    assert counts.sum() == 5
    assert set(counts) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_an_empty_population_gives_empty_cells(study, weights, make_tensors):
    counts = score_counts(make_tensors(study, patients=0), weights, study)
    np.testing.assert_array_equal(counts, np.zeros(20))


def test_exact_counts_give_the_auc_of_the_binned_scores(study, weights, make_tensors):
    tensors = make_tensors(study, patients=500)
    scores, labels = patient_scores(tensors, weights, study)
    counts = score_counts(tensors, weights, study)
    binned = np.minimum((scores * 10).astype(int), 9)
    wins = np.sign(binned[labels == 1][:, None] - binned[labels == 0][None, :])
    expected = float(0.5 + 0.5 * wins.mean())
    assert estimate_auc(ScoreHistogram(counts[:10], counts[10:], 0.0)).auc == pytest.approx(
        expected
    )

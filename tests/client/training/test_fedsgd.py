"""A site's round: the sum equals a loop, a patient's pull is bounded, the noise is as declared."""

import dataclasses

import numpy as np
import pytest

from cordon_client.models.registry import initial_weights
from cordon_client.records import Tensors
from cordon_client.training.fedsgd import release_round, round_sum
from cordon_common.errors import ProtocolError, SystemFault
from cordon_common.privacy.schedule import planned_events
from cordon_common.privacy.sensitivity import FLOAT_SLACK, MAX_PATIENTS, grid_per_unit
from cordon_common.protocol.layout import dimension


def weights_for(study, *, seed=1, scale=0.7):
    return scale * np.random.default_rng(seed).normal(size=dimension(study))


def without(tensors, patient):
    keep = tensors.patients != patient
    kept = tensors.patients[keep]
    return Tensors(
        inputs=tensors.inputs[keep],
        labels=tensors.labels[keep],
        patients=kept - (kept > patient),
        n_patients=tensors.n_patients - 1,
    )


def loop_sum(study, tensors, weights, patient_gradient):
    total = np.zeros(dimension(study))
    for patient in range(tensors.n_patients):
        gradient = patient_gradient(study, tensors, weights, patient)
        norm = np.linalg.norm(gradient)
        total += gradient * min(1.0, study.training.clip_norm / norm)
    return total


@pytest.mark.parametrize("hidden", [(), (4,), (7, 3)])
@pytest.mark.parametrize("records", [1, 3, 12])
@pytest.mark.parametrize("clip_norm", [0.2, 5.0])
def test_the_sum_equals_a_loop_over_single_records(
    make_study, make_tensors, patient_gradient, hidden, records, clip_norm
):
    study = make_study(
        hidden=hidden, records_per_patient=records, training={"clip_norm": clip_norm}
    )
    tensors = make_tensors(study, patients=70, records=records, scale=2.0)
    weights = weights_for(study)
    expected = loop_sum(study, tensors, weights, patient_gradient)
    difference = np.linalg.norm(round_sum(tensors, weights, study) - expected)
    assert difference <= 1e-9 * np.linalg.norm(expected)


def test_a_wide_model_in_float32_still_equals_the_loop(make_study, make_tensors, patient_gradient):
    study = make_study(inputs=1000, hidden=(100,), training={"clip_norm": 0.5})
    tensors, weights = make_tensors(study, patients=20), weights_for(study, scale=0.03)
    expected = loop_sum(study, tensors, weights, patient_gradient)
    found = round_sum(tensors, weights, study)
    assert found.dtype == np.float64
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)


def test_patients_with_unequal_numbers_of_records_each_count_by_their_mean(
    make_study, make_tensors, patient_gradient
):
    study = make_study(records_per_patient=8, training={"clip_norm": 0.5})
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(30), rng.integers(1, 9, 30))
    drawn = make_tensors(study, patients=owner.size)
    tensors = dataclasses.replace(drawn, patients=rng.permutation(owner), n_patients=30)
    weights = weights_for(study)
    expected = loop_sum(study, tensors, weights, patient_gradient)
    np.testing.assert_allclose(round_sum(tensors, weights, study), expected, atol=1e-12)


@pytest.mark.parametrize("records", [1, 12])
def test_one_patient_moves_the_sum_by_at_most_the_clip_norm(make_study, make_tensors, records):
    study = make_study(hidden=(6,), records_per_patient=records, training={"clip_norm": 0.3})
    tensors = make_tensors(study, patients=50, records=records, scale=10.0)
    weights = weights_for(study, scale=3.0)
    whole = round_sum(tensors, weights, study)
    bound = 0.3 * (1 + FLOAT_SLACK)
    moved = [
        np.linalg.norm(whole - round_sum(without(tensors, p), weights, study)) for p in range(50)
    ]
    assert max(moved) <= bound
    assert max(moved) > 0.29


@pytest.mark.parametrize(("inputs", "hidden"), [(13, ()), (13, (7,)), (31, (8,)), (31, (40, 5))])
@pytest.mark.parametrize("size", [1e15, 1e17])
def test_one_patient_moves_nobody_else_when_the_weights_cancel(make_study, inputs, hidden, size):
    """All others move one place up; a last bit that depended on the place would be worth C."""
    study = make_study(inputs=inputs, hidden=hidden)
    rng = np.random.default_rng(1)
    direction, records = rng.normal(size=inputs), rng.normal(size=(601, inputs))
    records -= np.outer(records @ direction, direction) / (direction @ direction)
    tensors = Tensors(records, rng.integers(0, 2, 601).astype(np.float64), np.arange(601), 601)
    width = hidden[0] if hidden else 1
    first = np.tile(size * direction, width)
    weights = np.concatenate([first, rng.normal(size=dimension(study) - first.size)])
    moved = round_sum(tensors, weights, study) - round_sum(without(tensors, 0), weights, study)
    assert np.linalg.norm(moved) <= study.training.clip_norm * (1 + FLOAT_SLACK)


@pytest.mark.parametrize("hidden", [(), (6,)])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e6, 1e150, 1e300, np.nan, np.inf, -np.inf])
def test_a_hostile_patient_adds_at_most_the_clip_norm(make_study, make_tensors, hidden, scale):
    study = make_study(hidden=hidden)
    tensors, weights = make_tensors(study), weights_for(study)
    record = np.random.default_rng(5).normal(size=(1, 5))
    record[0, 2] = scale
    joined = Tensors(
        inputs=np.concatenate([tensors.inputs, record]),
        labels=np.append(tensors.labels, 1.0),
        patients=np.append(tensors.patients, tensors.n_patients),
        n_patients=tensors.n_patients + 1,
    )
    before, after = round_sum(tensors, weights, study), round_sum(joined, weights, study)
    assert np.linalg.norm(after - before) <= study.training.clip_norm * (1 + FLOAT_SLACK)
    if not np.isfinite(scale):
        np.testing.assert_allclose(after, before, atol=1e-14)


def test_terms_that_cancel_within_a_patient_are_still_bounded(make_study):
    """Two records with huge opposite gradients: the mean is small, its rounding error is not."""
    study = make_study(records_per_patient=2)
    inputs = np.zeros((2, 5))
    inputs[0, 0], inputs[1, 0] = 1e9, -1e9 * (1 + 1e-9)
    tensors = Tensors(inputs, np.array([1.0, 1.0]), np.zeros(2, dtype=np.int64), 1)
    total = round_sum(tensors, np.zeros(6), study)
    assert np.linalg.norm(total) <= 1.0


def test_no_training_patient_gives_pure_noise(make_study, make_tensors):
    study = make_study()
    empty = make_tensors(study, patients=0)
    assert not round_sum(empty, initial_weights(study), study).any()
    released = release_round(empty, initial_weights(study), study, planned_events(study).training)
    assert released.dtype == np.int64
    assert released.any()


def test_what_is_released_is_the_sum_plus_noise_of_the_declared_scale(make_study, make_tensors):
    study = make_study(hidden=(40,))
    tensors, weights = make_tensors(study), weights_for(study)
    event = planned_events(study).training
    gamma = grid_per_unit(study.training.clip_norm, study.training.grid_bits)
    exact = np.rint(gamma * round_sum(tensors, weights, study))
    draws = np.concatenate(
        [release_round(tensors, weights, study, event) - exact for _ in range(20)]
    )
    # 20 · 281 draws: the sample deviation is within 4 standard errors (3.8 %) of the declared one
    assert draws.std() == pytest.approx(event.noise_std_grid, rel=4 / np.sqrt(2 * draws.size))
    assert abs(draws.mean()) < 4 * event.noise_std_grid / np.sqrt(draws.size)


def test_without_noise_a_round_is_bit_for_bit_repeatable(make_study, make_tensors):
    study = make_study(hidden=(6,))
    tensors, weights = make_tensors(study, patients=700), weights_for(study)
    first = round_sum(tensors, weights, study)
    assert all(np.array_equal(first, round_sum(tensors, weights, study)) for _ in range(3))


def test_poisson_rounds_draw_about_their_share_of_the_patients(make_study):
    study = make_study(
        inputs=1, training={"sampling": {"scheme": "poisson", "rate": 0.25}, "clip_norm": 10.0}
    )
    tensors = Tensors(np.zeros((4000, 1)), np.zeros(4000), np.arange(4000), 4000)
    # at weight 0 every patient's bias gradient is 1/2: the sum counts who takes part
    counts = [2 * round_sum(tensors, np.zeros(2), study)[1] for _ in range(30)]
    assert np.mean(counts) == pytest.approx(1000, abs=5 * np.sqrt(4000 * 0.25 * 0.75 / 30))
    assert np.std(counts) == pytest.approx(np.sqrt(750), rel=0.6)


def test_weights_that_do_not_fit_are_refused(make_study, make_tensors):
    study = make_study()
    tensors = make_tensors(study)
    for weights in (np.zeros(5), np.full(6, np.nan), np.zeros(6, dtype=np.float32)):
        with pytest.raises(ProtocolError) as refused:
            round_sum(tensors, weights, study)
        assert refused.value.code == "PR008"


def test_more_patients_than_the_proof_covers_are_refused(make_study, make_tensors):
    study = make_study()
    tensors = dataclasses.replace(make_tensors(study), n_patients=MAX_PATIENTS + 1)
    with pytest.raises(SystemFault) as refused:
        round_sum(tensors, np.zeros(6), study)
    assert refused.value.code == "SY042"

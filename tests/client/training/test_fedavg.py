"""DP-FedAvg at a site: the steps are those of a plain loop, and only noised sums shape the update."""

import numpy as np
import pytest

from cordon_client.training import fedavg
from cordon_client.training.fedsgd import PatientSums
from cordon_client.training.noise import encode_grid
from cordon_common.errors import ProtocolError
from cordon_common.privacy.schedule import planned_events, update_grid
from cordon_common.privacy.sensitivity import grid_per_unit

LOCAL = {
    "algorithm": "dp-fedavg",
    "rounds": 3,
    "clip_norm": 0.7,
    "divisor": 120,
    "local_steps": 4,
    "local_learning_rate": 0.8,
    "update_norm": 5.0,
    "strategy": {"name": "fedprox", "proximal_mu": 0.3},
}


@pytest.fixture
def make_local(make_study):
    def build(**training):
        study = make_study(inputs=3)
        value = study.as_json() | {"training": LOCAL | training}
        return type(study).model_validate(value, strict=False)

    return build


def update(study, tensors, weights, share=0.5):
    event = planned_events(study).training
    released = fedavg.release_update(
        PatientSums(tensors, study), weights, study, event, share=share
    )
    return released / update_grid(study.training)


def test_without_noise_the_update_is_that_of_a_loop_over_patients(
    make_local, make_tensors, patient_gradient, monkeypatch
):
    monkeypatch.setattr(
        fedavg,
        "release_over",
        lambda vector, *, grid_per_unit, noise_std_grid: encode_grid(
            vector, grid_per_unit=grid_per_unit
        ),
    )
    study = make_local()
    tensors = make_tensors(study, patients=30)
    start = np.linspace(-1, 1, 4)
    local = start.copy()
    for _ in range(4):
        total = np.zeros(4)
        for patient in range(30):
            gradient = patient_gradient(study, tensors, local, patient)
            total += gradient * min(1.0, 0.7 / np.linalg.norm(gradient))
        local = local - 0.8 * (total / (120 * 0.5) + 0.3 * (local - start))
    np.testing.assert_allclose(update(study, tensors, start), local - start, atol=1e-5)


def test_a_long_update_is_shortened_to_its_public_bound(make_local, make_tensors):
    study = make_local(update_norm=0.01)
    change = update(study, make_tensors(study), np.zeros(4))
    assert np.linalg.norm(change) == pytest.approx(0.01, rel=1e-4)


def test_the_update_is_a_function_of_the_noised_sums_alone(make_local, make_tensors, monkeypatch):
    """Other patients, other batch sizes, the same noised integers: the same bytes leave."""
    study = make_local(sampling={"scheme": "poisson", "rate": 0.5})
    updates = []
    for patients in (5, 60):
        numbers = np.random.default_rng(1)
        monkeypatch.setattr(
            fedavg,
            "release_over",
            lambda vector, numbers=numbers, **_: numbers.integers(-(2**24), 2**24, vector.size),
        )
        updates.append(update(study, make_tensors(study, patients=patients), np.zeros(4)))
    np.testing.assert_array_equal(*updates)


def test_every_step_that_is_charged_is_taken_and_no_other(make_local, make_tensors, monkeypatch):
    taken = []
    honest = fedavg.release_over

    def counting(vector, **options):
        taken.append(options["noise_std_grid"])
        return honest(vector, **options)

    monkeypatch.setattr(fedavg, "release_over", counting)
    study = make_local()
    event = planned_events(study).training
    update(study, make_tensors(study), np.zeros(4))
    assert taken == [event.noise_std_grid] * event.steps == [event.noise_std_grid] * 4


def test_a_site_without_training_patients_answers_with_noise_of_the_declared_scale(
    make_local, make_tensors
):
    study = make_local(local_steps=1, update_norm=1e6, strategy={"name": "fedavg"})
    nobody = make_tensors(study, patients=0)
    event = planned_events(study).training
    gamma = grid_per_unit(0.7, study.training.grid_bits)
    std = 0.8 * event.noise_std_grid / gamma / (120 * 0.5)
    drawn = np.concatenate([update(study, nobody, np.zeros(4)) for _ in range(300)])
    assert drawn.std() == pytest.approx(std, rel=0.1)


def test_another_algorithm_is_refused(make_study, make_tensors):
    study = make_study(inputs=3)
    event, sums = planned_events(study).training, PatientSums(make_tensors(study), study)
    with pytest.raises(ProtocolError) as refused:
        fedavg.release_update(sums, np.zeros(4), study, event, share=1.0)
    assert refused.value.code == "PR008"

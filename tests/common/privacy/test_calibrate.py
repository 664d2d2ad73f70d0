"""Calibrated noise keeps the promise, and no less noise would."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError
from cordon_common.privacy import sensitivity
from cordon_common.privacy.accounting import epsilon_pld, study_epsilon
from cordon_common.privacy.calibrate import (
    calibrate_noise,
    draft_noise,
    resolve,
    round_up,
)
from cordon_common.privacy.gaussian import gdp_mu
from cordon_common.privacy.schedule import planned_events


def spent(study):
    return study_epsilon(planned_events(study).all_events(), study.privacy.delta)


@settings(deadline=None, max_examples=40)
@given(
    epsilon=st.floats(0.02, 50),
    delta=st.sampled_from([1e-7, 1e-5, 1e-4, 1e-3]),
    share=st.floats(0.02, 0.9),
    rounds=st.integers(1, 2000),
)
def test_full_batch_noise_keeps_epsilon_within_a_thousandth(
    make_study, epsilon, delta, share, rounds
):
    privacy = {"epsilon": epsilon, "delta": delta, "qc_share": share}
    study = resolve(make_study(training={"rounds": rounds}, privacy=privacy))
    assert epsilon * (1 - 1e-3) <= spent(study).pld <= epsilon
    assert spent(study).rdp >= spent(study).pld


@pytest.mark.parametrize(
    ("epsilon", "rate", "rounds"), [(0.5, 0.1, 40), (2.0, 0.5, 30), (8, 0.25, 100)]
)
def test_poisson_noise_keeps_epsilon_within_a_thousandth(make_study, epsilon, rate, rounds):
    training = {"rounds": rounds, "sampling": {"scheme": "poisson", "rate": rate}}
    study = resolve(make_study(training=training, privacy={"epsilon": epsilon}))
    assert epsilon * (1 - 1e-3) <= spent(study).pld <= epsilon
    assert draft_noise(study).training <= calibrate_noise(study).training * 1.15
    assert draft_noise(study).training >= calibrate_noise(study).training
    train_path = [e for e in planned_events(study).all_events() if e.population != "holdout"]
    assert epsilon_pld(train_path, 1e-5) >= epsilon * (1 - 1e-3)


def test_qc_gets_its_share_and_evaluation_what_training_gets(make_study):
    study = make_study(privacy={"epsilon": 2.0, "qc_share": 0.2})
    noise = calibrate_noise(study)
    budget = gdp_mu(2.0, 1e-5) ** 2
    assert 1 / noise.qc**2 == pytest.approx(0.2 * budget, rel=1e-3)
    assert 30 / noise.training**2 == pytest.approx(0.8 * budget, rel=1e-3)
    assert 1 / noise.evaluation**2 == pytest.approx(0.8 * budget, rel=1e-3)


def test_sampling_needs_less_noise_unless_one_patient_touches_several(make_study):
    poisson = {"sampling": {"scheme": "poisson", "rate": 0.25}}
    full = calibrate_noise(make_study()).training
    assert calibrate_noise(make_study(training=poisson)).training < full / 2
    exclude = {"duplicate_patients": "exclude", "gate": {"min_patients": 30, "min_sites": 2}}
    assert calibrate_noise(make_study(training=poisson, qc=exclude)).training == full


def test_noise_that_is_already_there_is_left_alone(make_study):
    noise = {"qc": 20.0, "training": 15.0, "evaluation": 3.0}
    study = make_study(privacy={"epsilon": 2.0, "noise": noise})
    assert resolve(study) is study


def test_resolving_changes_nothing_but_the_noise(make_study):
    study = make_study()
    resolved = resolve(study)
    assert study.privacy.noise is None
    assert resolved.privacy.model_copy(update={"noise": None}) == study.privacy
    assert resolved.model_copy(update={"privacy": study.privacy}) == study


def test_a_promise_that_needs_more_noise_than_the_protocol_knows_is_refused(make_study):
    with pytest.raises(ProtocolError, match="PR031"):
        resolve(make_study(training={"rounds": 10_000}, privacy={"epsilon": 1e-4, "delta": 1e-8}))


def test_a_generator_with_short_tails_cannot_prove_a_weak_promise(make_study, monkeypatch):
    resolve(make_study(privacy={"epsilon": 100.0}))
    monkeypatch.setattr(sensitivity, "NOISE_REACH", 9.0)
    resolve(make_study(privacy={"epsilon": 5.0}))
    with pytest.raises(ProtocolError, match="PR031") as refusal:
        resolve(make_study(privacy={"epsilon": 100.0}))
    assert "tails" in refusal.value.why


def test_what_the_generator_lacks_is_paid_for_in_epsilon(make_study, monkeypatch):
    monkeypatch.setattr(sensitivity, "NOISE_DEFECT", 1e-5)
    study = resolve(make_study())
    integers = sum(event.dimension for event in planned_events(study).all_events())
    room = 2.0 - 2e-5 * integers
    assert room * (1 - 1e-3) <= spent(study).pld <= room


@given(value=st.floats(1e-3, 1e7))
def test_rounding_up_is_short_and_never_down(value):
    rounded = round_up(value)
    assert value * (1 - 1e-15) <= rounded <= value * (1 + 1.0001e-4)
    assert len(repr(rounded).replace(".", "").strip("0").split("e")[0]) <= 5
    assert math.isfinite(rounded)


@pytest.mark.parametrize("sampling", [{"scheme": "full"}, {"scheme": "poisson", "rate": 0.25}])
def test_local_steps_are_all_paid_for(make_study, sampling):
    study = make_study()
    local = {
        "algorithm": "dp-fedavg",
        "rounds": 5,
        "sampling": sampling,
        "clip_norm": 1.0,
        "divisor": 300,
        "local_steps": 6,
        "local_learning_rate": 0.5,
        "update_norm": 10.0,
    }
    value = study.as_json() | {"training": local}
    resolved = resolve(type(study).model_validate(value, strict=False))
    schedule = planned_events(resolved)
    assert (schedule.rounds, schedule.training.steps) == (5, 6)
    spent = study_epsilon(schedule.all_events(), resolved.privacy.delta).pld
    assert 0.999 * resolved.privacy.epsilon < spent <= resolved.privacy.epsilon

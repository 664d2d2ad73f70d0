"""The plan of a study follows from its protocol alone, and matches what the vault will do."""

import math

import pytest

from cordon_common.errors import ProtocolError
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.events import GaussianRelease, SampledGaussianRelease, parse_event
from cordon_common.privacy.schedule import (
    check_headroom,
    planned_events,
    release_grid,
    site_patients_cap,
)
from cordon_common.privacy.sensitivity import FLOAT_SLACK
from cordon_common.protocol.layout import dimension
from cordon_common.qc.summary import qc_layout

NOISE = {"qc": 20.0, "training": 15.0, "evaluation": 3.0}
PRIVACY = {"epsilon": 2.0, "delta": 1e-5, "noise": NOISE}
EXCLUDE = {"duplicate_patients": "exclude", "gate": {"min_patients": 30, "min_sites": 2}}


def test_a_study_releases_qc_once_training_every_round_and_evaluation_once(make_study):
    plan = planned_events(make_study(privacy=PRIVACY))
    events = plan.all_events()
    assert [event.purpose for event in events] == ["qc", *["training"] * 30, "evaluation"]
    assert [event.population for event in events] == ["all", *["train"] * 30, "holdout"]
    assert [event.noise_multiplier for event in events] == [20.0, *[15.0] * 30, 3.0]


def test_dimensions_follow_the_model_the_qc_layout_and_the_bins(make_study):
    study = make_study(privacy=PRIVACY)
    plan = planned_events(study)
    assert plan.training.dimension == dimension(study) == 7
    assert plan.qc.dimension == qc_layout(study).dimension
    assert plan.evaluation.dimension == 2 * study.evaluation.bins


def test_a_study_without_noise_has_no_plan_yet(make_study):
    with pytest.raises(ProtocolError, match="PR007"):
        planned_events(make_study())


def test_poisson_training_is_a_sampled_event(make_study):
    study = resolve(make_study(training={"sampling": {"scheme": "poisson", "rate": 0.5}}))
    training = planned_events(study).training
    assert isinstance(training, SampledGaussianRelease)
    assert training.sample_rate == 0.5
    assert isinstance(planned_events(study).qc, GaussianRelease)


def test_a_rule_that_lets_one_patient_touch_two_doubles_the_sensitivity(make_study):
    warn = planned_events(make_study(privacy=PRIVACY))
    exclude = planned_events(make_study(privacy=PRIVACY, qc=EXCLUDE))
    ratio = exclude.training.sensitivity_grid / warn.training.sensitivity_grid
    assert ratio == pytest.approx(2, rel=1e-5)
    assert (warn.training.stability, exclude.training.stability) == (1, 2)


def test_the_stability_of_the_qc_summary_is_counted_once(make_study):
    study = make_study(privacy=PRIVACY, qc=EXCLUDE)
    qc = planned_events(study).qc
    bound = qc_layout(study).l2_sensitivity(study) * release_grid(study).qc
    assert qc.sensitivity_grid == pytest.approx(
        bound * (1 + FLOAT_SLACK) + math.sqrt(qc.dimension), rel=1e-12
    )


def test_the_grid_maps_every_l2_bound_to_the_same_number_of_steps(make_study):
    study = make_study(training={"clip_norm": 0.3, "grid_bits": 30})
    grid = release_grid(study)
    assert grid.training * 0.3 == pytest.approx(2**30)
    assert grid.evaluation == 2**30
    assert grid.qc * qc_layout(study).l2_sensitivity(study) == pytest.approx(2**30)


def test_planned_events_survive_their_json(make_study):
    plan = planned_events(resolve(make_study()))
    for event in (plan.qc, plan.training, plan.evaluation):
        assert parse_event(event.model_dump(mode="json")) == event
        assert event.noise_std_grid == event.noise_multiplier * event.sensitivity_grid
        assert "noise_std_grid" not in event.model_dump()


def test_usual_studies_fit_the_ring(make_study):
    study = resolve(make_study())
    check_headroom(study)
    assert site_patients_cap(study) == 2**20


def test_a_grid_too_fine_for_the_hospitals_is_refused_and_the_suggested_one_fits(make_study):
    sites = (250_000,) * 9
    fine = make_study(training={"grid_bits": 40}, sites=sites, privacy=PRIVACY)
    with pytest.raises(ProtocolError, match="PR030") as refusal:
        check_headroom(fine)
    bits = int(refusal.value.fix.rsplit(" ", 1)[-1])
    assert 30 < bits < 40
    check_headroom(make_study(training={"grid_bits": bits}, sites=sites, privacy=PRIVACY))


def test_a_hospital_beyond_the_proved_size_is_refused(make_study):
    with pytest.raises(ProtocolError, match="PR030") as refusal:
        check_headroom(resolve(make_study(sites=(500, 2_000_000))))
    assert "several sites" in refusal.value.fix

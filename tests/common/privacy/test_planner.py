"""A plan agrees with the accounting that will hold, costs nothing and answers in seconds."""

import json
import time

import pytest

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import epsilon_pld, study_epsilon
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.planner import plan, summed_noise_std
from cordon_common.privacy.schedule import planned_events
from cordon_common.privacy.simulate import Utility
from cordon_common.privacy.suggest import POOR_LOSS, suggest


def test_a_plan_says_what_the_ledger_will_say(make_study):
    planned = plan(make_study(), simulate=False)
    events = planned_events(planned.study).all_events()
    assert planned.study == resolve(make_study())
    assert planned.epsilon == study_epsilon(events, 1e-5)
    assert [site.site for site in planned.sites] == ["site-0", "site-1", "site-2"]
    assert {site.epsilon for site in planned.sites} == {planned.epsilon}
    qc, training, evaluation = planned.releases
    assert training.epsilon_once == epsilon_pld([planned_events(planned.study).training], 1e-5)
    assert training.epsilon_all > training.epsilon_once
    assert (qc.times, training.times, evaluation.times) == (1, 30, 1)


def test_the_noise_is_given_in_the_unit_of_the_statistic(make_study):
    planned = plan(make_study(training={"clip_norm": 0.5}), simulate=False)
    qc, training, evaluation = planned.releases
    assert training.bound == 0.5
    assert evaluation.bound == 1.0
    for item in (qc, training, evaluation):
        assert item.noise_std == pytest.approx(item.noise_multiplier * item.bound, rel=1e-3)
    assert summed_noise_std(planned.study) == pytest.approx(3**0.5 * training.noise_std)


def test_a_site_sees_what_its_budget_would_look_like_afterwards(make_study):
    budgets = {"site-0": BudgetFilter(8.0, 1e-5), "site-1": BudgetFilter(1.0, 1e-5)}
    rich, poor, unknown = plan(make_study(), budgets=budgets, simulate=False).sites
    events = planned_events(resolve(make_study())).all_events()
    assert rich.budget.admitted
    assert rich.budget.share == budgets["site-0"].share([events])
    assert 0 < rich.budget.remaining < budgets["site-0"].remaining([])
    assert not poor.budget.admitted
    assert poor.budget.remaining == 0
    assert unknown.budget is None


def test_planning_is_quick_repeatable_and_plain_json(make_study):
    started = time.process_time()
    first = plan(make_study())
    assert time.process_time() - started < 10
    second = plan(make_study())
    text = json.dumps(first.as_json(), allow_nan=False)
    assert json.dumps(second.as_json(), allow_nan=False) == text
    assert f"{first.utility.auc:.3f}" in first.utility_sentence()


def test_a_plan_with_poisson_sampling_is_quick_as_well(make_study):
    training = {"sampling": {"scheme": "poisson", "rate": 0.3}}
    started = time.process_time()
    planned = plan(make_study(training=training, privacy={"epsilon": 0.7}))
    assert time.process_time() - started < 10
    assert planned.epsilon.pld <= 0.7


def test_rows_hold_one_cell_per_column(make_study):
    planned = plan(make_study(), budgets={"site-0": BudgetFilter(8.0, 1e-5)}, simulate=False)
    assert {len(row) for row in planned.release_rows()} == {8}
    assert {len(row) for row in planned.site_rows()} == {7}
    assert planned.site_rows()[0][4] == "yes"
    assert planned.site_rows()[1][4:] == ("", "", "")


def test_a_plan_without_a_prediction_says_why(make_study):
    planned = plan(make_study(), simulate=False)
    assert planned.utility is None
    assert planned.suggestion is None
    assert "No prediction" in planned.utility_sentence()


def test_a_study_that_does_not_fit_the_ring_is_not_planned(make_study):
    with pytest.raises(ProtocolError, match="PR030"):
        plan(make_study(sites=(2_000_000, 80)), simulate=False)


def test_a_study_that_loses_little_gets_no_advice(make_study):
    utility = Utility(0.81, 0.8, 0.82, 0.81 + POOR_LOSS / 2, 20)
    assert suggest(resolve(make_study()), utility, summed_noise_std) is None


def test_a_study_that_loses_much_is_told_what_would_help(make_study):
    planned = plan(make_study(privacy={"epsilon": 0.3}))
    assert planned.utility.lost > POOR_LOSS
    advice = planned.suggestion
    assert advice.startswith("Noise costs")
    assert "times as many patients" in advice


def test_a_better_setting_at_the_same_epsilon_is_found(make_study):
    wild = {"optimizer": {"name": "sgd", "learning_rate": 3.0, "momentum": 0.95}}
    planned = plan(make_study(training=wild, privacy={"epsilon": 0.5}))
    assert "At the same epsilon" in planned.suggestion


def test_too_few_patients_for_too_many_inputs_are_named_as_the_problem(make_study):
    genes = [
        {"name": f"g{i}", "type": "number", "unit": "TPM", "range": [0, 1]} for i in range(400)
    ]
    label = {"name": "num", "positive": ["1"], "negative": ["0"]}
    cohort = {"patient_id": "pid", "features": genes, "label": label}
    advice = plan(make_study(cohort=cohort, sites=(40, 40, 40))).suggestion
    assert "too few for so many inputs" in advice

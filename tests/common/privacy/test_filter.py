"""The lifetime filter: never admits what exact composition refuses, and wastes little."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError, UsageError
from cordon_common.privacy.accounting import lifetime_epsilon
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.gaussian import gdp_epsilon, gdp_mu
from cordon_common.privacy.renyi import epsilon_offset

budgets = st.tuples(st.floats(0.1, 20), st.sampled_from([1e-7, 1e-5, 1e-4, 1e-3]))


@st.composite
def study(draw):
    """One study as plain numbers: QC noise, training noise, rate, rounds, evaluation noise."""
    return (
        draw(st.floats(4, 80)),
        draw(st.floats(2, 200)),
        draw(st.one_of(st.none(), st.sampled_from([0.1, 0.5]))),
        draw(st.integers(1, 60)),
        draw(st.floats(1, 40)),
    )


def events_of(make_event, drawn):
    qc, training, rate, rounds, evaluation = drawn
    return [
        make_event(qc, purpose="qc", population="all"),
        *[make_event(training, rate=rate)] * rounds,
        make_event(evaluation, purpose="evaluation", population="holdout"),
    ]


@settings(deadline=None, max_examples=60)
@given(budget=budgets, drawn=st.lists(study(), min_size=1, max_size=6))
def test_what_is_admitted_keeps_the_exact_composition_inside_the_budget(make_event, budget, drawn):
    epsilon, delta = budget
    budget_filter = BudgetFilter(epsilon, delta)
    held = []
    for asked in (events_of(make_event, one) for one in drawn):
        if budget_filter.admits(held, asked):
            held.append(asked)
    if held:
        assert lifetime_epsilon(held, delta).pld <= epsilon * (1 + 1e-6)
        assert budget_filter.spent(held) <= epsilon
        assert budget_filter.share(held) <= 1


@settings(deadline=None, max_examples=40)
@given(budget=budgets, drawn=st.lists(study(), min_size=1, max_size=4), more=study())
def test_a_longer_history_never_admits_more(make_event, budget, drawn, more):
    budget_filter = BudgetFilter(*budget)
    held = [events_of(make_event, one) for one in drawn]
    asked = events_of(make_event, more)
    if budget_filter.admits(held, asked):
        assert budget_filter.admits(held[1:], asked)
        assert budget_filter.admits(held, asked[:-1])
    assert budget_filter.remaining([*held, asked]) <= budget_filter.remaining(held)
    assert budget_filter.spent([*held, asked]) >= budget_filter.spent(held)


@given(budget=budgets)
def test_the_order_admits_more_gaussian_releases_than_any_other(budget):
    budget_filter = BudgetFilter(*budget)
    best = budget_filter.capacity / budget_filter.order
    for order in 1 + np.geomspace(1e-3, 1e7, 4001):
        other = (budget_filter.epsilon - epsilon_offset(order, budget_filter.delta)) / order
        assert other <= best * (1 + 1e-9)


def test_adaptivity_costs_a_few_percent_of_noise():
    for epsilon in (1.0, 2.0, 4.0, 8.0):
        budget_filter = BudgetFilter(epsilon, 1e-5)
        mu = math.sqrt(2 * budget_filter.capacity / budget_filter.order)
        assert 0.92 <= mu / gdp_mu(epsilon, 1e-5) <= 1


def test_the_remaining_study_is_admitted_and_a_larger_one_is_not(make_event):
    budget_filter = BudgetFilter(4.0, 1e-5)
    held = [[make_event(8.0)] * 30]
    left = budget_filter.remaining(held)
    mu = gdp_mu(left, 1e-5)
    assert budget_filter.admits(held, [make_event(1 / mu * (1 + 1e-6))])
    assert not budget_filter.admits(held, [make_event(1 / mu * (1 - 1e-6))])


def test_an_untouched_budget_is_whole(make_event):
    budget_filter = BudgetFilter(4.0, 1e-5)
    assert budget_filter.spent([]) == 0
    assert budget_filter.share([]) == 0
    assert 3.5 <= budget_filter.remaining([]) <= 4.0
    assert budget_filter.admits([], [])


def test_studies_add_up_and_parts_of_one_study_run_in_parallel(make_event):
    budget_filter = BudgetFilter(4.0, 1e-5)
    qc = make_event(20.0, purpose="qc", population="all")
    evaluation = make_event(5.0, purpose="evaluation", population="holdout")
    train_path, holdout_path = [qc, make_event(9.0)], [qc, evaluation]
    both = [qc, make_event(9.0), evaluation]
    assert budget_filter.cost(both) == max(
        budget_filter.cost(train_path), budget_filter.cost(holdout_path)
    )
    assert budget_filter.share([both, both]) == pytest.approx(2 * budget_filter.share([both]))


def test_full_batch_spending_reaches_the_budget_exactly_when_the_filter_closes(make_event):
    budget_filter = BudgetFilter(4.0, 1e-5)
    mu = math.sqrt(2 * budget_filter.capacity / budget_filter.order)
    one = [make_event(math.sqrt(10) / mu * (1 + 1e-9))]
    assert budget_filter.admits([one] * 9, one)
    assert not budget_filter.admits([one] * 10, one)
    assert budget_filter.spent([one] * 10) == pytest.approx(4.0, rel=1e-6)
    assert lifetime_epsilon([one] * 10, 1e-5).pld == pytest.approx(gdp_epsilon(mu, 1e-5), rel=1e-6)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.inf, 1e-5), (1, 0), (1, 1)]
)
def test_an_impossible_budget_is_refused(epsilon, delta):
    with pytest.raises(UsageError, match="US001"):
        BudgetFilter(epsilon, delta)


def test_an_unknown_event_is_never_admitted():
    with pytest.raises(ProtocolError, match="PR005"):
        BudgetFilter(1.0, 1e-5).admits([], ["laplace"])

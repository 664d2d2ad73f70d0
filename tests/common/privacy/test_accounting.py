"""ε from events: against closed form, dp-accounting and Opacus; laws; refusals; speed."""

import itertools
import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cordon_common.errors import ProtocolError, UsageError
from cordon_common.privacy import accounting
from cordon_common.privacy.accounting import epsilon_pld, epsilon_rdp, study_epsilon, tally
from cordon_common.privacy.events import LocalStepsRelease, parse_event
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.gaussian import gdp_delta, gdp_epsilon

DELTA = 1e-5


def uncached(events, delta=DELTA):
    """ε of the same events through a fresh dp-accounting accountant, one event at a time."""
    accountant = PLDAccountant(value_discretization_interval=1e-4)
    for event in events:
        one = dp_accounting.GaussianDpEvent(event.noise_multiplier)
        rate = getattr(event, "sample_rate", None)
        accountant.compose(dp_accounting.PoissonSampledDpEvent(rate, one) if rate else one)
    return accountant.get_epsilon(delta)


@pytest.mark.parametrize(("sigma", "rounds"), [(200.0, 1), (40.0, 30), (11.5, 30), (3.0, 100)])
def test_full_batch_epsilon_is_the_closed_form_and_the_numerical_one_agrees(
    make_event, sigma, rounds
):
    events = [make_event(sigma)] * rounds
    by_hand = gdp_epsilon(math.sqrt(rounds) / sigma, DELTA)
    assert epsilon_pld(events, DELTA) == pytest.approx(by_hand, rel=1e-12)
    assert accounting.pld_numeric(tally(events), DELTA) == pytest.approx(by_hand, rel=1e-3)
    assert by_hand <= epsilon_rdp(events, DELTA)


def test_a_mixed_ledger_agrees_with_dp_accounting_composed_one_by_one(make_event):
    events = [
        make_event(20.0, purpose="qc", population="all"),
        *[make_event(5.0, rate=0.25) for _ in range(12)],
        *[make_event(3.0, rate=0.05) for _ in range(8)],
        make_event(9.0),
    ]
    assert epsilon_pld(events, DELTA) == pytest.approx(uncached(events), rel=1e-3)


@pytest.mark.parametrize(
    ("sigma", "rate", "steps"), [(1.0, 0.05, 200), (5.0, 0.5, 100), (2.0, 0.25, 60)]
)
def test_sampled_epsilon_agrees_with_opacus(make_event, sigma, rate, steps):
    from opacus.accountants import PRVAccountant, RDPAccountant

    events = [make_event(sigma, rate=rate)] * steps
    prv, rdp = PRVAccountant(), RDPAccountant()
    for accountant in (prv, rdp):
        accountant.history = [(sigma, rate, steps)]
    ours = epsilon_pld(events, DELTA)
    # Opacus' PRV value is an upper bound with an absolute tolerance of 0.01.
    assert ours == pytest.approx(prv.get_epsilon(delta=DELTA, eps_error=0.01), abs=0.012)
    assert epsilon_rdp(events, DELTA) == pytest.approx(rdp.get_epsilon(delta=DELTA), rel=0.01)
    assert ours <= epsilon_rdp(events, DELTA)


settings_of_event = st.tuples(
    st.floats(0.7, 200),
    st.one_of(st.none(), st.sampled_from([0.05, 0.25, 0.5])),
    st.sampled_from(["all", "train", "holdout"]),
)


def build(make_event, drawn):
    return [
        make_event(sigma, population=population, rate=rate if population == "train" else None)
        for sigma, rate, population in drawn
    ]


@settings(deadline=None, max_examples=25)
@given(drawn=st.lists(settings_of_event, min_size=1, max_size=4))
def test_rdp_is_never_below_pld(make_event, drawn):
    epsilon = study_epsilon(build(make_event, drawn), DELTA)
    assert epsilon.pld <= epsilon.rdp * (1 + 1e-3)


@settings(deadline=None, max_examples=15)
@given(drawn=st.lists(settings_of_event, min_size=2, max_size=4))
def test_the_order_of_events_does_not_matter(make_event, drawn):
    events = build(make_event, drawn)
    values = {study_epsilon(order, DELTA) for order in itertools.permutations(events)}
    assert len(values) == 1


@settings(deadline=None, max_examples=25)
@given(drawn=st.lists(settings_of_event, min_size=1, max_size=3), more=settings_of_event)
def test_one_more_release_never_costs_less(make_event, drawn, more):
    before = study_epsilon(build(make_event, drawn), DELTA)
    after = study_epsilon(build(make_event, [*drawn, more]), DELTA)
    assert after.pld >= before.pld * (1 - 1e-3)
    assert after.rdp >= before.rdp


@settings(deadline=None, max_examples=25)
@given(
    sigma=st.floats(0.8, 100),
    factor=st.floats(1.01, 3),
    rate=st.one_of(st.none(), st.sampled_from([0.1, 0.5])),
    steps=st.integers(1, 60),
)
def test_more_noise_costs_less(make_event, sigma, factor, rate, steps):
    little = [make_event(sigma, rate=rate)] * steps
    much = [make_event(sigma * factor, rate=rate)] * steps
    assert epsilon_pld(much, DELTA) < epsilon_pld(little, DELTA)
    assert epsilon_rdp(much, DELTA) < epsilon_rdp(little, DELTA)


def test_sampling_amplifies_only_where_one_patient_has_one_coin(make_event):
    plain, sampled = make_event(5.0), make_event(5.0, rate=0.1)
    shared = make_event(5.0, rate=0.1, stability=2)
    assert epsilon_pld([sampled] * 10, DELTA) < epsilon_pld([plain] * 10, DELTA) / 2
    assert epsilon_pld([shared] * 10, DELTA) == epsilon_pld([plain] * 10, DELTA)


def test_train_and_holdout_run_in_parallel(make_event):
    qc = make_event(20.0, purpose="qc", population="all")
    training = [make_event(12.0)] * 30
    evaluation = make_event(4.0, purpose="evaluation", population="holdout")
    both = study_epsilon([qc, *training, evaluation], DELTA).pld
    assert both == max(epsilon_pld([qc, *training], DELTA), epsilon_pld([qc, evaluation], DELTA))
    assert both < epsilon_pld([qc, *training, evaluation], DELTA)


def test_no_events_cost_nothing():
    assert study_epsilon([], DELTA) == accounting.Epsilon(pld=0.0, rdp=0.0)


@pytest.mark.parametrize("unknown", [{"kind": "laplace.v1"}, None, "gaussian.v1"])
@pytest.mark.parametrize("function", [epsilon_pld, epsilon_rdp, study_epsilon])
def test_an_unknown_event_is_refused_never_free(make_event, function, unknown):
    with pytest.raises(ProtocolError, match="PR005"):
        function([make_event(), unknown], DELTA)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("function", [epsilon_pld, epsilon_rdp, study_epsilon])
def test_an_impossible_delta_is_refused(make_event, function, delta):
    with pytest.raises(UsageError, match="US001"):
        function([make_event()], delta)


def thousand_events(make_event):
    """A ledger of ten studies: QC, 98 Poisson or full-batch rounds, evaluation."""
    ledger = []
    for study in range(10):
        rate = 0.25 if study % 2 else None
        ledger.append(make_event(20.0 + study, purpose="qc", population="all"))
        ledger += [make_event(30.0 + study, rate=rate) for _ in range(98)]
        ledger.append(make_event(4.0 + study, purpose="evaluation", population="holdout"))
    return ledger


CACHES = (
    accounting.pld_of,
    accounting.rdp_of,
    accounting._distribution,
    accounting._sampled,
)


def clear_caches():
    for cached in CACHES:
        cached.cache_clear()


def computed():
    """How many values each cache had to compute."""
    return [cached.cache_info().misses for cached in CACHES]


def test_a_ledger_of_a_thousand_events_is_counted_once_and_exactly(make_event):
    """How fast it is, `benchmarks.dp_step --only accounting` says."""
    ledger = thousand_events(make_event)
    clear_caches()
    cold = study_epsilon(ledger, DELTA)
    after_cold = computed()
    assert 0 < max(after_cold) < len(ledger) / 10  # equal events share one distribution
    warm = study_epsilon(ledger, DELTA)
    assert computed() == after_cold
    clear_caches()
    fresh = study_epsilon(list(reversed(ledger)), DELTA)
    assert warm == cold
    assert fresh.pld == pytest.approx(cold.pld, abs=1e-9)


def test_the_accountant_is_imported_only_when_it_is_needed():
    import subprocess
    import sys

    code = (
        "import sys; import cordon_common.privacy.accounting as a; "
        "assert not {'dp_accounting', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_two_coins_can_be_worse_than_one_coin_of_twice_the_length():
    """Why a release with stability above 1 must not be counted with a sampling rate."""
    x = np.linspace(-60, 60, 600_001)
    rate, sigma = 0.5, 5.0
    base = norm.pdf(x, 0, sigma)
    one_coin = (1 - rate) * base + rate * norm.pdf(x, 2, sigma)
    weights = [(1 - rate) ** 2, 2 * rate * (1 - rate), rate**2]
    two_coins = sum(w * norm.pdf(x, k, sigma) for k, w in enumerate(weights))

    def hockey_stick(p, epsilon):
        return float(np.trapezoid(np.maximum(p - math.exp(epsilon) * base, 0), x))

    assert hockey_stick(two_coins, 0.0) > hockey_stick(one_coin, 0.0)
    for epsilon in (0.0, 0.1, 0.3, 0.6):
        assert hockey_stick(two_coins, epsilon) <= gdp_delta(2 / sigma, epsilon) * (1 + 1e-6)


@given(drawn=st.lists(st.floats(2, 100), min_size=1, max_size=5))
def test_a_lifetime_of_full_batch_studies_composes_the_dearer_path_of_each(make_event, drawn):
    studies = [
        [make_event(sigma), make_event(1.5 * sigma, purpose="evaluation", population="holdout")]
        for sigma in drawn
    ]
    mu = math.sqrt(sum(1 / sigma**2 for sigma in drawn))
    found = accounting.lifetime_epsilon(studies, DELTA)
    assert found.pld == pytest.approx(gdp_epsilon(mu, DELTA), rel=1e-9)
    assert found.rdp >= found.pld


def test_a_lifetime_counts_both_paths_where_they_cannot_be_ordered(make_event):
    study = [
        make_event(4.0, rate=0.2),
        make_event(6.0, purpose="evaluation", population="holdout"),
    ]
    both = accounting.lifetime_epsilon([study], DELTA).pld
    assert both == pytest.approx(epsilon_pld(study, DELTA))
    assert both > study_epsilon(study, DELTA).pld


@pytest.mark.parametrize("rate", [1.0, 0.125])
def test_local_steps_cost_what_as_many_releases_cost(make_event, rate):
    fields = make_event(3.0).model_dump() | {"kind": "local-steps.v1", "sample_rate": rate}
    rounds = [LocalStepsRelease.model_validate(fields | {"steps": 8})] * 5
    single = [make_event(3.0, rate=None if rate == 1 else rate)] * 40
    assert study_epsilon(rounds, 1e-5) == study_epsilon(single, 1e-5)
    assert parse_event(rounds[0].model_dump(mode="json")) == rounds[0]
    assert BudgetFilter(8.0, 1e-5).cost(rounds) == BudgetFilter(8.0, 1e-5).cost(single)


def test_several_coins_do_not_amplify_local_steps_either(make_event):
    fields = make_event(3.0, stability=2).model_dump() | {"kind": "local-steps.v1"}
    sampled = LocalStepsRelease.model_validate(fields | {"steps": 8, "sample_rate": 0.1})
    assert study_epsilon([sampled], 1e-5) == study_epsilon([make_event(3.0)] * 8, 1e-5)

"""Masked sums cost what two independent ways of computing say, whoever is looking."""

import math

import mpmath
import pytest
from pydantic import ValidationError

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import (
    Slack,
    lifetime_epsilon,
    slack_of,
    study_epsilon,
    with_slack,
)
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.events import SecureSumRelease, parse_event
from cordon_common.privacy.filter import SLACK_RESERVE, BudgetFilter
from cordon_common.privacy.gaussian import gdp_epsilon
from cordon_common.privacy.planner import summed_noise_std
from cordon_common.privacy.schedule import check_headroom, planned_events, site_patients_cap
from cordon_common.privacy.sensitivity import SUM_REACH, sum_log_ratio, sum_missing_mass, tau
from cordon_common.protocol.parse import with_trust
from cordon_common.protocol.study import Study


def masked(sigma=6.0, *, sites=5, colluding=1, rate=1.0, stability=1, **more):
    fields = {
        "purpose": "training",
        "population": "train",
        "noise_multiplier": sigma,
        "sensitivity_grid": 2.0**24,
        "stability": stability,
        "dimension": 10,
        "sites": sites,
        "colluding": colluding,
        "sample_rate": rate,
    }
    return SecureSumRelease(**(fields | more))


def rounded(k, s):
    """P(round(s g) = k), exactly."""
    upper, lower = (mpmath.mpf(k) + 0.5) / s, (mpmath.mpf(k) - 0.5) / s
    if k > 0:  # from the small side, so that nothing cancels
        return mpmath.ncdf(-lower) - mpmath.ncdf(-upper)
    return mpmath.ncdf(upper) - mpmath.ncdf(lower)


def sum_of_rounded(s, shares, span):
    """The distribution of a sum of rounded Gaussians, by convolution, and one rounded Gaussian."""
    one = {k: rounded(k, s) for k in range(-span, span + 1)}
    total = dict(one)
    for _ in range(shares - 1):
        wider = {}
        for a, p in total.items():
            for b, q in one.items():
                wider[a + b] = wider.get(a + b, mpmath.mpf(0)) + p * q
        total = wider
    return total, {k: rounded(k, s * mpmath.sqrt(shares)) for k in total}


@pytest.mark.parametrize(("share_std", "shares"), [(1.0, 2), (2.0, 3), (3.5, 2)])
def test_a_sum_of_rounded_noise_is_within_its_bound_of_one_rounded_gaussian(share_std, shares):
    with mpmath.workdps(60):
        total, one = sum_of_rounded(mpmath.mpf(share_std), shares, math.ceil(13 * share_std))
        reach = 6 * share_std * math.sqrt(shares)
        worst = max(abs(mpmath.log(total[k] / one[k])) for k in total if abs(k) <= reach)
    bound = sum_log_ratio(share_std=share_std, shares=shares, dimension=1)
    assert float(worst) <= bound
    # the bound is of the right size: at 6 of its 12 standard deviations it is a quarter
    assert float(worst) >= bound / 200


@pytest.mark.parametrize(("share_std", "shares", "dimension"), [(50.0, 3, 4), (2.0**20, 9, 10**6)])
def test_slack_formulas_equal_high_precision_arithmetic(share_std, shares, dimension):
    with mpmath.workdps(50):
        z, s = mpmath.mpf(SUM_REACH), mpmath.mpf(share_std)
        per_integer = z**2 / (24 * s**2) * (shares + mpmath.mpf(1) / shares)
        tails = 2 * dimension * (shares + 1) * mpmath.ncdf(-(z - 1 / s))
    arguments = {"share_std": share_std, "shares": shares, "dimension": dimension}
    assert sum_log_ratio(**arguments) == pytest.approx(float(dimension * per_integer), rel=1e-9)
    assert sum_missing_mass(**arguments) == pytest.approx(float(tails), rel=1e-6)


def test_discrete_sums_are_discrete_gaussians_to_the_bound_of_the_theorem():
    """KLS 2021, theorem 11, by convolution of exact discrete Gaussians at 60 digits."""
    with mpmath.workdps(60):
        s, span = mpmath.mpf(1), 25

        def discrete(std, width):
            weights = {k: mpmath.exp(-(k**2) / (2 * std**2)) for k in range(-width, width + 1)}
            norm = mpmath.fsum(weights.values())
            return {k: w / norm for k, w in weights.items()}

        one = discrete(s, span)
        total = {}
        for a, p in one.items():
            for b, q in one.items():
                total[a + b] = total.get(a + b, mpmath.mpf(0)) + p * q
        both = discrete(s * mpmath.sqrt(2), 2 * span)
        worst = max(abs(mpmath.log(total[k] / both[k])) for k in range(-12, 13))
    assert float(worst) <= tau(1.0, 2)
    assert tau(10.0, 50) < 1e-300


def test_too_coarse_a_share_has_no_bound_and_is_refused():
    with pytest.raises(ProtocolError) as refused:
        tau(0.9, 2)
    assert refused.value.code == "PR033"


def test_a_share_costs_as_noise_of_its_own_and_the_sum_as_noise_of_all_honest_sites():
    events = [masked(6.0, sites=5, colluding=1)] * 30
    local = study_epsilon(events, 1e-5, "local")
    summed = study_epsilon(events, 1e-5, "secure-sum")
    assert local.pld == pytest.approx(gdp_epsilon(math.sqrt(30 * 4) / 6, 1e-5), rel=1e-12)
    assert summed.pld == pytest.approx(gdp_epsilon(math.sqrt(30) / 6, 1e-5), rel=1e-9)
    assert summed.pld > gdp_epsilon(math.sqrt(30) / 6, 1e-5)  # the slack is in it
    assert summed.rdp >= summed.pld
    assert lifetime_epsilon([events], 1e-5, "secure-sum").pld == pytest.approx(summed.pld)


def test_sampling_amplifies_under_both_trust_models_unless_rules_couple_patients():
    for trust in ("local", "secure-sum"):
        full, sampled = (study_epsilon([masked(rate=rate)] * 9, 1e-5, trust) for rate in (1.0, 0.2))
        assert sampled.pld < full.pld
        coupled = study_epsilon([masked(rate=0.2, stability=2)] * 9, 1e-5, trust)
        assert coupled.pld == full.pld


def test_slack_beyond_delta_costs_everything():
    assert with_slack(lambda delta: 1.0, 1e-6, Slack(0.0, 1e-6)) == math.inf
    assert with_slack(lambda delta: 1.0, 1e-6, Slack(0.25, 0.0)) == pytest.approx(1.5)
    assert with_slack(lambda delta: 1.0, 1e-6, Slack()) == 1.0


def test_a_sum_without_honest_sites_is_no_event():
    with pytest.raises(ValidationError):
        masked(sites=3, colluding=3)
    event = masked()
    assert parse_event(event.model_dump(mode="json")) == event


def test_a_masked_study_keeps_its_promise_against_the_coordinator(make_study):
    study = make_study(
        privacy={"trust_model": "secure-sum"}, training={"sampling": {"scheme": "full"}}
    )
    study = resolve(study)
    events = planned_events(study).all_events()
    promised = study.privacy
    spent = study_epsilon(events, promised.delta, "secure-sum").pld
    assert promised.epsilon * (1 - 1e-3) < spent <= promised.epsilon
    assert study_epsilon(events, promised.delta, "local").pld > 1.4 * spent


def test_masks_save_the_noise_of_all_but_one_site(make_study):
    local = resolve(make_study())
    summed = resolve(make_study(privacy={"trust_model": "secure-sum"}))
    ratio = summed_noise_std(local) / summed_noise_std(summed)
    assert ratio == pytest.approx(math.sqrt(3), rel=1e-4)
    careful = resolve(
        with_trust(make_study(qc={"gate": {"min_patients": 30, "min_sites": 3}}), "secure-sum")
    )
    assert careful.privacy.colluding_sites == 1
    assert summed_noise_std(local) / summed_noise_std(careful) == pytest.approx(
        math.sqrt(2), rel=1e-4
    )


def test_a_smaller_attempt_gets_a_larger_share_each(make_study):
    plan = planned_events(resolve(make_study(privacy={"trust_model": "secure-sum"})))
    three, two = plan.training_among(3), plan.training_among(2)
    assert three == plan.training
    assert two.noise_std_grid == pytest.approx(three.noise_std_grid * math.sqrt(3 / 2))
    assert study_epsilon([two], 1e-5, "secure-sum").pld == pytest.approx(
        study_epsilon([three], 1e-5, "secure-sum").pld
    )
    plain = planned_events(resolve(make_study()))
    assert plain.training_among(2) == plain.training


def test_a_wide_model_on_a_coarse_grid_is_refused(make_study):
    wide = make_study(
        model={"family": "mlp", "hidden": [4096, 4096, 1024]},
        training={"grid_bits": 16, "rounds": 10_000},
        privacy={"trust_model": "secure-sum", "epsilon": 50.0},
    )
    with pytest.raises(ProtocolError) as refused:
        resolve(wide)
    assert refused.value.code == "PR033"


def test_half_the_ring_holds_half_the_bits(make_study):
    short = {"grid_bits": 17, "ring_bits": 32}
    fits = resolve(make_study(training=short, privacy={"trust_model": "secure-sum"}))
    check_headroom(fits)
    cap, event = site_patients_cap(fits), planned_events(fits).training
    assert 3 * (cap * 2**17 + 10 * event.noise_std_grid) < 2**31
    assert 3 * ((cap + 1) * 2**17 + 10 * event.noise_std_grid) >= 2**31
    tight = resolve(
        make_study(training=short | {"grid_bits": 24}, privacy={"trust_model": "secure-sum"})
    )
    with pytest.raises(ProtocolError) as refused:
        check_headroom(tight)
    assert refused.value.code == "PR030"
    assert "ring_bits: 32" in refused.value.why


def test_combinations_that_mean_nothing_are_refused_when_the_study_is_read(make_study):
    with pytest.raises(ValidationError, match="any number of colluding sites"):
        make_study(privacy={"colluding_sites": 1})
    with pytest.raises(ValidationError, match="goes with privacy"):
        make_study(training={"ring_bits": 32})
    with pytest.raises(ValidationError, match="min_sites: 3"):
        make_study(privacy={"trust_model": "secure-sum", "colluding_sites": 1})


def test_changing_the_trust_model_asks_for_new_noise_and_back_is_the_same_study(make_study):
    local = resolve(make_study(qc={"gate": {"min_patients": 30, "min_sites": 3}}))
    summed = with_trust(local, "secure-sum")
    assert summed.privacy.noise is None
    assert with_trust(local, "local") is local
    assert resolve(with_trust(summed, "local")) == local
    assert isinstance(summed, Study)


def test_a_budget_counts_under_the_trust_model_of_the_policy():
    events = [masked(6.0, sites=5, colluding=1)] * 30
    local, summed = BudgetFilter(5.0, 1e-5), BudgetFilter(5.0, 1e-5, "secure-sum")
    assert not local.admits([], events)
    assert summed.admits([], events)
    assert not summed.admits([events] * 3, events)
    exact = study_epsilon(events, 1e-5, "secure-sum").pld
    assert exact < summed.spent([events]) <= 5.0


def test_a_budget_pays_for_rounding_only_out_of_its_reserve():
    coarse = [masked(600.0, dimension=10**6, sensitivity_grid=1.0)] * 3
    budget = BudgetFilter(4.0, 1e-5, "secure-sum")
    assert slack_of(coarse).epsilon > 4.0 * SLACK_RESERVE
    assert budget.cost(coarse) < budget.capacity / 10
    assert not budget.admits([], coarse)

"""The gate: a site's own hard failures exclude, contradictions wait, drift only warns."""

import numpy as np
import pandas as pd
import pytest
from summaries import HEART, HEART_SITES, PASSED, draw, federation, released, verdict

from cordon_client.qc.tabular import run_table_qc
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.summary import LABEL, decode, qc_layout
from cordon_common.qc.verdict import ReasonCode, Severity
from cordon_server.gate import Action, SiteReport, decide

SITES = ("cleveland", "hungarian", "switzerland", "va")


FAILED = verdict(
    severity="fail",
    checks=PASSED | {"feature.unit": "fail"},
    reasons=["wrong_unit"],
    may_train=False,
)


def report(site, summary, own=None):
    return SiteReport(site, own or verdict(), summary)


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


def test_sites_that_pass_train(rng):
    decision = decide(HEART, federation(rng))
    assert decision.go
    assert decision.included() == ("site-0", "site-1", "site-2", "site-3")
    assert all(site.severity is Severity.PASS for site in decision.sites)


def test_a_local_hard_failure_excludes_and_keeps_its_reasons(rng):
    reports = federation(rng)
    reports[1] = report("site-1", reports[1].summary, FAILED)
    decision = decide(HEART, reports)
    assert decision.go
    assert decision.included() == ("site-0", "site-2", "site-3")
    assert decision.sites[1].action is Action.EXCLUDE
    assert decision.sites[1].reasons == (ReasonCode.WRONG_UNIT,)


def test_an_excluded_site_cannot_be_let_through(rng):
    reports = [*federation(rng)[1:], report("site-0", federation(rng)[0].summary, FAILED)]
    assert "site-0" not in decide(HEART, reports, released={"site-0"}).included()


def test_below_the_minimum_of_sites_the_study_stops(rng):
    reports = federation(rng)
    for index in (0, 1):
        reports[index] = report(f"site-{index}", reports[index].summary, FAILED)
    decision = decide(HEART, reports)
    assert not decision.go
    assert decision.reasons == (ReasonCode.TOO_FEW_SITES,)
    assert not decide(HEART, []).go


def test_a_failed_hard_check_beside_may_train_fails_closed(rng):
    reports = federation(rng)
    lie = FAILED.model_copy(update={"may_train": True})
    reports[0] = report("site-0", reports[0].summary, lie)
    decision = decide(HEART, reports).sites[0]
    assert decision.action is Action.EXCLUDE
    assert ReasonCode.CHECKS_CONTRADICT_VERDICT in decision.reasons


def test_a_failed_check_that_nobody_knows_fails_closed(rng):
    reports = federation(rng)
    odd = verdict(severity="error", checks=PASSED | {"feature.unheard-of": "error"})
    reports[0] = report("site-0", reports[0].summary, odd)
    assert decide(HEART, reports).sites[0].action is Action.EXCLUDE


@pytest.mark.parametrize("silent", sorted(PASSED))
def test_a_verdict_that_is_silent_about_a_hard_check_fails_closed(rng, silent):
    reports = federation(rng)
    checks = {check: severity for check, severity in PASSED.items() if check != silent}
    reports[0] = report("site-0", reports[0].summary, verdict(checks=checks))
    assert decide(HEART, reports).sites[0].action is Action.EXCLUDE


def test_a_count_far_below_the_minimum_waits_for_a_person(rng):
    reports = federation(rng, sizes=(9, 250, 130, 200))
    decision = decide(HEART, reports)
    assert decision.sites[0].action is Action.REVIEW
    assert decision.sites[0].reasons == (ReasonCode.COUNT_CONTRADICTS_VERDICT,)
    assert decision.go
    assert "site-0" in decide(HEART, reports, released={"site-0"}).included()


def test_a_count_that_noise_could_explain_does_not_hold_a_site_up(rng):
    reports = federation(rng, sizes=(41, 250, 130, 200), noise_std=20.0)
    assert decide(HEART, reports).sites[0].action is Action.TRAIN


def test_another_profile_is_shown(rng):
    reports = federation(rng)
    reports[0] = report("site-0", reports[0].summary, verdict(profile="own.v1"))
    decision = decide(HEART, reports).sites[0]
    assert decision.action is Action.TRAIN
    assert decision.reasons == (ReasonCode.OTHER_PROFILE,)


def test_a_site_that_loses_a_column_is_seen_and_not_excluded(rng):
    layout = {spec.name: spec for spec in qc_layout(HEART).histograms}
    lost = np.zeros(len(layout["chol"].cells))
    lost[-2:] = 0.5
    decision = decide(HEART, federation(rng, faults={"chol": lost}))
    site = decision.sites[0]
    assert site.action is Action.TRAIN
    assert site.severity is Severity.WARN
    assert site.reasons == (ReasonCode.COLUMN_EMPTY,)
    assert [(w.feature, w.what) for w in site.findings] == [("chol", "missing")]
    assert all(not other.findings for other in decision.sites[1:])


def test_a_site_with_a_shifted_column_is_seen(rng):
    layout = {spec.name: spec for spec in qc_layout(HEART).histograms}
    shifted = np.zeros(len(layout["age"].cells))
    shifted[6:10] = 0.25
    site = decide(HEART, federation(rng, faults={"age": shifted})).sites[0]
    assert site.findings[0].feature == "age"
    assert site.findings[0].what.startswith("below ")
    assert site.findings[0].difference < -0.4


def test_a_site_with_swapped_prevalence_is_seen(rng):
    site = decide(HEART, federation(rng, positive=0.95)).sites[0]
    assert site.reasons == (ReasonCode.PREVALENCE,)


def test_a_faulty_large_site_does_not_become_the_reference(rng):
    """The fault sits at the site with most patients; the small honest ones are not accused."""
    layout = {spec.name: spec for spec in qc_layout(HEART).histograms}
    lost = np.zeros(len(layout["chol"].cells))
    lost[-2:] = 0.5
    decision = decide(
        HEART, federation(rng, sizes=(5000, 200, 200, 200, 200, 200), faults={"chol": lost})
    )
    blamed = [s.site for s in decision.sites if any(w.difference > 0 for w in s.findings)]
    assert blamed == ["site-0"]


def test_a_copy_of_cleveland_with_its_outcome_turned_around_is_reviewed_and_no_other_site(tmp_path):
    """Real hospitals, the noise of the study's own plan, eight draws of it."""
    folder = HEART_SITES
    if not folder.is_dir():
        pytest.skip("the shared data folder is not there")
    study = resolve(HEART)
    turned = pd.read_csv(folder / "cleveland.csv", dtype=str, keep_default_na=False)
    turned["num"] = np.where(turned["num"] == "0", "1", "0")
    turned.to_csv(tmp_path / "turned.csv", index=False)
    paths = {site: folder / f"{site}.csv" for site in SITES} | {"turned": tmp_path / "turned.csv"}
    found = {site: run_table_qc(study, path, bytes(32)) for site, path in paths.items()}
    layout, gamma = qc_layout(study), release_grid(study).qc
    std = planned_events(study).qc.noise_std_grid
    for seed in range(8):
        rng = np.random.default_rng(seed)
        reports = []
        for site, qc in found.items():
            noisy = np.rint(qc.summary * gamma + rng.normal(0, std, len(qc.summary)))
            read = decode(layout, noisy.astype(np.int64), grid_per_unit=gamma, noise_std_grid=std)
            reports.append(SiteReport(site, qc.verdict, read))
        for shown in (reports, reports[:-1]):
            decision = decide(study, shown)
            reviewed = [s.site for s in decision.sites if s.action is Action.REVIEW]
            assert reviewed == (["turned"] if shown is reports else []), seed
            assert decision.go
        released = decide(study, reports, released={"turned"})
        assert "turned" in released.included()
        assert "turned" not in decide(study, reports, kept_out={"turned"}).included()


def test_the_study_may_say_that_doubted_sites_train(rng):
    reports = federation(rng, sizes=(9, 250, 130, 200))
    rule = HEART.qc.gate.model_copy(update={"under_review": "train"})
    lenient = HEART.model_copy(update={"qc": HEART.qc.model_copy(update={"gate": rule})})
    assert decide(lenient, reports).sites[0].action is Action.TRAIN


def test_the_decision_is_the_same_in_any_order_and_has_a_json_form(rng):
    reports = federation(rng, positive=0.95)
    forward, backward = decide(HEART, reports), decide(HEART, reports[::-1])
    assert forward == backward
    value = forward.sites[0].as_json()
    assert value["action"] == "train"
    assert value["reasons"] == ["prevalence"]
    assert value["warnings"][0]["feature"] == LABEL


def test_a_difference_that_would_tell_a_suppressed_cell_is_told_without_its_size(rng):
    """Nobody lacks cholesterol here and half do elsewhere: the size would tell how many do."""
    cells = next(spec for spec in qc_layout(HEART).histograms if spec.name == "chol").cells
    half = np.array([*[0.5 / (len(cells) - 2)] * (len(cells) - 2), 0.25, 0.25])
    whole = np.array([*[1.0] * (len(cells) - 3), 0, 0, 0]) / (len(cells) - 3)
    reports = []
    for index, chances in enumerate((whole, half, half, half)):
        vector = draw(rng, 250, faults={"chol": chances})
        reports.append(report(f"site-{index}", released(vector, rng, noise_std=1.0)))
    value = decide(HEART, reports).sites[0].as_json()
    (found,) = (w for w in value["warnings"] if w["feature"] == "chol")
    assert (found["contrast"], found["direction"]) == ("missing", "fewer")
    assert (found["difference"], found["limit"]) == (None, None)
    assert value["kept"] is None  # nobody was left out: all patients and the kept are the same


def test_four_real_hospitals_all_train_and_their_differences_are_shown(rng):
    """Honest case mix (Swiss prevalence 93 %, no cholesterol there) warns and excludes nobody."""
    folder = HEART_SITES
    if not folder.is_dir():
        pytest.skip("the shared data folder is not there")
    reports = []
    for site in SITES:
        qc = run_table_qc(HEART, folder / f"{site}.csv", bytes(32))
        reports.append(SiteReport(site, qc.verdict, released(qc.summary, rng, noise_std=4.0)))
    decision = decide(HEART, reports)
    assert decision.included() == SITES
    swiss = next(site for site in decision.sites if site.site == "switzerland")
    found = {(w.feature, w.what) for w in swiss.findings}
    assert ("chol", "missing") in found
    assert (LABEL, "positive") in found

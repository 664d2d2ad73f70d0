"""Units, codes and empty columns: what is named, what waits for a person, what is left alone."""

import numpy as np
import pytest
from summaries import HEART_SITES, by_site, federation, narrowed, verdict

from cordon_client.qc.tabular import run_table_qc
from cordon_common.privacy.calibrate import resolve
from cordon_common.qc.summary import qc_layout
from cordon_common.qc.verdict import ReasonCode, Severity
from cordon_server.crosssite.chance import null_from
from cordon_server.crosssite.findings import findings
from cordon_server.crosssite.links import links_of
from cordon_server.crosssite.mismatch import (
    asked,
    equal_law,
    evidence,
    evidence_limit,
    known_shares,
    mismatches,
)
from cordon_server.crosssite.recoding import recodings
from cordon_server.crosssite.shares import side_by_side
from cordon_server.gate import Action, decide

WIDE = narrowed("age", "sex", "chol", "cp", chol={"range": (1.0, 1000.0)})
USUAL = np.array([0.02, 0.08, 0.2, 0.25, 0.2, 0.15, 0.06, 0.03, 0.01, 0.0])
SHARES = {"chol": USUAL, "sex": np.array([0.2, 0.8]), "cp": np.array([0.1, 0.15, 0.3, 0.45])}
POSSIBLE = {f.name: recodings(f, WIDE.qc.histogram_bins) for f in WIDE.cohort.measured}


def usual(**changes):
    """The cells of the features at a site: known shares, then strange and missing ones."""
    return {name: np.array([*known, 0.0, 0.0, 0.0]) for name, known in (SHARES | changes).items()}


def written(feature, words):
    """The cells of a feature that is written otherwise."""
    recoding = next(r for r in POSSIBLE[feature] if r.words == words)
    return {feature: np.array([*(np.array([*SHARES[feature], 0.0]) @ recoding.matrix), 0.0, 0.0])}


def sites(rng, *, noise_std=3.0, sizes=(300, 250, 280, 400), faults=None, effects=None):
    """Draw sites alike but for the first; sex goes with the outcome (effects: at the first)."""
    columns = {"age": 0.0, "sex": 0.3, "chol": 0.0}
    reports = []
    for index, n in enumerate(sizes):
        first = index == 0
        sums = [n * columns.get(c.feature, 0.0) for c in qc_layout(WIDE).effects.columns]
        own = effects if first and effects is not None else sums
        (made,) = federation(
            rng,
            noise_std=noise_std,
            sizes=(n,),
            study=WIDE,
            faults=usual() | ((faults or {}) if first else {}),
            effects=own,
        )
        reports.append(made.__class__(f"site-{index}", made.verdict, made.summary))
    return reports


def told(reports):
    found = findings(WIDE, by_site(reports))
    return {
        (s, f.feature, f.check.split(".")[1], f.doubted)
        for s, b in found.items()
        for f in b.findings
    }


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


def test_equal_sites_show_nothing(rng):
    for noise_std in (0.5, 3.0, 10.0):
        for _ in range(5):
            assert told(sites(rng, noise_std=noise_std)) == set()


@pytest.mark.parametrize("noise_std", [1.0, 8.0])
def test_the_evidence_of_equal_sites_exceeds_its_limit_about_as_often_as_declared(rng, noise_std):
    """At alpha 0.2, of 40 studies 2 to 15 but for one time in 200."""
    alarms = 0
    for _ in range(40):
        seen = side_by_side(by_site(sites(rng, noise_std=noise_std)))
        panel = next(p for p in seen.panels if p.spec.name == "cp")
        known = known_shares(panel, seen.patients, seen.patients_std)
        question = asked(panel, seen, POSSIBLE["cp"])
        null = null_from(seen, [equal_law(question, seen)])
        limit = evidence_limit(null, (("cp", POSSIBLE["cp"]),), 0.2)
        largest = max(float(evidence(known, r).max()) for r in POSSIBLE["cp"])
        alarms += largest > limit > 0
    assert 2 <= alarms <= 15


def test_values_in_another_unit_wait_for_a_person_and_nobody_else_does(rng):
    reports = sites(rng, faults=written("chol", "in mmol/L instead of mg/dL"))
    assert told(reports) == {("site-0", "chol", "unit", True)}
    decision = decide(WIDE, reports)
    site = decision.sites[0]
    assert (site.action, site.reasons) == (Action.REVIEW, (ReasonCode.UNIT_DIFFERS,))
    assert site.severity is Severity.WARN
    assert "would in mmol/L instead of mg/dL" in site.findings[0].sentence
    assert decision.included() == ("site-1", "site-2", "site-3")
    assert "site-0" in decide(WIDE, reports, released={"site-0"}).included()


def test_half_of_the_values_in_another_unit_is_drift(rng):
    faults = written("chol", "in mmol/L instead of mg/dL")
    mixed = {"chol": 0.35 * faults["chol"] + 0.65 * usual()["chol"]}
    assert told(sites(rng, faults=mixed)) == {("site-0", "chol", "drift", False)}


def test_a_column_wholly_out_of_range_is_called_empty_and_not_a_unit(rng):
    strange = np.array([0.0] * 10 + [1.0, 0.0, 0.0])
    assert told(sites(rng, faults={"chol": strange})) == {("site-0", "chol", "schema", False)}


def test_a_column_of_unknown_categories_is_called_empty_and_not_coded_otherwise(rng):
    """Most of the usual codes, one higher, would be unknown too; all of them being so is plainer."""
    strange = np.array([0.0] * 4 + [1.0, 0.0, 0.0])
    assert told(sites(rng, faults={"cp": strange})) == {("site-0", "cp", "schema", False)}


def test_two_sites_accuse_nobody_of_another_unit(rng):
    reports = sites(rng, sizes=(300, 250), faults=written("chol", "in mmol/L instead of mg/dL"))
    assert {check for _, _, check, _ in told(reports)} == {"drift"}
    assert not any(doubted for *_, doubted in told(reports))


def test_swapped_codes_warn_by_their_shares(rng):
    effects = [0.0] * len(qc_layout(WIDE).effects.columns)
    reports = sites(rng, faults=written("sex", "with 0 as 1, 1 as 0"), effects=effects)
    assert told(reports) == {("site-0", "sex", "coding", False)}
    site = decide(WIDE, reports).sites[0]
    assert (site.action, site.reasons) == (Action.TRAIN, (ReasonCode.CODES_DIFFER,))


def test_swapped_codes_whose_link_with_the_outcome_turns_too_wait_for_a_person(rng):
    columns = qc_layout(WIDE).effects.columns
    effects = [-90.0 if c.feature == "sex" else 0.0 for c in columns]
    reports = sites(rng, faults=written("sex", "with 0 as 1, 1 as 0"), effects=effects)
    assert told(reports) == {("site-0", "sex", "coding", True)}
    assert decide(WIDE, reports).sites[0].action is Action.REVIEW


def test_honestly_reversed_shares_with_the_usual_link_are_drift(rng):
    reports = sites(rng, faults=written("sex", "with 0 as 1, 1 as 0"), noise_std=1.0)
    assert told(reports) == {("site-0", "sex", "drift", False)}


def test_a_code_list_that_begins_one_higher_is_named(rng):
    effects = [0.0] * len(qc_layout(WIDE).effects.columns)
    reports = sites(rng, faults=written("cp", "with every code one higher"), effects=effects)
    ((found,),) = [b.findings for b in findings(WIDE, by_site(reports)).values() if b.findings]
    assert (found.check, found.what) == ("crosssite.coding", "with every code one higher")


def test_an_empty_column_warns_with_a_plain_sentence(rng):
    lost = np.array([0.0] * 11 + [0.5, 0.5])
    reports = sites(rng, faults={"chol": lost})
    site = decide(WIDE, reports).sites[0]
    assert (site.action, site.reasons) == (Action.TRAIN, (ReasonCode.COLUMN_EMPTY,))
    sentence = site.findings[0].sentence
    assert sentence == "chol: missing for nearly every patient, and not so at the other sites"
    written = site.findings[0].as_json(told=True)
    assert written.pop("difference") == pytest.approx(1, abs=0.05)
    assert written == {
        "check": "crosssite.schema",
        "feature": "chol",
        "contrast": "missing",
        "limit": pytest.approx(0.15, abs=0.1),
        "sentence": sentence,
        "review": False,
    }


def test_a_finding_whose_numbers_may_not_be_displayed_still_has_its_sentence(rng):
    """The missing outcomes are few, so no share of the patients with one is displayed."""
    lost = np.array([0.0] * 11 + [0.5, 0.5])
    site = decide(WIDE, sites(rng, faults={"chol": lost})).sites[0]
    (warning,) = site.as_json()["warnings"]
    assert (warning["difference"], warning["limit"]) == (None, None)
    assert not any(letter.isdigit() for letter in warning["sentence"])


def test_noise_of_many_features_empties_no_column(rng):
    """A share under much noise may well exceed 1: that is no sign of an empty column."""
    chol = next(f for f in WIDE.cohort.features if f.name == "chol")
    features = tuple(chol.model_copy(update={"name": f"f{i}"}) for i in range(120))
    study = WIDE.model_copy(
        update={"cohort": WIDE.cohort.model_copy(update={"features": features})}
    )
    reports = federation(rng, study=study, sizes=(120, 100, 150, 90), noise_std=4.0)
    found = findings(study, by_site(reports))
    assert all(beside.made and beside.findings == () for beside in found.values())


def test_a_column_that_is_empty_everywhere_is_nobodys_finding(rng):
    lost = {"chol": np.array([0.0] * 11 + [0.5, 0.5])}
    reports = federation(rng, study=WIDE, sizes=(300, 250, 280), faults=usual() | lost)
    other = federation(rng, study=WIDE, sizes=(300, 250, 280), faults=usual() | lost)
    pair = [reports[0], other[0].__class__("again", verdict(), other[0].summary)]
    assert told(pair) == set()


def test_findings_are_the_same_each_time_and_in_any_order(rng):
    reports = sites(rng, faults=written("chol", "in mmol/L instead of mg/dL"))
    forward, backward = by_site(reports), by_site(reports[::-1])
    assert findings(WIDE, forward) == findings(WIDE, backward)
    evidence_limit.cache_clear()
    seen = side_by_side(forward)
    assert mismatches(seen, POSSIBLE, 0.5) == mismatches(side_by_side(backward), POSSIBLE, 0.5)


def test_a_link_that_is_unclear_at_the_others_turns_nobody(rng):
    columns = qc_layout(WIDE).effects.columns
    effects = [-90.0 if c.feature == "sex" else 0.0 for c in columns]
    swap = POSSIBLE["sex"][0]
    clear = links_of(WIDE, by_site(sites(rng, effects=effects)), ())
    assert clear.turned("site-0", "sex", swap) > 3
    assert clear.turned("site-1", "sex", swap) < -2
    drowned = links_of(WIDE, by_site(sites(rng, effects=effects, noise_std=60.0)), ())
    assert drowned.turned("site-0", "sex", swap) is None
    back = links_of(WIDE, by_site(sites(rng, effects=effects)), {"site-0"})
    assert back.turned("site-0", "sex", swap) < -2


@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0])
def test_no_real_hospital_is_reviewed_for_its_units_or_codes(scale):
    """Four hospitals, under the noise of the study's own plan and under less of it."""
    if not HEART_SITES.is_dir():
        pytest.skip("the shared data folder is not there")
    from summaries import HEART, released

    from cordon_common.privacy.schedule import planned_events, release_grid

    study = resolve(HEART)
    std = scale * planned_events(study).qc.noise_std_grid / release_grid(study).qc
    for seed in range(2):
        rng = np.random.default_rng(seed)
        summaries = {
            site: released(
                run_table_qc(study, HEART_SITES / f"{site}.csv", bytes(32)).summary,
                rng,
                noise_std=std,
                study=study,
            )
            for site in ("cleveland", "hungarian", "switzerland", "va")
        }
        found = findings(study, summaries)
        assert not any(f.doubted for beside in found.values() for f in beside.findings)
        if scale < 0.3:
            assert ("chol", "missing") in {
                (f.feature, f.what) for f in found["switzerland"].findings
            }

"""The quality part of the report: checks by hospitals, decisions and sentences; no raw code."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from cordon_common.errors import CheckFailed
from cordon_common.qc.reasons import REASONS
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, CohortVerdict, ReasonCode, Severity, worst
from cordon_server.gate import Action
from cordon_server.report import checks, decisions
from cordon_server.report.checks import State, check_rows, severity_order, states_of
from cordon_server.report.model import report_model
from cordon_server.report.render import render
from cordon_server.review import Ruling, rule_on_sites

HARD = ("cohort.patients", "cohort.classes", "cohort.excluded", "cohort.identifiers")
COMPARED = [f"crosssite.{name}" for name in ("drift", "prevalence", "schema", "unit", "coding")]
QUIET = {"reasons": [], "agreement": 2.0, "compared": COMPARED}


def verdict(*reasons, profile="clinical-table.v1", may_train=True, **severities):
    found = dict.fromkeys(HARD, Severity.PASS)
    found |= {check.replace("__", "-").replace("_", "."): s for check, s in severities.items()}
    return CohortVerdict(
        profile=profile,
        severity=worst(found.values()),
        checks=found,
        reasons=reasons,
        may_train=may_train,
    )


VERDICTS = {
    "north": verdict(),
    "south": verdict(
        ReasonCode.MISSING_VALUES,
        ReasonCode.DUPLICATE_RECORDS,
        feature_missing=Severity.WARN,
        record_duplicate=Severity.WARN,
    ),
    "east": verdict(feature_constant=Severity.ERROR, feature_range=Severity.NOT_APPLICABLE),
    "west": verdict(ReasonCode.WRONG_UNIT, feature_unit=Severity.FAIL, may_train=False),
}


@pytest.fixture(scope="module")
def mixed(one_federation):
    for name, hospital in one_federation.hospitals.items():
        hospital.verdict = VERDICTS[name]
    one_federation.run()
    return model_of(one_federation)


def model_of(federation):
    (state,) = federation.store.campaigns()
    return report_model(federation.coordinator, state)


class Matrix(HTMLParser):
    """Reads the table of checks back from the page: {check: {hospital: the words of the cell}}."""

    def __init__(self):
        super().__init__()
        self.inside, self.cell, self.rows = False, None, []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.inside |= tag == "table" and "checks" in found.get("class", "")
        if self.inside and tag == "tr":
            self.rows.append([])
        if self.inside and tag in {"td", "th"}:
            self.cell = [found.get("title", ""), ""]
            self.rows[-1].append(self.cell)

    def handle_endtag(self, tag):
        self.inside &= tag != "table"
        self.cell = None if tag in {"td", "th"} else self.cell

    def handle_data(self, words):
        if self.inside and self.cell is not None:
            self.cell[1] += words.strip()

    def table(self):
        head, *rows = self.rows
        names = [name for _, name in head[1:]]
        return {row[0][0]: dict(zip(names, row[1:], strict=True)) for row in rows if len(row) > 1}


def matrix_of(html):
    reader = Matrix()
    reader.feed(html)
    return reader.table()


def test_every_cell_says_what_the_hospital_said(mixed):
    table = matrix_of(render(mixed))
    words = {Severity.ERROR: "could not be checked", Severity.FAIL: "failed"}
    words |= {Severity.WARN: "warned", Severity.PASS: "passed"}
    words |= {Severity.NOT_APPLICABLE: "not applicable"}
    for check in {check for each in VERDICTS.values() for check in each.checks}:
        for name, each in VERDICTS.items():
            said = words[each.checks[check]] if check in each.checks else "not made"
            tip, text = table[check][name]
            assert text.endswith(said)
            assert tip.startswith(f"{REGISTRY[check].wording.title}, {name}: {said}")


def test_what_could_not_be_judged_never_looks_passed():
    signs = [mark.sign for mark in decisions.MARKS.values()]
    assert set(decisions.MARKS) == set(State)
    assert len(set(signs)) == len(signs)
    assert all(len(sign) <= 1 for sign in signs)


def test_the_worst_comes_first_in_rows_and_columns(mixed):
    sites = decisions.worst_first(mixed)
    assert [site.site for site in sites] == ["west", "east", "south", "north"]
    groups = decisions.check_groups(sites)
    assert groups[0].lines[0].check == "feature.constant"
    for group in groups:
        rows = [[cell.mark.state for cell in line.cells] for line in group.lines]
        ranks = [min(order_of(state) for state in row) for row in rows]
        assert ranks == sorted(ranks)


def order_of(name):
    return next(state.rank for state, mark in decisions.MARKS.items() if mark.state == name)


def test_more_of_the_worst_outweighs_any_number_of_lesser_findings():
    one_error, many_warnings = [State.ERROR, State.PASS], [State.WARN] * 9
    assert severity_order(one_error) < severity_order(many_warnings)
    assert severity_order([State.WARN] * 2) < severity_order([State.WARN, State.NOT_APPLICABLE])
    assert severity_order([State.PASS]) == severity_order([State.NOT_RUN, State.NOT_APPLICABLE])


def test_every_modality_and_lane_has_a_heading():
    for modality in REGISTRY.modalities:
        for spec in REGISTRY.of(modality):
            text = checks.check_text(spec.id)
            assert text.group
            assert (text.lane == checks.check_text("cohort.patients").lane) is (
                spec.check_class is CheckClass.LOCAL_HARD and not spec.excludes
            )


def test_a_check_of_a_newer_hospital_is_shown_by_its_id_as_one_that_keeps_out():
    (row,) = check_rows([{"heart.rhythm": State.FAIL}])
    assert row.text.title == "heart.rhythm"
    assert checks.hard_failures({"heart.rhythm": State.FAIL}) == ("heart.rhythm",)


def test_no_reason_code_stands_in_the_page_as_it_is(mixed):
    html = render(mixed)
    for code in ReasonCode:
        if "_" in code.value:
            assert code.value not in re.sub(r'(id|href)="[^"]*"', "", html)


def test_every_reason_is_explained_once_with_what_to_do(mixed):
    html = render(mixed)
    for each in VERDICTS.values():
        for reason in each.reasons:
            assert html.count(f'id="finding-{reason}"') == 1
            assert f"</b> {REASONS[reason].advice}".replace("'", "&#39;") in html
    assert "Could not be checked: Varies between patients" in html


def test_a_decision_is_a_sentence_with_its_cause(mixed):
    said = {site.site: decisions.decision(site, mixed) for site in mixed.sites}
    assert said["west"].tag == "left out"
    assert said["west"].sentence == "Left out by its own check “Unit as in the study”."
    assert said["south"].sentence == "What was found warns, and excludes nobody."
    assert [r.title for r in said["south"].reported] == ["Records repeated", "Much is missing"]
    assert said["north"].sentence == "Nothing was found."


def test_the_data_holds_the_matrix_too(mixed):
    (west,) = [site for site in mixed.as_json()["sites"] if site["site"] == "west"]
    assert west["states"]["feature.unit"] == "fail"
    assert west["states"]["gate.checks"] == "pass"
    assert west["action"] == "exclude"
    assert west["reasons"] == ("wrong_unit",)


# -- the gate's own checks ---------------------------------------------------------------------------


def test_what_the_noise_hides_is_not_applicable_and_not_passed():
    hidden = states_of(VERDICTS["north"], QUIET | {"agreement": None, "compared": []})
    shown = states_of(VERDICTS["north"], QUIET)
    for spec in REGISTRY.of("cross-site"):
        assert hidden[spec.id] is State.NOT_APPLICABLE
        assert shown[spec.id] is State.PASS


def test_before_the_gate_only_the_hospitals_own_checks_are_known():
    assert set(states_of(VERDICTS["north"], {})) == set(HARD)


@pytest.mark.parametrize("reason", ReasonCode)
def test_a_state_under_review_is_one_about_which_the_gate_asks(reason):
    """Whatever the gate doubts so that a person must decide is shown as under review, no less."""
    states = states_of(VERDICTS["north"], QUIET | {"reasons": [reason.value]})
    asks = {ReasonCode.OUTCOME_TURNED, ReasonCode.COUNT_CONTRADICTS_VERDICT}
    assert (State.REVIEW in states.values()) is (reason in asks)


def test_the_gate_asks_where_the_page_says_so(make_federation):
    four = make_federation("four", qc={"gate": {"min_patients": 500, "min_sites": 3}})
    with pytest.raises(CheckFailed, match="CK020"):
        four.run()
    model = model_of(four)
    north = model.sites[1]
    assert north.action == Action.REVIEW
    assert north.states["gate.counts"] is State.REVIEW
    html = render(model)
    assert "cordon study decide tiny north --let-in, or --keep-out, --because WHY" in html
    assert REASONS[ReasonCode.COUNT_CONTRADICTS_VERDICT].meaning in html
    state = four.store.campaigns()[0]
    let_in = Ruling("let_in", by="amelie", because="it counted <again> by hand")
    rule_on_sites(four.coordinator, state, ["north", "south", "east"], let_in)
    keep_out = Ruling("keep_out", by="amelie", because="its export is being repaired")
    rule_on_sites(four.coordinator, state, ["west"], keep_out)
    four.run()
    html = render(model_of(four))
    assert "Let in by a person: it counted &lt;again&gt; by hand" in html
    assert "Kept out by a person: its export is being repaired" in html
    assert "amelie" not in html


def test_a_hospital_without_an_answer_says_what_happened_and_what_helps(make_federation):
    four = make_federation("four")
    four.network.offline.add("east")
    four.run()
    html = render(model_of(four))
    assert "No quality summary: the site went offline (TR003); " in html
    assert "east" not in matrix_of(html)["cohort.patients"]

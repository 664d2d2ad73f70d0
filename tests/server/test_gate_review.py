"""A hospital whose summary contradicts its verdict waits for a person, and only for a person."""

from __future__ import annotations

import pytest

from cordon_common.errors import CheckFailed, CordonError, UsageError
from cordon_common.qc import summary
from cordon_common.qc.verdict import CohortVerdict, ReasonCode, Severity
from cordon_server.cli.progress import watch_campaign
from cordon_server.journal import Step
from cordon_server.review import Ruling, rule_on_sites

LET_IN = Ruling("let_in", by="amelie", because="the site confirmed its numbers by telephone")
KEEP_OUT = Ruling("keep_out", by="amelie", because="the export is being repaired")
MANY = {"gate": {"min_patients": 100, "min_sites": 3}}


def claims_more_than_it_shows(hospital):
    """Its histograms are empty, while its verdict says that it may train."""
    hospital.quality = lambda study: summary.encode(
        summary.qc_layout(study),
        {spec.name: 0 * counts(spec) for spec in summary.qc_layout(study).histograms},
    )


def counts(spec):
    import numpy as np

    return np.zeros(len(spec.cells), dtype=np.int64)


@pytest.fixture
def trio(make_federation):
    made = make_federation("trio", names=("north", "south", "east"), qc=MANY)
    claims_more_than_it_shows(made.hospitals["east"])
    return made


def state(federation):
    (found,) = federation.store.campaigns()
    return found


def test_with_enough_others_the_study_goes_on_without_it(make_federation):
    four = make_federation("four", qc=MANY)
    claims_more_than_it_shows(four.hospitals["east"])
    running = four.run()
    assert [(e.site, e.code) for e in four.events("site.review")] == [("east", "CK023")]
    assert all("east" not in record.sites for record in running.journal.rounds())


def test_an_excluded_site_is_named_with_its_reasons(federation):
    federation.hospitals["west"].verdict = CohortVerdict(
        profile="clinical-table.v1",
        severity=Severity.FAIL,
        checks={"cohort.minimum": Severity.FAIL},
        reasons=(ReasonCode.TOO_FEW_PATIENTS,),
        may_train=False,
    )
    federation.run()
    (event,) = federation.events("site.excluded")
    assert (event.site, event.code) == ("west", "CK022")
    assert "too_few_patients" in event.detail["reasons"]


def test_below_the_minimum_a_person_may_let_it_in(trio):
    with pytest.raises(CheckFailed, match="CK020"):
        trio.run()
    assert state(trio).phase == "gate"
    rule_on_sites(trio.coordinator, state(trio), ["east"], LET_IN)
    running = trio.run()
    assert running.journal.state.status == "finished"
    assert all("east" in record.sites for record in running.journal.rounds())
    decisions = trio.log_bodies("gate.decided.v1")
    assert [(d.passed, sorted(d.included)) for d in decisions] == [
        (False, ["north", "south"]),
        (True, ["east", "north", "south"]),
    ]


def test_a_decision_is_in_the_signed_log_with_its_reason_and_can_be_replaced(trio):
    with pytest.raises(CheckFailed, match="CK020"):
        trio.run()
    rule_on_sites(trio.coordinator, state(trio), ["east"], LET_IN)
    rule_on_sites(trio.coordinator, state(trio), ["east"], KEEP_OUT)
    with pytest.raises(CheckFailed, match="CK020"):
        trio.run()
    ruled = trio.log_bodies("review.decided.v1")
    assert [(r.site, r.decision, r.by) for r in ruled] == [
        ("east", "let_in", "amelie"),
        ("east", "keep_out", "amelie"),
    ]
    assert ruled[1].because == KEEP_OUT.because
    assert [e.site for e in trio.events("site.excluded")] == ["east"]


def test_asking_again_without_a_persons_word_changes_nothing(trio):
    for _ in range(2):
        with pytest.raises(CheckFailed, match="CK020"):
            trio.run()
    assert not trio.log_bodies("round.started.v1")
    assert all(len(h.ledger.charges()) == 1 for h in trio.hospitals.values())


def test_a_site_that_is_not_under_review_cannot_be_let_in(trio):
    with pytest.raises(CheckFailed):
        trio.run()
    with pytest.raises(UsageError, match="US001"):
        rule_on_sites(trio.coordinator, state(trio), ["north"], LET_IN)


def test_behind_the_gate_nobody_is_let_in(federation):
    federation.run()
    with pytest.raises(UsageError, match="US001"):
        rule_on_sites(federation.coordinator, state(federation), ["east"], LET_IN)


def test_watching_a_campaign_whose_process_died_ends_with_its_own_code(federation, monkeypatch):
    monkeypatch.setattr("cordon_server.watching.QUIET_S", -1.0)
    journal = federation.open().journal
    journal.take_over()
    journal.commit(Step(phase="qc"))
    federation.store.set_flower_run(federation.campaign_id, "77")
    with pytest.raises(CordonError) as caught:
        watch_campaign(federation.coordinator, federation.campaign_id, as_json=True)
    assert caught.value.code == "SY022"


def test_an_empty_column_is_shown_with_a_sentence(make_federation):
    """The remark of the gate reaches the person who watches, and the report."""
    import numpy as np

    from cordon_server.cli.render import campaign_view
    from cordon_server.report.model import report_model
    from cordon_server.view import event_line, view_campaign

    four = make_federation("four")

    def without_values(study):
        layout = summary.qc_layout(study)
        made = filled(layout)
        number = next(s for s in layout.histograms if s.kind in {"number", "category"})
        made[number.name] = np.zeros(len(number.cells), dtype=np.int64)
        made[number.name][-2:] = 200 * summary.SHARE
        return summary.encode(layout, made)

    four.hospitals["east"].quality = without_values
    for name in ("north", "south", "west"):
        four.hospitals[name].quality = lambda study: summary.encode(
            summary.qc_layout(study), filled(summary.qc_layout(study))
        )
    four.run()
    found = state(four)
    view = view_campaign(four.coordinator, found)
    (east,) = (site for site in view.sites if site.remarks)
    assert east.site == "east"
    assert "missing for nearly every patient" in east.remarks[0]
    (event,) = (e for e in four.events("site.admitted") if e.site == "east")
    assert east.remarks[0] in event_line(event, 4)
    assert any(east.remarks[0] in str(part) for part in campaign_view(view).renderables)
    model = report_model(four.coordinator, found, None, None)
    site = next(site for site in model.sites if site.site == "east")
    assert "column_empty" in site.reasons
    assert any("missing for nearly every patient" in feature.differs for feature in site.features)


def filled(layout):
    """Every patient in the first cell of every histogram, outcomes half and half."""
    made = {spec.name: counts(spec) for spec in layout.histograms}
    for spec in layout.histograms:
        made[spec.name][0] = 400 * summary.SHARE
    made[summary.LABEL][:2] = 200 * summary.SHARE
    return made

"""A study that asks for harmonisation: reported from the releases, charged once, audited."""

import json

import pytest
from hospitals import Federation

from cordon_common.audit.verify import verify_bundles
from cordon_common.ledger.bundle import export_coordinator_bundle, export_site_bundle
from cordon_common.ledger.entries import StudySigned
from cordon_common.privacy.schedule import planned_events
from cordon_common.qc.harmonise.summaries import Harmonisation
from cordon_server.report.alignment import refusal, rows
from cordon_server.report.model import report_model
from cordon_server.report.render import render

QC = {"gate": {"min_patients": 20, "min_sites": 3}, "harmonise": True}
PRIVACY = {"epsilon": 60.0, "delta": 1e-3, "unprotected": ["participation", "qc_verdict"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    federation = Federation(tmp_path_factory.mktemp("harmonise"), qc=QC, privacy=PRIVACY)
    federation.run()
    yield federation
    federation.close()


@pytest.fixture(scope="module")
def model(finished):
    (state,) = finished.store.campaigns()
    return report_model(finished.coordinator, state)


def test_the_sums_cost_one_charge_with_the_summary(finished):
    planned = planned_events(finished.study)
    for hospital in finished.hospitals.values():
        events = [charge.event for charge in hospital.ledger.charges(finished.study.digest)]
        assert [event for event in events if event.purpose == "qc"] == [planned.qc]
        assert len(events) == len(planned.all_events())


def test_the_report_says_of_each_hospital_how_far_it_lies_from_the_others(finished, model):
    ages, doses = model.harmonisation.features
    assert (ages.feature, doses.feature) == ("age", "dose")
    for item in (ages, doses):
        assert item.withheld == ""
        assert set(item.sites) == set(finished.hospitals)
        assert all(abs(offset.value) < 5 * offset.std for offset in item.sites.values())
        assert 0 <= item.between < 0.5
    exact = sum(h.inputs[:, 0].sum() for h in finished.hospitals.values()) / 480
    assert ages.mean == pytest.approx(60 + 60 * exact, abs=12)
    sites, found = rows(model)
    html = render(model)
    assert "Are features measured alike?" in html
    for row in found:
        assert row.everybody in html
        assert row.typical in html
        assert all(cell.words in html for cell in row.cells)
    assert sites == tuple(sorted(finished.hospitals))
    value = json.loads(json.dumps(model.as_json(), allow_nan=False))
    assert [item["feature"] for item in value["harmonisation"]["features"]] == ["age", "dose"]


def test_a_refusal_is_told_with_what_to_do(model):
    refused = model.__class__(**{**vars(model), "harmonisation": Harmonisation((), "PO140")})
    assert "Measure both outcomes" in refusal(refused)
    html = render(refused)
    assert "PO140" in html
    assert "typical: [" not in html


def test_a_harmonising_campaign_passes_the_audit(finished, tmp_path):
    finished.log.append(StudySigned(study=finished.study.digest, envelope=finished.envelope))
    paths = [tmp_path / "coordinator.zip"]
    export_coordinator_bundle(finished.log, paths[0])
    for name, hospital in finished.hospitals.items():
        paths.append(tmp_path / f"{name}.zip")
        export_site_bundle(hospital.ledger, paths[-1], policy={})
    parts = verify_bundles(paths).parts
    rows_of_parts = [row for part in (parts[0], parts[-1]) for row in part.rows]
    assert [row for row in rows_of_parts if row.status != "PASS"] == []
    for part in parts[1:-1]:
        (planned,) = (row for row in part.rows if row.check == "plan")
        assert planned.status == "PASS"


def test_studies_that_do_not_ask_have_no_such_section(one_federation):
    one_federation.run()
    (state,) = one_federation.store.campaigns()
    plain = report_model(one_federation.coordinator, state)
    assert plain.harmonisation is None
    assert "measured alike" not in render(plain)

"""The audit report: every number recomputed, every hazard judged, equal bundles give equal bytes."""

import re

import pytest

from cordon_common.audit.facts import audit_facts
from cordon_common.audit.hazards import hazards
from cordon_common.audit.page import report_html
from cordon_common.audit.printed import report_pdf
from cordon_common.audit.registry import registry_entry
from cordon_common.errors import CordonError
from cordon_common.privacy.accounting import lifetime_epsilon, study_epsilon
from cordon_common.privacy.schedule import planned_events


@pytest.fixture(scope="module")
def paths(finished):
    return sorted(finished.folder.glob("*.zip"))


@pytest.fixture(scope="module")
def facts(paths):
    return audit_facts(paths)


def test_a_studys_epsilon_is_what_its_executed_releases_cost(facts, finished):
    (study,) = facts.studies
    plan = planned_events(finished.study)
    for cost in study.costs:
        count = sum(r.site == cost.site and r.phase == "train" for r in facts.releases)
        events = [plan.qc, *[plan.training] * count, plan.evaluation]
        assert cost.epsilon == study_epsilon(events, finished.study.privacy.delta)
    assert study.explanation.epsilon == study.worst.epsilon.pld


def test_the_burn_down_ends_at_the_lifetime_epsilon_and_never_rises(facts, finished):
    plan = planned_events(finished.study)
    for budget in facts.budgets:
        mine = [r for r in facts.releases if r.site == budget.site]
        events = [
            {"qc": plan.qc, "train": plan.training, "evaluate": plan.evaluation}[r.phase]
            for r in mine
        ]
        assert budget.steps[-1].epsilon == pytest.approx(
            lifetime_epsilon([events], budget.delta).pld, rel=1e-9
        )
        spent = [step.epsilon for step in budget.steps]
        assert spent == sorted(spent)


def test_equal_bundles_give_equal_bytes_and_no_trace_of_where_they_lay(facts, paths, tmp_path):
    moved = []
    for path in paths:
        moved.append(tmp_path / path.name)
        moved[-1].write_bytes(path.read_bytes())
    same = audit_facts(moved)
    assert report_html(same) == report_html(facts)
    assert report_pdf(same) == report_pdf(facts)
    assert str(tmp_path) not in report_html(same)


def test_the_page_asks_the_network_for_nothing_and_runs_no_script(facts):
    page = report_html(facts)
    assert "<script" not in page
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", page) == []
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_label_never_shows_epsilon_without_delta_and_unit(facts):
    page = report_html(facts)
    label = page[page.index('class="facts"') : page.index("By hospital")]
    assert "one patient, all records" in label
    assert f"{facts.studies[0].study.privacy.delta:g}" in label
    assert "δ" in label


def test_every_release_is_listed(facts, finished):
    page = report_html(facts)
    assert page.count("<code>") >= len(facts.releases)
    settled = [release for release in facts.releases if release.digest]
    assert all(release.digest[7:23] in page for release in settled)


def test_the_pdf_is_a_pdf_of_several_pages(facts):
    data = report_pdf(facts)
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 2


def test_every_hazard_of_an_honest_federation_is_met_declared_or_outside(facts):
    found = hazards(facts)
    assert {row.standing for row in found} == {"met", "declared", "outside"}
    assert len({row.name for row in found}) == len(found)


def test_a_hazard_whose_checks_fail_is_not_met(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    lines = files["entries.jsonl"].splitlines(keepends=True)
    files["entries.jsonl"] = b"".join(lines[:-1])
    consortium.pack(bundles["north"], files)
    facts = audit_facts(sorted(bundles.values()))
    standing = {row.name: row.standing for row in hazards(facts)}
    assert facts.result.verdict == "FAIL"
    assert standing["Somebody edits the books"] == "not met"


def test_a_study_whose_audit_failed_is_not_registered(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["entries.jsonl"] += b"{}\n"
    consortium.pack(bundles["north"], files)
    with pytest.raises(CordonError) as refused:
        registry_entry(audit_facts(sorted(bundles.values())))
    assert refused.value.code == "CK130"


def test_nothing_is_met_where_there_is_no_ledger(finished):
    facts = audit_facts([finished.folder / "coordinator.zip"])
    met = {row.name for row in hazards(facts) if row.standing == "met"}
    assert "ε is too large, or not what was claimed" not in met
    assert "Cleaning and scaling look at the data for free" not in met
    assert "No study released anything" in report_html(facts)


def test_the_registry_entry_has_three_tiers_and_the_recomputed_epsilon(facts):
    entry = registry_entry(facts)
    (study,) = facts.studies
    assert entry["tier"] == 3
    assert entry["intended_use"] == study.study.purpose
    loss = entry["privacy_loss"]
    assert loss["epsilon_recomputed"] == {c.site: c.epsilon.pld for c in study.costs}
    assert entry["unprotected_quantities"]
    assert entry["accounting"]["releases"] == {c.site: c.releases for c in study.costs}
    assert entry["security"]["audit"]["verdict"] == "PASS"


def test_a_study_that_is_not_in_the_bundles_is_named_as_missing(facts):
    with pytest.raises(CordonError) as refused:
        registry_entry(facts, "another")
    assert refused.value.code == "US002"
    assert facts.studies[0].name in refused.value.why

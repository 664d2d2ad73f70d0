"""The report: one file, no reference outwards, equal bytes, and no number that is not recomputed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hospitals import NAMES
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError, UsageError
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.qc.fates import KEPT_FATES, RECORD_FATE_TEXT, PatientFate
from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import FATE, LABEL
from cordon_server.phases.quality import read_summary
from cordon_server.report import charts, page
from cordon_server.report.extra import read_audit, read_local
from cordon_server.report.model import report_model
from cordon_server.report.render import render
from cordon_server.report.sites import kept_patients, patient_counts

VOID = {"meta", "link", "br", "img", "input", "hr"}


@pytest.fixture(scope="module")
def finished(one_federation):
    one_federation.run()
    return one_federation


def model_of(federation, **extra):
    (state,) = federation.store.campaigns()
    return report_model(federation.coordinator, state, **extra)


class Structure(HTMLParser):
    """Checks that tags nest, and gathers what a page refers to."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.tags = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(found["id"])
        self.links += [found[name] for name in ("href", "src", "action") if name in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def structure(html):
    parser = Structure()
    parser.feed(html)
    assert parser.open == []
    return parser


def test_the_page_is_well_formed_and_refers_to_nothing_outside(finished):
    html = render(model_of(finished))
    found = structure(html)
    assert "script" not in found.tags
    for link in found.links:
        assert link == "data:," or (link.startswith("#") and link[1:] in found.ids)
    assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html) == []


def test_equal_campaigns_give_equal_bytes(finished):
    assert render(model_of(finished)) == render(model_of(finished))


def test_no_path_host_or_clock_is_in_the_page(finished):
    html = render(model_of(finished))
    assert str(finished.home.root) not in html
    assert "127.0.0.1" not in html
    assert "2026-03-01" not in html


def test_every_chart_is_xml_with_a_name(finished):
    html = render(model_of(finished))
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        found = ET.fromstring(drawing)  # noqa: S314 - our own output
        assert found.get("aria-label") or found.get("aria-hidden") == "true"
        assert "nan" not in drawing.lower().replace("finance", "")


def test_the_epsilon_shown_is_recomputed_from_the_hospitals_ledgers(finished):
    model = model_of(finished)
    for site in model.sites:
        ledger = finished.hospitals[site.site].ledger
        events = [charge.event for charge in ledger.charges(finished.study.digest)]
        again = study_epsilon(events, finished.study.privacy.delta)
        assert (site.epsilon, site.epsilon_rdp) == (again.pld, again.rdp)
    html = render(model)
    assert f"{model.privacy.epsilon:.3f} of 3" in html
    assert model.meaning[0] in html.replace("&#39;", "'")


def test_the_page_and_its_json_say_the_same(finished):
    model = model_of(finished)
    value = json.loads(json.dumps(model.as_json(), allow_nan=False))
    html = render(model)
    for site in value["sites"]:
        assert f"{site['epsilon']:.3f}" in html
        assert f"{site['evaluated']['auc']:.3f}" in html
    for coefficient in value["coefficients"]:
        assert f"{coefficient['value']:+.4f}" in html
    assert value["digest"] in html


def test_what_a_hospital_told_is_marked_as_told(finished, tmp_path):
    path = tmp_path / "local.json"
    facts = {"records": 131, "kept": 120, "excluded": {"impossible_value": 11}, "alone_auc": 0.7}
    path.write_text(json.dumps({"kind": "local-facts.v1", "sites": {"north": facts}}))
    html = render(model_of(finished, local=read_local(path)))
    assert "told by the hospital: 131 records, 120 kept" in html
    assert "11 × a value outside the study&#39;s plausible range" in html
    assert "0.700" in html
    assert "told by the hospital" not in render(model_of(finished))


def test_an_audits_result_is_shown_with_its_failures_open(finished, tmp_path):
    rows = [
        {"check": "a", "claim": "the tree fits", "status": "PASS", "evidence": "12 entries"},
        {"check": "b", "claim": "ε was kept", "status": "FAIL", "evidence": "<b>4.2</b> of 3"},
    ]
    path = tmp_path / "audit.json"
    parts = [{"title": "site north", "file": "n.zip", "rows": rows, "spending": []}]
    path.write_text(json.dumps({"audit": "cordon.audit.v1", "verdict": "FAIL", "parts": parts}))
    html = render(model_of(finished, audit=read_audit(path)))
    assert "1 of 2 checks passed" in html
    assert "<details open>" in html
    assert "&lt;b&gt;4.2&lt;/b&gt;" in html


@pytest.mark.parametrize("reader", [read_audit, read_local])
@pytest.mark.parametrize(
    ("text", "error"), [("[]", ProtocolError), ("<html>", ProtocolError), (None, UsageError)]
)
def test_extra_files_that_are_something_else_are_refused(tmp_path, reader, text, error):
    path = tmp_path / "extra.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error):
        reader(path)


def test_text_of_the_study_cannot_become_markup(make_federation):
    hostile = make_federation("hostile", purpose="<script>alert(1)</script> & more than ten")
    html = render(model_of(hostile))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("exchanges", range(8))
def test_a_report_can_be_written_at_any_stage(make_federation, exchanges):
    class Stop(BaseException):
        pass

    def stop(number, rpc):
        if number == exchanges:
            raise Stop

    half = make_federation("half")
    half.network.before = stop
    with pytest.raises(Stop):
        half.run()
    html = render(model_of(half))
    structure(html)
    assert "in progress" in html


def test_a_stopped_campaign_says_why(make_federation):
    trio = make_federation("trio", names=("north", "south", "east"))
    trio.network.offline.add("east")
    with pytest.raises(Exception, match="CK020"):
        trio.run()
    html = render(model_of(trio))
    assert "stopped with CK020" in html
    assert "east, enrol: TR003, the site went offline" in html


def test_who_was_missing_in_a_round_is_drawn(make_federation):
    four = make_federation("four")

    def drop(number, rpc):
        four.network.offline = {"west"} if number == 3 else set()

    four.network.before = drop
    four.run()
    html = render(model_of(four))
    assert "west, round 2: TR003" in html
    assert "west, round 1: took part" in html


# -- numbers -----------------------------------------------------------------------------------------


def test_patients_are_counted_by_least_squares_over_both_histograms(finished):
    """The same estimate from numpy's solver: eight fates seen directly, their sum seen once more."""
    (reply,) = (r for r in finished.open().journal.replies("qc") if r.site == "north")
    summary = read_summary(finished.study, reply.arrays["release"])
    fates, label = summary.histograms[FATE], summary.histograms[LABEL].estimate()
    size = len(fates.counts)
    design = np.vstack([np.eye(size), np.ones(size)])
    weights = 1 / np.array([*[fates.std] * size, label.std])
    seen = np.array([*fates.counts, label.value])
    solved, *_ = np.linalg.lstsq(design * weights[:, None], seen * weights)
    covariance = np.linalg.inv((design * weights[:, None] ** 2).T @ design)
    found = patient_counts(summary)
    for i, fate in enumerate(fates.spec.cells):
        assert found[fate].value == pytest.approx(solved[i])
        assert found[fate].std == pytest.approx(np.sqrt(covariance[i, i]))
    assert found[""].value == pytest.approx(solved.sum())
    assert found[""].std == pytest.approx(np.sqrt(covariance.sum()))
    assert found[""].std < fates.estimate().std


def summaries_of(federation):
    return {
        reply.site: read_summary(federation.study, reply.arrays["release"])
        for reply in federation.open().journal.replies("qc")
    }


def test_the_kept_patients_never_exceed_all_patients(finished):
    for summary in summaries_of(finished).values():
        kept = kept_patients(summary)
        assert kept.value <= patient_counts(summary)[""].value
        assert abs(kept.value - 120) < 5 * kept.std
    assert len(KEPT_FATES) == 3


def test_page_and_json_show_nothing_that_is_suppressed(finished):
    model, summaries = model_of(finished), summaries_of(finished)
    hidden = 0
    for site in model.sites:
        summary = summaries[site.site]
        shown = shown_of(summary)
        assert (site.patients is None, site.kept is None) == (not shown.patients, not shown.kept)
        for text, estimate in site.excluded:
            (fate,) = (f for f in PatientFate if RECORD_FATE_TEXT.get(f.value) == text)
            assert (estimate is None) == (not shown.allows(FATE, fate.value))
        for found in site.features:
            *_, strange, first, second = summary.histograms[found.feature].spec.cells
            outcome = found.feature == LABEL
            told = dict(zip(found.cells, found.shares, strict=True))
            told |= {second: found.missing} if outcome else {strange: found.strange}
            hidden += sum(share is None for share in told.values())
            for cell, share in told.items():
                assert (share is None) == (not shown.allows(found.feature, cell))
            if not outcome:
                hidden += found.missing is None
                assert (found.missing is None) == (not shown.allows(found.feature, first, second))
    assert hidden
    assert render(model).count('class="lost"') == hidden


def test_a_hospital_of_few_patients_is_told_apart_from_one_without_a_summary(finished):
    model = model_of(finished)
    few = replace(model.sites[0], patients=None, kept=None)
    assert page.hospital_row(few, model).patients == "below 10"
    silent = replace(few, summarised=False, excluded=())
    assert page.hospital_row(silent, model).patients == "-"
    assert page.hospital_row(silent, model).excluded == ("no summary",)


@given(st.floats(-1e6, 1e6), st.floats(1e-2, 1e6), st.integers(2, 9))
def test_ticks_cover_the_interval_in_equal_round_steps(low, span, count):
    ticks = charts.nice_ticks(low, low + span, count)
    assert ticks[0] <= low + 1e-6 * span
    assert ticks[-1] >= low + span - 1e-6 * span
    assert len(ticks) <= 2 * count + 2


@given(st.floats(-1e9, 1e9))
def test_a_coordinate_has_at_most_two_decimals(value):
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", charts.n(value))
    assert charts.n(value) != "-0"


def test_the_threshold_for_a_remark_grows_with_the_number_of_cells():
    assert page.clear_of_noise(1) == pytest.approx(1.645, abs=1e-3)
    assert page.clear_of_noise(1000) > 3.8


def test_every_hospital_of_the_roster_has_a_line(finished):
    assert [site.site for site in model_of(finished).sites] == sorted(NAMES)

"""The study report in a browser: offline, without faults, on a telephone, on paper, in the dark."""

from __future__ import annotations

import pytest
from web_pages import CONTRAST, STRUCTURE, opened

from cordon_common.qc.verdict import CohortVerdict, ReasonCode, Severity, worst
from cordon_server.report.model import report_model
from cordon_server.report.render import render

NAMES = ("north", "south", "east", "university-hospital-of-the-west")
WIDTHS = """() => [...document.querySelectorAll("body *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest(".scroll, .swipe, .unseen, .skip, pre");
}).map((e) => e.tagName + "." + e.className)"""
"""Elements that stick out on the right, but for those inside a part that scrolls by itself."""


def said(severity, reason=None, **checks):
    hard = ("cohort.patients", "cohort.classes", "cohort.excluded", "cohort.identifiers")
    found = dict.fromkeys(hard, Severity.PASS) | {
        f"feature.{name.replace('_', '-')}": severity for name in checks
    }
    return CohortVerdict(
        profile="clinical-table.v1",
        severity=worst(found.values()),
        checks=found,
        reasons=(reason,) if reason else (),
        may_train=severity is not Severity.FAIL,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    from hospitals import Federation

    federation = Federation(tmp_path_factory.mktemp("federation"), names=NAMES)
    hospitals = federation.hospitals
    hospitals["south"].verdict = said(Severity.WARN, ReasonCode.MISSING_VALUES, missing=1)
    hospitals["east"].verdict = said(Severity.ERROR, constant=1)
    hospitals[NAMES[-1]].verdict = said(Severity.FAIL, ReasonCode.WRONG_UNIT, unit=1)
    federation.run()
    (state,) = federation.store.campaigns()
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(report_model(federation.coordinator, state)), encoding="utf-8")
    federation.close()
    return path


@pytest.mark.parametrize("width", [1200, 400])
def test_it_opens_offline_without_a_fault_and_nothing_sticks_out(report, browser, width):
    page = opened(browser, report, width, offline=True)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDTHS) == []
    assert page.problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_and_tables_and_headings_are_in_order(report, browser, theme):
    page = opened(browser, report, 1200, color_scheme=theme)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(STRUCTURE) == []


def test_a_screen_reader_hears_the_matrix_with_its_name_and_every_cell(report, browser):
    page = opened(browser, report, 1200)
    matrix = page.get_by_role("region", name="Checks by hospital")
    assert matrix.count() == 1
    heads = matrix.get_by_role("columnheader").all_inner_texts()
    assert heads == ["Check", NAMES[-1], "east", "south", "north"]
    row = matrix.get_by_role("row", name="Unit as in the study")
    assert row.get_by_role("cell").all_text_contents() == ["×failed", *3 * ["not made"]]
    assert row.get_by_role("cell", name="failed", exact=True).count() == 1


def test_signs_differ_without_colour(report, browser):
    page = opened(browser, report, 1200)
    shapes = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("table.checks .mark")].map((m) => {
          const s = getComputedStyle(m);
          return [m.className, [m.textContent, s.borderStyle, s.borderRadius].join(" ")];
        }))"""
    )
    assert len(shapes) >= 5
    assert len(set(shapes.values())) == len(shapes)


def test_a_hospital_can_be_taken_out_of_every_drawing(report, browser):
    page = opened(browser, report, 1200)
    seen = "(site) => [...document.querySelectorAll(`svg .${site}`)].filter((g) => g.getClientRects().length).length"
    before = page.evaluate(seen, "site-0"), page.evaluate(seen, "site-1")
    assert min(before) > 0
    page.get_by_role("checkbox", name="east").uncheck()
    assert page.evaluate(seen, "site-0") == 0
    assert page.evaluate(seen, "site-1") == before[1]
    assert page.evaluate(seen, "band") > 0
    page.get_by_role("checkbox", name="reach of the noise").uncheck()
    assert page.evaluate(seen, "band") == page.evaluate(seen, "whisker") == 0


def test_words_in_a_drawing_do_not_run_into_each_other(report, browser):
    page = opened(browser, report, 400)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    touching = """() => [...document.querySelectorAll("svg.spread")].flatMap((svg) => {
      const words = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
      return words.flatMap(([a, p], i) => words.slice(i + 1).filter(([, q]) =>
        p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom
      ).map(([b]) => `${a} | ${b}`));
    })"""
    assert page.evaluate(touching) == []


def test_what_was_found_is_one_step_away(report, browser):
    page = opened(browser, report, 1200)
    page.get_by_role("link", name="Values in another unit").first.click()
    found = page.locator("#finding-wrong_unit")
    assert found.is_visible()
    assert "What to do:" in found.inner_text()
    assert page.problems == []


def test_the_names_of_hospitals_stay_in_sight_while_the_checks_scroll(report, browser):
    page = opened(browser, report, 1200)
    page.locator("table.checks tbody tr").last.scroll_into_view_if_needed()
    page.locator("table.checks").evaluate(
        "(t) => scrollTo(0, t.getBoundingClientRect().bottom + scrollY - 200)"
    )
    box = page.locator("table.checks thead th").first.bounding_box()
    assert -1 <= box["y"] < 60


def test_on_paper_closed_parts_are_printed_and_nothing_is_cut_off(report, browser):
    page = opened(browser, report, 794)  # A4 at 96 dots per inch
    page.emulate_media(media="print")
    hidden = """[...document.querySelectorAll("details:not(.numbers) > :not(summary), .tall tr")]
      .filter((e) => !e.getClientRects().length).length"""
    assert page.evaluate(hidden) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    tall = "(e) => e.scrollHeight <= e.clientHeight + 2"
    assert page.locator(".tall").first.evaluate(tall)

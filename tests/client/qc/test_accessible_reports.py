"""Both local reports can be read with a screen reader, in either theme, on a telephone and on paper."""

import pytest

from cordon_client.qc.cohort_value import cohort_value
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import (
    CohortQc,
    Modality,
    Plot,
    SampleFiles,
    SampleQc,
    Series,
    StatColumn,
)
from cordon_client.qc.plots import WIDTH, draw
from cordon_client.qc.report import write_report
from cordon_client.qc.report_value import report_value
from cordon_client.qc.run_cohort import CohortCheck, PartQc
from cordon_client.qc.tabular import run_table_qc
from cordon_common.qc.profile import builtin_profile

LONG = "share of all reads of the sample that have met an adapter by this position of theirs"
CONTRAST = """() => {
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const read = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const c = read(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("body *:not(script):not(style)")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest("svg") || !element.getClientRects().length) continue;
    const [a, b] = [light(read(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""
"""Words whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""
STRUCTURE = """() => {
  const faults = [];
  const levels = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => +h.tagName[1]);
  levels.forEach((level, i) => {
    if (level > (i ? levels[i - 1] : 0) + 1) faults.push(`h${level} after h${levels[i - 1]}`);
  });
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  if (document.documentElement.lang !== "en") faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  for (const table of document.querySelectorAll("table")) {
    if ([...table.querySelectorAll("th")].some((th) => !th.scope)) faults.push("th without scope");
    if ([...table.tBodies].some((b) => [...b.rows].some((r) => r.cells[0].tagName !== "TH")))
      faults.push("row without a header");
  }
  for (const region of document.querySelectorAll("[role=region]"))
    if (!region.getAttribute("aria-label") && !document.getElementById(region.getAttribute("aria-labelledby")))
      faults.push("region without a name");
  for (const mark of document.querySelectorAll("td .strip > span"))
    if (!mark.getAttribute("aria-label")) faults.push("mark without words");
  return faults;
}"""


def cohort_report():
    profile = builtin_profile("fastq.v1")
    checks = ("fastq.q30", "fastq.gc", "fastq.adapters", "fastq.duplication", "fastq.reads")
    columns = tuple(StatColumn(f"k{i}", f"Key {i}", "%", "A number.") for i in range(14))
    lines = Series("s0", tuple(range(1, 151)), tuple(range(150)))
    plot = Plot("p", "Adapters", "line", "position", LONG, "They rise.", (lines,))
    found = tuple(
        SampleQc(
            f"sample-{i}",
            {column.key: 10.0 * i for column in columns},
            (
                *(result_of(Finding(check, 0.25 * i), profile) for check in checks),
                result_of(Finding("sample.readable", float(i == 3), 1, "It is cut off."), profile),
            ),
            (plot,),
        )
        for i in range(4)
    )
    samples = tuple(SampleFiles(each.sample, ()) for each in found)
    modality = Modality("fastq", "Reads", columns, lambda _: True, None, None)
    return cohort_value(CohortCheck((PartQc(modality, profile, samples, found, CohortQc()),)))


@pytest.fixture(scope="module")
def pages(shared_data, heart_study, key, tmp_path_factory):
    site = shared_data / "heart_disease" / "sites" / "switzerland.csv"
    study = report_value(heart_study, run_table_qc(heart_study, site, key))
    values = {"study": study, "cohort": cohort_report()}
    return {
        name: write_report(tmp_path_factory.mktemp(name), value) for name, value in values.items()
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["study", "cohort"])
def test_words_stand_out_and_headings_tables_and_marks_are_named(pages, browser, name, theme):
    context = browser.new_context(color_scheme=theme, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.goto(pages[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(STRUCTURE) == []
    page.evaluate(  # so that both would say so if it were otherwise
        """() => {
          document.querySelector("h1").style.color = "#777777";
          document.querySelector("h2").outerHTML = "<h5>x</h5>";
        }"""
    )
    assert len(page.evaluate(CONTRAST)) == 1
    assert page.evaluate(STRUCTURE) == ["h5 after h1"]
    context.close()


@pytest.mark.parametrize("name", ["study", "cohort"])
def test_on_paper_the_closed_parts_are_printed_and_nothing_is_cut_off(pages, browser, name):
    context = browser.new_context(viewport={"width": 794, "height": 1123})  # A4 at 96 dots per inch
    page = context.new_page()
    page.goto(pages[name].as_uri())
    page.emulate_media(media="print")
    heights = (
        "[...document.querySelectorAll('details table')].map((t) => t.getClientRects().length)"
    )
    assert page.evaluate(heights)
    assert all(page.evaluate(heights))
    assert page.locator("nav").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    context.close()


def test_on_a_telephone_the_sample_stays_in_sight_while_its_numbers_scroll(pages, browser):
    context = browser.new_context(viewport={"width": 400, "height": 900})
    page = context.new_page()
    page.goto(pages["cohort"].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.evaluate("document.querySelector('.scroll').scrollLeft = 500")
    box = page.locator("tbody th.name").first.bounding_box()
    assert 0 <= box["x"] < 40
    context.close()


def test_labels_of_axes_stay_inside_the_picture():
    series = [{"name": "s", "x": [0, 150], "y": [0, 1], "flagged": False}]
    plot = {"kind": "line", "title": "t", "x_label": "x", "y_label": LONG, "bands": []}
    drawn = draw(plot | {"series": series})
    assert 'textLength="206.0" lengthAdjust="spacingAndGlyphs"' in drawn
    last = drawn.split(">150</text>")[0].rsplit('x="', 1)[1].split('"')[0]
    assert float(last) + 3 * 4.0 < WIDTH

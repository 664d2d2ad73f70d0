"""Both local reports can be read with a screen reader, in either theme, on a telephone and on paper."""

import pytest
from web_pages import CONTRAST, STRUCTURE

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

"""The report of a cohort: every kind of plot, the same data beside it, and a browser's opinion."""

import json
import math
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from web_pages import opened

from cordon_client.qc.batch import judge_batches, stats_matrix
from cordon_client.qc.cohort_value import cohort_value
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import (
    Band,
    CohortQc,
    Modality,
    Plot,
    SampleFiles,
    SampleQc,
    Series,
    StatColumn,
)
from cordon_client.qc.plots import draw, nice_marks, short_number
from cordon_client.qc.report import (
    HTML_NAME,
    JSON_NAME,
    breakable,
    breakable_words,
    report_html,
    write_report,
)
from cordon_client.qc.run_cohort import CohortCheck, PartQc
from cordon_client.qc.side_files import CHECKS_NAME, SAMPLES_NAME, side_files
from cordon_common.qc.profile import builtin_profile

COLUMNS = (
    StatColumn("reads", "Reads", "", "Reads in all files.", 0),
    StatColumn("quality", "Q30", "%", "Bases of quality 30 or better."),
    StatColumn("spike", "Spike-ins", "%", "Absent where none were added."),
)
PROFILE = builtin_profile("clinical-table.v1")


def curve(sample, place):
    x = tuple(range(1, 41))
    y = tuple(36 - place - 0.1 * i - (i > 30) * place for i in x)
    return Plot(
        id="quality",
        title="Quality by position",
        kind="line",
        x_label="position in the read",
        y_label="median quality",
        sentence="Quality falls towards the end of the reads, as it usually does.",
        series=(Series(sample, x, y),),
        bands=(Band(28, math.inf, "pass"), Band(20, 28, "warn"), Band(0, 20, "fail")),
    )


def found(place):
    name = f"sample-{place:02d}"
    broken = place == 3
    results = [Finding("sample.readable", float(broken), 1, "R2 ends in the middle of a record.")]
    bars = Plot(
        "composition",
        "Bases <&>",
        "bars",
        "base",
        "share",
        "As expected.",
        (Series("share", ("A", "C", "G", "T"), (0.3, 0.2, None, 0.3)),),
    )
    return SampleQc(
        name,
        {"reads": 1_000_000 + 12_345 * place, "quality": 91.5 - place, "spike": None},
        tuple(result_of(each, PROFILE) for each in results),
        (curve(name, place), bars),
    )


def cohort_plots():
    return (
        Plot(
            "swap",
            "Concordance",
            "heatmap",
            "DNA",
            "RNA",
            "The diagonal should be dark.",
            matrix=((0.98, 0.6), (None, 0.97)),
            rows=("a", "b"),
            columns=("a", "b"),
        ),
        Plot(
            "pca",
            "Samples",
            "scatter",
            "PC1",
            "PC2",
            "No sample stands apart.",
            (
                Series("control", (-1.0, 0.2, 1.5), (0.1, -0.3, 0.2)),
                Series("case", (-0.5, 0.4), (1.2, 0.8)),
            ),
        ),
        Plot(
            "insert",
            "Insert sizes",
            "histogram",
            "bp",
            "reads",
            "One peak.",
            (Series("reads", tuple(range(100, 500, 20)), tuple(range(20))),),
        ),
    )


@pytest.fixture(scope="module")
def value():
    samples = tuple(
        SampleFiles(f"sample-{i:02d}", (Path("x"),), label=i // 2 % 2, batches={"run": f"r{i % 2}"})
        for i in range(12)
    )
    qc = tuple(found(i) for i in range(12))
    modality = Modality("clinical-table", "Reads", COLUMNS, lambda p: True, None, None)
    batches = judge_batches(stats_matrix(qc, COLUMNS[:2]), samples, PROFILE, "general statistics")
    together = CohortQc(batches.results, (*batches.plots, *cohort_plots()))
    return cohort_value(CohortCheck((PartQc(modality, PROFILE, samples, qc, together),), 2))


def test_lines_of_many_samples_share_one_picture_and_the_broken_one_stands_out(value):
    html = report_html(value)
    assert html.count("Quality by position</h3>") == 1
    assert html.count('class="line s') == 12
    assert len(re.findall(r'class="line s\d flagged"', html)) == 1
    assert "<h1>1 of 12 samples is left out; not held: Files readable</h1>" in html
    assert "R2 ends in the middle of a record" in html
    assert "Bases &lt;&amp;&gt;" in html


def test_the_data_beside_the_page_is_the_data_of_the_page(value, tmp_path):
    write_report(tmp_path, value)
    again = tmp_path / "again"
    write_report(again, value)
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == sorted(
        [
            HTML_NAME,
            JSON_NAME,
            SAMPLES_NAME,
            CHECKS_NAME,
            "training-set.csv",
            "cordon-clinical-table_mqc.json",
        ]
    )
    for name in names:
        assert (tmp_path / name).read_bytes() == (again / name).read_bytes()
    assert json.loads((tmp_path / JSON_NAME).read_bytes()) == value
    table = pq.read_table(tmp_path / SAMPLES_NAME).to_pylist()
    reads = {row["sample"]: row["value"] for row in table if row["statistic"] == "reads"}
    assert reads == {f"sample-{i:02d}": 1_000_000 + 12_345 * i for i in range(12)}
    assert {row["value"] for row in table if row["statistic"] == "spike"} == {None}
    checks = pq.read_table(tmp_path / CHECKS_NAME).to_pylist()
    assert [row["sample"] for row in checks if row["severity"] == "fail"] == ["sample-03"]


def test_general_statistics_are_written_as_multiqc_reads_custom_content(value):
    content = json.loads(side_files(value)["cordon-clinical-table_mqc.json"])
    assert content["plot_type"] == "generalstats"
    assert [next(iter(header)) for header in content["pconfig"]] == ["reads", "quality", "spike"]
    assert content["data"]["sample-03"] == {"reads": 1_037_035, "quality": 88.5}


def test_equal_values_give_equal_pages_and_no_infinity_reaches_the_json(value):
    assert report_html(value) == report_html(json.loads(json.dumps(value, allow_nan=False)))


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (0, 37, (0, 10, 20, 30)),
        (-3, 3, (-2, 0, 2)),
        (5, 5.001, None),
    ],
)
def test_axes_are_labelled_at_round_numbers(low, high, marks):
    found_marks = nice_marks(low, high)
    assert marks is None or found_marks == pytest.approx(marks)
    assert all(low <= mark <= high for mark in found_marks)
    assert 2 <= len(found_marks) <= 8


def test_numbers_on_axes_stay_short():
    assert [short_number(v) for v in (0.00012345, 12, 99999, 1234567)] == [
        "0.0001234", "12", "100k", "1.235M",
    ]  # fmt: skip


def test_a_plot_without_values_says_so_and_odd_values_stay_inside():
    empty = cohort_value_plot(Plot("e", "Empty", "line", "", "", "", (Series("a", (1,), (None,)),)))
    assert "Nothing to draw" in draw(empty)
    one = cohort_value_plot(Plot("o", "One", "bars", "", "", "", (Series("a", ("x",), (-5,)),)))
    numbers = re.findall(r' (?:x|y|width|height)="(-?[\d.]+)"', draw(one))
    assert all(-1 <= float(number) <= 480 for number in numbers)


def cohort_value_plot(plot):
    from cordon_client.qc.cohort_value import plot_value

    return plot_value(plot)


def test_a_browser_finds_no_fault_and_search_filter_and_sort_work(value, tmp_path, browser):
    path = write_report(tmp_path, value)
    page = opened(browser, path, 1200)
    rows = page.locator("#table-clinical-table tbody tr:visible")
    assert rows.count() == 12
    page.locator(".finder input").fill("sample-07")
    assert rows.count() == 1
    assert page.locator(".finder [role=status]").inner_text() == "1 of 12 shown"
    page.locator(".finder input").fill("")
    page.locator(".finder select").select_option("out")
    assert rows.all_inner_texts()[0].startswith("sample-03")
    page.locator(".finder select").select_option("")
    page.locator("th button", has_text="Q30").click()
    assert rows.first.inner_text().startswith("sample-11")
    unlabelled = page.evaluate(
        """() => [...document.querySelectorAll("svg")].filter((s) => !s.getAttribute("aria-label")).length
        + [...document.querySelectorAll("input,select")].filter((s) => !s.closest("label")).length
        + document.querySelectorAll("[id]").length
        - new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size"""
    )
    assert unlabelled == 0
    assert page.problems == []


@pytest.mark.parametrize("javascript", [True, False])
def test_a_telephone_shows_it_without_scrolling_sideways(value, tmp_path, browser, javascript):
    page = opened(browser, write_report(tmp_path, value), 360, java_script_enabled=javascript)
    assert page.locator("tbody tr").first.is_visible()
    assert page.locator(".finder").first.is_visible() is javascript
    if javascript:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.problems == []


def test_a_name_breaks_after_its_marks_and_its_text_stays_the_same():
    assert breakable("lab_A/run-1.tsv") == "lab_<wbr>A/<wbr>run-<wbr>1.<wbr>tsv"
    assert breakable("a__b") == "a__<wbr>b"
    assert breakable("<b>_x") == "&lt;b&gt;_<wbr>x"
    long = "laboratory_A/intensities.tsv"
    told = breakable_words(f"0.123 of {long}, <b>")
    assert told == "0.123 of laboratory_<wbr>A/<wbr>intensities.<wbr>tsv, &lt;b&gt;"


def test_on_a_telephone_a_long_name_breaks_between_its_words(value, tmp_path, browser):
    long = json.loads(json.dumps(value))
    for sample in long["parts"][0]["samples"]:
        sample["sample"] = f"laboratory_A/intensities-log.tsv/{sample['sample']}"
        for result in sample["results"]:
            result["detail"] = f"As in {sample['sample']}_and_what_follows_from_it_in_full."
    page = opened(browser, write_report(tmp_path, long), 400)
    lines = page.locator("tbody th.name").first.evaluate(
        """cell => {
            const lines = new Map(), range = document.createRange()
            for (const node of cell.childNodes)
                for (let i = 0; i < (node.length || 0); i++) {
                    range.setStart(node, i); range.setEnd(node, i + 1)
                    const top = Math.round(range.getBoundingClientRect().top)
                    lines.set(top, (lines.get(top) || "") + node.data[i])
                }
            return [...lines.values()]
        }"""
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert len(lines) > 1
    assert all(line[-1] in "_-./" for line in lines[:-1])

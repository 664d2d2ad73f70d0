"""The local report: self-contained, reproducible, true to the numbers, free of cells and paths."""

import errno
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from cordon_client.qc.report import HTML_NAME, JSON_NAME, report_html, write_report
from cordon_client.qc.report_value import ModelAtSite, Score, report_value
from cordon_common.errors import SystemFault

N = 40
VOID = {"input", "meta", "link", "br", "line", "rect", "img", "hr"}


@pytest.fixture
def study(make_study, number, category):
    features = [number(typical=[20, 60], description="a <number>"), category()]
    return make_study(features, patient_id="id")


@pytest.fixture
def columns():
    return {
        "id": [f"secret-id-{i}" for i in range(N)],
        "x": [500.25, None, 987654.25, *range(3, N)],
        "c": ["secret<script>", "a", *["a", "b"] * 19],
        "y": [i % 2 for i in range(N)],
        "surname_of_secret": ["secret"] * N,
    }


@pytest.fixture
def qc(study, columns, check):
    return check(study, columns)


@pytest.fixture
def model():
    return ModelAtSite(20, 30, Score(0.9, 0.85, 0.95), Score(0.7, 0.6, 0.8), 0.95)


class Page(HTMLParser):
    """Collects tags, checks that they nest, and keeps the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(html):
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    return page


def test_the_page_needs_nothing_but_itself(study, qc, model):
    page = parsed(report_html(report_value(study, qc, model)))
    assert page.tags.count("script") == 1
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"src", "href"}:
            assert value.startswith(("#", "data:"))
    css = (files("cordon_client.qc") / "templates" / "report.css").read_text()
    assert "url(" not in css
    assert "@import" not in css
    targets = {value[1:] for name, value in page.attributes if name == "href" and value[0] == "#"}
    assert targets <= set(page.ids)


def test_equal_input_gives_equal_bytes_and_no_trace_of_the_machine(study, columns, check, tmp_path):
    pages = []
    for folder in ("one", "two"):
        write_report(tmp_path / folder, report_value(study, check(study, columns)))
        pages.append([(tmp_path / folder / name).read_bytes() for name in (HTML_NAME, JSON_NAME)])
    assert pages[0] == pages[1]
    text = pages[0][0].decode() + pages[0][1].decode()
    for trace in (str(tmp_path), Path("/etc/hostname").read_text().strip(), "cohort.csv"):
        assert trace not in text


def test_no_cell_and_no_unread_column_is_shown(study, qc):
    html = report_html(report_value(study, qc))
    for word in ("secret", "987654", "500.25"):
        assert word not in html


def test_the_page_and_the_json_say_the_same_as_the_result(study, qc, tmp_path):
    page = write_report(tmp_path, report_value(study, qc))
    value = json.loads((tmp_path / JSON_NAME).read_bytes())
    assert value == report_value(study, qc)
    assert value["records"]["in_file"] == N
    assert sum(fate["records"] for fate in value["records"]["fates"]) == N
    assert value["patients"]["kept"] == qc.patients_kept == N - 2
    assert [finding["check"] for finding in value["findings"]] == [
        *("cohort.identifiers", "record.impossible-value"),
        *("feature.range", "feature.category"),
    ]
    text = " ".join(parsed(page.read_text()).text)
    assert "of 40 patients take part" in text
    assert "2 values are outside 0 to 100 u." in text
    assert page.stat().st_mode & 0o777 == 0o600


def test_a_finding_says_what_it_means_and_what_to_do(study, qc):
    value = report_value(study, qc)
    html = report_html(value)
    for finding in value["findings"]:
        assert finding["meaning"].split(";")[0].replace("'", "&#39;") in html
        assert finding["advice"].replace("'", "&#39;") in html


def test_a_cohort_that_must_not_train_says_so_first(study, check, columns):
    columns["y"] = [1] * N
    columns.pop("surname_of_secret")
    value = report_value(study, check(study, columns))
    assert value["headline"] == "This cohort must not train yet"
    assert value["findings"][0]["reason"] == "one_class_only"
    assert value["findings"][0]["stops_training"]
    assert "stops training" in report_html(value)


def test_a_clean_cohort_has_nothing_to_do(study, check, columns):
    columns.pop("surname_of_secret")
    columns["x"] = [30 + i / 8 for i in range(N)]
    columns["c"] = ["a", "b"] * 20
    value = report_value(study, check(study, columns))
    assert value["headline"] == "This cohort may train"
    assert "No check found anything" in report_html(value)
    assert "No feature has a missing value" in report_html(value)


def test_the_model_is_compared_only_when_it_is_given(study, qc, model):
    assert 'id="model"' not in report_html(report_value(study, qc))
    html = report_html(report_value(study, qc, model))
    assert "0.900" in html
    assert "0.200 better here, and the intervals do not overlap" in html
    near = ModelAtSite(20, 30, Score(0.7, 0.6, 0.8), Score(0.72, 0.6, 0.8), 0.95)
    assert "0.020 worse here; the intervals overlap" in report_html(report_value(study, qc, near))


def test_an_empty_feature_and_many_categories_can_be_drawn(make_study, number, category, check):
    codes = [f"code-{i:02d}" for i in range(30)]
    study = make_study([number(), category(categories=codes)], patient_id="id")
    columns = {
        "id": [f"p{i}" for i in range(30)],
        "x": [None] * 30,
        "c": codes,
        "y": [i % 2 for i in range(30)],
    }
    html = report_html(report_value(study, check(study, columns)))
    assert "18 more" in parsed(html).text
    coordinates = re.findall(r' (?:x|y|width|height|x1|x2|y1|y2)="([^"]*)"', html)
    assert len(coordinates) > 30
    assert all(re.fullmatch(r"\d+(\.\d)?", value) for value in coordinates)


def test_a_folder_that_cannot_be_written_is_a_coded_error(study, qc, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFault) as caught:
        write_report(tmp_path / "file" / "folder", report_value(study, qc))
    assert caught.value.code == "SY010"

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SystemFault) as caught:
        write_report(tmp_path, report_value(study, qc))
    assert caught.value.code == "SY001"


def _themes():
    css = (files("cordon_client.qc") / "templates" / "report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 3  # light, dark, print
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in blocks]


def _luminance(colour):
    digits = colour[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", _themes(), ids=["light", "dark", "print"])
def test_text_is_readable_in_every_theme(theme):
    """WCAG 2.2, criterion 1.4.3: 4.5 to 1 for text; 1.4.11: 3 to 1 for what charts show."""

    def contrast(a, b):
        high, low = sorted((_luminance(theme[a]), _luminance(theme[b])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("page", "card"):
        assert contrast("ink", ground) >= 4.5
        assert contrast("soft", ground) >= 4.5
    for severity in ("pass", "warn", "fail", "none"):
        assert contrast(severity, f"{severity}-soft") >= 4.5
    for mark in ("bar", "positive", "negative"):
        assert contrast(mark, "card") >= 3

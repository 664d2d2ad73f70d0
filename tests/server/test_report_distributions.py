"""Distributions side by side: what is drawn is what was released, and nothing that is suppressed."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from summaries import HEART, draw, released

from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import LABEL, MISSING_NEGATIVE, MISSING_POSITIVE
from cordon_server.report.cells import feature_cells
from cordon_server.report.distributions import MOST_DRAWN, distributions
from cordon_server.report.model import report_model
from cordon_server.report.overlay import Axis, Share, Trace, overlay
from cordon_server.report.render import render
from cordon_server.report.sites import patient_counts

EDGES = (0.0, 10.0, 20.0, 30.0, 40.0)
NUMBER = Axis(("0 to 10", "10 to 20", "20 to 30", "30 to 40"), EDGES, ("missing", "outside"))
CATEGORY = Axis(("a", "b", "c", "d"), (), ("missing", "unknown"))
SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.lists(st.one_of(st.none(), st.floats(-0.5, 1.5)), min_size=4, max_size=4)


def trace(*values, reach=0.1, aside=(None, None), place=0):
    cells = tuple(Share(value, reach) for value in values)
    return Trace(f"site-{place}", place, cells, tuple(Share(value, reach) for value in aside))


def drawn(axis, *traces):
    return ET.fromstring(overlay(axis, traces, "age"))  # noqa: S314 - our own output


def height_of(root):
    """Read the y axis back from its labels: pixels to shares."""
    ticks = [e for e in root.iter(f"{SVG}text") if e.text.endswith(" %")]
    low, high = ticks[0], ticks[-1]
    (y0, v0), (y1, v1) = ((float(t.get("y")) - 4, float(t.text[:-2]) / 100) for t in (low, high))
    return lambda y: v0 + (y - y0) / (y1 - y0) * (v1 - v0)


def points(element):
    if element.tag == f"{SVG}path":
        return [
            tuple(map(float, p)) for p in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", element.get("d"))
        ]
    return [tuple(map(float, p.split(","))) for p in element.get("points").split()]


def of(root, style):
    return [e for e in root.iter() if e.get("class") == style]


def test_steps_and_bands_are_the_shares_and_the_reach_of_their_noise():
    root = drawn(NUMBER, trace(0.1, 0.2, 0.4, 0.3))
    height = height_of(root)
    (step,), (band,) = of(root, "step"), of(root, "band")
    levels = [height(y) for _, y in points(step)]
    assert levels == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.4, 0.4, 0.3, 0.3], abs=1e-3)
    upper, lower = points(band)[:8], points(band)[8:][::-1]
    for (_, high), (_, low), value in zip(upper, lower, levels, strict=True):
        assert height(high) - height(low) == pytest.approx(0.2, abs=1e-3)
        assert height(high) == pytest.approx(value + 0.1, abs=1e-3)


def test_the_line_breaks_where_a_cell_is_suppressed_and_a_mark_says_so():
    root = drawn(NUMBER, trace(0.4, None, 0.2, 0.2))
    assert [len(points(step)) for step in of(root, "step")] == [2, 4]
    (first, second) = of(root, "band")
    gap = points(of(root, "step")[0])[-1][0], points(of(root, "step")[1])[0][0]
    assert max(x for x, _ in points(first)) == gap[0]
    assert min(x for x, _ in points(second)) == gap[1]
    lost = of(root, "lost")[0]
    assert gap[0] <= float(lost.get("x")) < gap[1]
    assert len(of(root, "lost")) == 3


@given(st.sampled_from([NUMBER, CATEGORY]), st.lists(VALUES, min_size=1, max_size=9))
def test_a_suppressed_share_leaves_no_trace_in_the_drawing(axis, rows):
    """Each hospital has one sign for each shown cell, one mark for each other, and no more."""
    traces = [trace(*values, place=place) for place, values in enumerate(rows)]
    assume(any(value is not None for values in rows for value in values))
    root = drawn(axis, *traces)
    for one in traces:
        groups = [e for e in root.iter(f"{SVG}g") if e.get("class").endswith(f"site-{one.place}")]
        own = [e for group in groups for e in group]
        shown = sum(share.value is not None for share in one.cells)
        assert sum(e.get("class") == "spot" for e in own) == shown
        assert sum(e.get("class") == "lost" for e in own) == 6 - shown
        tips = [title.text for e in own for title in e.iter(f"{SVG}title")]
        for name, share in zip(axis.names, one.cells, strict=True):
            words = [tip for tip in tips if tip.startswith(f"{one.site}, {name}:")]
            assert len(words) == (share.value is not None)
        wide = [e for e in own if e.get("class") in {"step", "band"}]
        covered = sum(len(points(e)) // (2 if e.get("class") == "step" else 4) for e in wide)
        assert covered == (2 * shown if axis.edges else 0)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_everything_stays_inside_the_drawing(rows):
    root = drawn(NUMBER, *(trace(*v, place=i, reach=0.7) for i, v in enumerate(rows)))
    width, height = (float(side) for side in root.get("viewBox").split()[2:])
    for element in (*of(root, "step"), *of(root, "band"), *of(root, "spot")):
        if element.tag != f"{SVG}circle":
            for x, y in points(element):
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_two_dozen_hospitals_have_two_dozen_signs():
    flat = [trace(0.2, 0.2, 0.2, 0.2, place=place) for place in range(24)]
    root = drawn(CATEGORY, *flat)
    signs = set()
    for group in root.iter(f"{SVG}g"):
        for mark in (e for e in group if e.get("class") == "spot"):
            outline = mark.get("points")
            moved = (
                [tuple(map(float, p.split(","))) for p in outline.split()] if outline else [(0, 0)]
            )
            shape = tuple((round(x - moved[0][0], 1), round(y - moved[0][1], 1)) for x, y in moved)
            signs.add((group.get("class").split()[0], shape))
    assert len(signs) == 24


# -- from the release to the page --------------------------------------------------------------------


def summary_of(patients, seed=5, noise_std=1.0):
    rng = np.random.default_rng(seed)
    return released(draw(rng, patients), rng, noise_std=noise_std)


def test_cells_are_named_by_the_study_and_counted_as_released():
    summary = summary_of(400)
    shown, total = shown_of(summary), patient_counts(summary)[""].value
    outcome, *features = feature_cells(summary, shown, total)
    assert outcome.feature == LABEL
    assert [found.feature for found in features] == [each.name for each in HEART.cohort.measured]
    for found in features:
        histogram = summary.histograms[found.feature]
        assert found.cells == histogram.spec.cells[:-3]
        assert found.edges == histogram.spec.edges
        for cell, share in zip(found.cells, found.shares, strict=True):
            count = histogram.estimate(cell).value
            assert share is None or share * total == pytest.approx(count)
        missing = histogram.estimate(MISSING_POSITIVE, MISSING_NEGATIVE)
        assert found.missing_std * total == pytest.approx(missing.std)


def test_a_suppressed_count_changes_nothing_that_is_shown():
    summary = summary_of(400)
    shown = shown_of(summary)
    before = feature_cells(summary, shown, 400.0)
    for histogram in summary.histograms.values():
        for place, cell in enumerate(histogram.spec.cells):
            if not shown.allows(histogram.spec.name, cell):
                histogram.counts[place] = 4321.0
    assert feature_cells(summary, shown, 400.0) == before


def test_of_a_hospital_below_the_limit_not_even_the_noise_is_told():
    summary = summary_of(3)
    assert not shown_of(summary).patients
    assert feature_cells(summary, shown_of(summary), 3.0) == ()


@pytest.fixture(scope="module")
def model(one_federation):
    one_federation.run()
    (state,) = one_federation.store.campaigns()
    return report_model(one_federation.coordinator, state)


def test_a_hospital_without_numbers_is_named_and_not_drawn(model):
    first, *others = model.sites
    quiet = replace(model, sites=(replace(first, features=()), *others))
    spread = distributions(quiet)
    assert spread.silent == (first.site,)
    assert first.site not in {entry.site for entry in spread.legend}
    assert first.site not in spread.note
    assert f"So few patients that nothing is shown: {first.site}." in render(quiet)
    assert distributions(replace(model, sites=())) is None


def test_the_table_below_a_drawing_says_the_same(model):
    spread = distributions(model)
    for each in (*spread.telling, *spread.noise):
        tips = re.findall(r"<title>([^<]*)</title>", each.drawing)
        told = {
            f"{entry.site}, {row.name}: {words}"
            for row in each.numbers
            for entry, words in zip(spread.legend, row.shares, strict=True)
            if words != "not shown"
        }
        assert told == {tip for tip in tips if not tip.endswith("not shown")}


def test_what_differs_is_drawn_first_and_said(model):
    first, *others = model.sites
    outcome, age, *rest = first.features
    turned = (replace(outcome, differs="positive: +40 points"), age, *rest)
    spread = distributions(replace(model, sites=(replace(first, features=turned), *others)))
    assert spread.telling[0].feature == "outcome"
    assert f"{first.site}: differs, positive: +40 points" in spread.telling[0].warnings


def test_a_page_draws_so_many_features_that_a_browser_can_show_it(model):
    many = tuple(
        replace(site, features=(site.features[0], *site.features[1:2] * 200))
        for site in model.sites
    )
    spread = distributions(replace(model, sites=many))
    assert len(spread.telling) + len(spread.noise) == MOST_DRAWN
    assert spread.left_out == 201 - MOST_DRAWN

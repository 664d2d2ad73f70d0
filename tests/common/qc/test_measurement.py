"""Measurements merge like integers: no order of files, lanes or sites changes the result."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.qc.measurement import MOMENT_SCALE, Count, Histogram, Moments

VALUES = st.lists(st.floats(-50, 150, allow_nan=False), max_size=40)
COUNTS = st.lists(st.integers(0, 2**50), min_size=4, max_size=4)


def moments(values):
    return Moments.of(np.array(values, dtype=np.float64), low=0.0, high=100.0)


def histogram(counts):
    return Histogram("four cells", tuple(counts))


@given(COUNTS, COUNTS, COUNTS)
def test_histograms_merge_in_any_order_and_grouping(a, b, c):
    a, b, c = histogram(a), histogram(b), histogram(c)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert (a + b).total == a.total + b.total


@given(VALUES, VALUES, VALUES)
def test_moments_merge_in_any_order_and_grouping(a, b, c):
    a, b, c = moments(a), moments(b), moments(c)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(VALUES, st.integers(0, 40))
def test_moments_of_parts_add_up_to_the_moments_of_the_whole(values, cut):
    assert moments(values[:cut]) + moments(values[cut:]) == moments(values)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_counts_add_part_and_total(a, b, c, d):
    merged = Count(a, a + b) + Count(c, c + d)
    assert merged == Count(a + c, a + b + c + d)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=60))
def test_mean_and_deviation_agree_with_the_textbook_to_a_grid_step(values):
    step = 50 / MOMENT_SCALE
    measured = moments(values)
    assert measured.mean == pytest.approx(statistics.fmean(values), abs=step)
    assert measured.standard_deviation == pytest.approx(statistics.stdev(values), abs=2 * step)


def test_values_outside_the_public_range_and_missing_ones_are_not_counted():
    assert moments([50.0, float("nan"), -1.0, 101.0, float("inf")]).n == 1


def test_one_value_has_a_mean_and_no_deviation_and_none_has_neither():
    assert moments([25.0]).mean == 25.0
    assert moments([25.0]).standard_deviation is None
    assert moments([]).mean is None


def test_different_cells_or_centres_do_not_merge():
    with pytest.raises(ValueError, match="do not merge"):
        Histogram("a", (1,)) + Histogram("b", (1,))
    with pytest.raises(ValueError, match="do not merge"):
        Histogram("a", (1,)) + Histogram("a", (1,), unit=2)
    with pytest.raises(ValueError, match="do not merge"):
        Moments(0.0, 1.0) + Moments(0.0, 2.0)


@pytest.mark.parametrize(("part", "total"), [(-1, 3), (4, 3)])
def test_an_impossible_count_is_refused(part, total):
    with pytest.raises(ValueError, match="0 <= part <= total"):
        Count(part, total)


def test_a_count_of_nothing_has_no_fraction():
    assert Count(0, 0).fraction is None
    assert Count(1, 4).fraction == 0.25

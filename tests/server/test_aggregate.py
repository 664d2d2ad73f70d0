"""Site sums: exact, in any order, and never silently wrapped."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import SystemFault
from cordon_server.aggregate import (
    BLOCK,
    GROUP,
    RunningSum,
    dequantise,
    mean_gradient,
    sum_releases,
)

vectors = st.lists(
    st.lists(st.integers(-(2**55), 2**55), min_size=3, max_size=3), min_size=1, max_size=20
)


@given(vectors, st.randoms(use_true_random=False))
def test_the_sum_is_exact_and_does_not_know_the_order(rows, shuffler):
    releases = [np.array(row, dtype=np.int64) for row in rows]
    total = sum_releases(releases)
    assert total.tolist() == [sum(column) for column in zip(*rows, strict=True)]
    shuffler.shuffle(releases)
    np.testing.assert_array_equal(sum_releases(releases), total)


@pytest.mark.parametrize("sites", [1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 2])
@pytest.mark.parametrize("dimension", [1, BLOCK, 2 * BLOCK + 17])
def test_blocks_and_groups_leave_nothing_out(sites, dimension):
    rng = np.random.default_rng(sites)
    releases = [rng.integers(-(2**50), 2**50, dimension) for _ in range(sites)]
    running = RunningSum(dimension)
    for count, release in enumerate(releases, start=1):
        running.add(release, limit=2**50)
        if count in {2, sites}:
            expected = np.sum(releases[:count], axis=0)
            np.testing.assert_array_equal(running.total(), expected)


def test_memory_does_not_grow_with_the_number_of_sites():
    def peak(sites):
        tracemalloc.start()
        sum_releases(np.full(100_000, site, dtype=np.int64) for site in range(sites))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(2 * GROUP)
    assert peak(50 * GROUP) <= 1.01 * peak(2 * GROUP)


def test_a_limit_that_was_checked_before_counts_against_overflow_too():
    release = np.array([1], dtype=np.int64)
    with pytest.raises(SystemFault) as refused:
        sum_releases([release] * 3, limit=2**62)
    assert refused.value.code == "SY043"


def test_the_inputs_are_left_alone():
    first = np.array([1, 2], dtype=np.int64)
    sum_releases([first, first])
    np.testing.assert_array_equal(first, [1, 2])


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_a_sum_that_overflows_is_refused(value):
    release = np.array([0, value], dtype=np.int64)
    with pytest.raises(SystemFault) as refused:
        sum_releases([release, release])
    assert refused.value.code == "SY043"


@pytest.mark.parametrize(
    "others",
    [
        [],
        [np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int64)],
        [np.zeros(3)],
        [np.zeros((1, 3), dtype=np.int64)],
    ],
)
def test_what_does_not_fit_together_is_refused(others):
    with pytest.raises(SystemFault) as refused:
        sum_releases(others)
    assert refused.value.code == "SY043"


def test_the_gradient_is_in_the_unit_of_the_loss():
    releases = [np.array([2**20, -(2**21)], dtype=np.int64), np.array([2**20, 0], dtype=np.int64)]
    np.testing.assert_array_equal(
        mean_gradient(releases, grid_per_unit=2.0**20, divisor=4), [0.5, -0.5]
    )
    np.testing.assert_array_equal(dequantise(releases[0], grid_per_unit=2.0**21), [0.5, -1.0])

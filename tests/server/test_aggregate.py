"""Site sums: exact, in any order, and never silently wrapped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import SystemFault
from cordon_server.aggregate import dequantise, mean_gradient, sum_releases

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

"""The dominance rule: over hospitals it is checked, within one it follows from k."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.qc.dominance import dominates
from cordon_common.qc.suppression import SUPPRESSED_BELOW

SHARES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=200)


@given(SHARES)
def test_of_a_count_of_k_or_more_no_patient_is_more_than_one_kth(shares):
    """Each patient brings at most one unit to a histogram (qc/PROOF.md, section 3)."""
    count = sum(shares)
    if count >= SUPPRESSED_BELOW:
        assert max(shares) / count <= 1 / SUPPRESSED_BELOW
        assert not dominates(shares, 0.5)


@pytest.mark.parametrize(
    ("patients", "most", "found"),
    [
        ([300, 200, 100], 0.5, False),
        ([301, 200, 100], 0.5, True),
        ([810, 100, 90], 0.8, True),
        ([800, 100, 100], 0.8, False),
        ([50], 0.8, True),
        ([50, -20], 0.8, True),  # noise alone is nobody
        ([-1, -2], 0.8, True),
        ([], 0.8, True),
    ],
)
def test_one_hospital_dominates_when_it_brings_more_than_its_share(patients, most, found):
    assert dominates(patients, most) is found

"""Keyed hashes of patients and records, and the split that follows from them."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.qc.identity import (
    check_key,
    content_hash,
    holdout_mask,
    is_holdout,
    patient_hashes,
    row_hashes,
)
from cordon_common.errors import DataError


def test_a_patient_hash_is_hmac_sha256_of_the_id(key):
    expected = hmac.new(key, b"cordon.patient.v1\0p-1", hashlib.sha256).digest()
    assert patient_hashes(key, ["p-1"]) == [expected]
    assert patient_hashes(bytes(32), ["p-1"]) != [expected]


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=8))
def test_equal_rows_and_only_equal_rows_share_a_hash(rows):
    content = np.array(rows)
    hashes = row_hashes(bytes(32), content)
    for i, a in enumerate(content):
        for j, b in enumerate(content):
            same = np.array_equal(a, b, equal_nan=True)
            assert (hashes.digests[i] == hashes.digests[j]) is same
            assert ((hashes.high[i], hashes.low[i]) == (hashes.high[j], hashes.low[j])) is same


def test_hashing_does_not_write_to_its_input(key):
    content = np.array([[-0.0, np.nan]])
    row_hashes(key, content)
    assert np.signbit(content[0, 0])


def test_the_order_of_a_patients_records_does_not_matter(key):
    assert content_hash(key, [b"a", b"b"]) == content_hash(key, [b"b", b"a"])


def test_the_held_out_part_has_the_asked_size_and_is_fixed(key):
    hashes = patient_hashes(key, (str(i) for i in range(20_000)))
    mask = holdout_mask(hashes, 0.25)
    # Binomial(20000, 1/4): six standard deviations are 367.
    assert abs(int(mask.sum()) - 5000) < 370
    assert [is_holdout(patient, 0.25) for patient in hashes[:50]] == mask[:50].tolist()


def test_a_larger_fraction_only_adds_patients(key):
    hashes = patient_hashes(key, (str(i) for i in range(2000)))
    small, large = holdout_mask(hashes, 0.2), holdout_mask(hashes, 0.4)
    assert not (small & ~large).any()


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_split_key_of_another_length_is_refused(length):
    with pytest.raises(DataError) as caught:
        check_key(bytes(length))
    assert caught.value.code == "DA017"

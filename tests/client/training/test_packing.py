"""Blocks: every patient once, one shape per kind, nothing that depends on the others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.records import Tensors
from cordon_client.training.packing import patient_blocks


def cohort(records_of):
    owner = np.repeat(np.arange(len(records_of)), records_of)
    inputs = np.column_stack([owner, np.arange(owner.size)]).astype(float)
    labels = (np.arange(owner.size) % 2).astype(float)
    order = np.random.default_rng(owner.size).permutation(owner.size)
    return Tensors(inputs[order], labels[order], owner[order], len(records_of))


def places(block):
    """Rows of a block by patient place: list of (owner, record) with their weight."""
    rows = block.inputs.numpy().reshape(block.patients, block.slots, 2)
    weights = block.weights.numpy().reshape(block.patients, block.slots)
    return [
        [
            (int(owner), int(record), weight)
            for (owner, record), weight in zip(r, w, strict=True)
            if weight
        ]
        for r, w in zip(rows, weights, strict=True)
    ]


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(1, 9), st.integers(1, 32))
def test_every_patient_is_in_one_place_with_weights_that_sum_to_one(records_of, cap, rows):
    tensors = cohort(records_of)
    everyone = np.ones(len(records_of), dtype=bool)
    seen = []
    for block in patient_blocks(tensors, everyone, cap=cap, rows=rows):
        assert block.slots <= max(rows, 16)
        for place in places(block):
            if place:
                owners = {owner for owner, _, _ in place}
                assert len(owners) == 1
                seen.append(owners.pop())
                assert len(place) == min(cap, records_of[seen[-1]])
                np.testing.assert_allclose(sum(weight for _, _, weight in place), 1.0)
    assert sorted(seen) == list(range(len(records_of)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.data())
def test_only_patients_who_take_part_are_packed(records_of, data):
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(records_of), max_size=len(records_of)))
    )
    tensors = cohort(records_of)
    seen = {
        place[0][0]
        for block in patient_blocks(tensors, chosen, cap=9, rows=8)
        for place in places(block)
        if place
    }
    assert seen == set(np.flatnonzero(chosen))


def test_blocks_of_one_kind_have_one_shape_whatever_the_number_of_patients():
    shapes = {}
    for count in (1, 7, 64, 65, 300):
        tensors = cohort([1, 3, 2] * count)
        everyone = np.ones(3 * count, dtype=bool)
        for block in patient_blocks(tensors, everyone, cap=3, rows=64):
            shapes.setdefault(block.slots, set()).add(tuple(block.inputs.shape))
    assert shapes == {1: {(64, 2)}, 2: {(64, 2)}, 4: {(64, 2)}}


def test_records_beyond_the_cap_are_the_last_ones_in_table_order():
    tensors = Tensors(np.array([[0.0, 5], [0, 3], [0, 9]]), np.zeros(3), np.zeros(3, int), 1)
    (block,) = patient_blocks(tensors, np.array([True]), cap=2, rows=4)
    assert [record for _, record, _ in places(block)[0]] == [5, 3]


def test_no_patients_make_no_blocks():
    assert list(patient_blocks(cohort([]), np.zeros(0, dtype=bool), cap=1, rows=8)) == []

"""Encoding: order and scale are public, and a record's row is a function of that record."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.records import CleanTable
from cordon_client.tensors.tabular import INPUT_BOUND, encode, split
from cordon_common.protocol.dictionary import Cohort
from cordon_common.protocol.layout import input_columns

COHORT = Cohort.model_validate(
    {
        "patient_id": "id",
        "max_records_per_patient": 5,
        "features": [
            {
                "name": "age",
                "type": "number",
                "unit": "years",
                "range": [0, 120],
                "typical": [40, 80],
                "missing_indicator": True,
            },
            {
                "name": "pain",
                "type": "category",
                "categories": ["none", "mild", "severe"],
                "missing_indicator": True,
            },
            {
                "name": "pressure",
                "type": "number",
                "unit": "mmHg",
                "range": [60, 260],
                "impute": 130,
            },
            {"name": "sex", "type": "category", "categories": ["f", "m"], "impute": "f"},
        ],
        "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
    }
)


def table(ages, pains, pressures, sexes, patients=None):
    count = len(ages)
    return CleanTable(
        numbers={"age": np.array(ages, float), "pressure": np.array(pressures, float)},
        categories={"pain": np.array(pains), "sex": np.array(sexes)},
        labels=np.arange(count).astype(np.int8) % 2,
        patients=tuple(patients or (bytes([i]) * 32 for i in range(count))),
    )


def test_columns_stand_in_the_layouts_order():
    labels = [column.label for column in input_columns(COHORT)]
    tensors = encode(table([80], [2], [260], [1]), COHORT)
    row = dict(zip(labels, tensors.inputs[0], strict=True))
    assert row == pytest.approx(
        {
            "age": 1.0,
            "age is missing": 0.0,
            "pain=none": -1 / 3,
            "pain=mild": -1 / 3,
            "pain=severe": 2 / 3,
            "pain is missing": 0.0,
            "pressure": 1.0,
            "sex=f": -0.5,
            "sex=m": 0.5,
        }
    )


def test_missing_values_become_the_declared_constants():
    tensors = encode(table([np.nan], [-1], [np.nan], [-1]), COHORT)
    np.testing.assert_allclose(tensors.inputs[0], [0, 1, 0, 0, 0, 1, -0.3, 0.5, -0.5])


def test_numbers_far_from_typical_are_clamped():
    tensors = encode(table([0, 120, 1e9], [0] * 3, [160] * 3, [0] * 3), COHORT)
    np.testing.assert_allclose(tensors.inputs[:, 0], [-INPUT_BOUND, INPUT_BOUND, INPUT_BOUND])


def test_an_empty_table_keeps_its_width():
    tensors = encode(table([], np.empty(0, int), [], np.empty(0, int)), COHORT)
    assert tensors.inputs.shape == (0, 9)
    assert tensors.n_patients == 0


values = st.floats(-1e6, 1e6) | st.just(float("nan"))
records = st.tuples(values, st.integers(-1, 2), values, st.integers(-1, 1))


@given(st.lists(records, min_size=1, max_size=8), st.data())
def test_a_records_row_does_not_depend_on_other_records(rows, data):
    chosen = data.draw(st.integers(0, len(rows) - 1))
    everyone = encode(table(*zip(*rows, strict=True)), COHORT)
    alone = encode(table(*zip(rows[chosen], strict=True)), COHORT)
    np.testing.assert_array_equal(everyone.inputs[chosen], alone.inputs[0])
    assert np.isfinite(everyone.inputs).all()
    assert np.abs(everyone.inputs).max() <= INPUT_BOUND


def test_records_of_one_patient_get_one_number():
    owners = [b"b" * 32, b"a" * 32, b"b" * 32, b"c" * 32]
    tensors = encode(table([50] * 4, [0] * 4, [120] * 4, [0] * 4, owners), COHORT)
    np.testing.assert_array_equal(tensors.patients, [0, 1, 0, 2])
    assert tensors.n_patients == 3


def test_the_split_keeps_every_patient_once_and_whole():
    owners = [bytes([i // 2]) * 32 for i in range(12)]
    tensors = encode(table(list(range(40, 52)), [0] * 12, [120] * 12, [0] * 12, owners), COHORT)
    held = [owner[0] in (1, 4) for owner in owners]
    train, holdout = split(tensors, held)
    assert (train.n_patients, holdout.n_patients) == (4, 2)
    for part in (train, holdout):
        np.testing.assert_array_equal(np.unique(part.patients), np.arange(part.n_patients))
        np.testing.assert_array_equal(np.bincount(part.patients), 2)
    rows = np.concatenate([train.inputs, holdout.inputs])
    np.testing.assert_array_equal(np.sort(rows[:, 0]), np.sort(tensors.inputs[:, 0]))
    np.testing.assert_array_equal(holdout.inputs, tensors.inputs[np.array(held)])
    np.testing.assert_array_equal(holdout.labels, tensors.labels[np.array(held)])


@pytest.mark.parametrize(
    ("scale", "seen"),
    [
        ("presence", [0.0, 1.0, 1.0, 1.0]),
        ("log", [0.0, 0.0, 0.5, 1.0]),
        ("detection", [0.0, 0.5, 0.75, 1.0]),
    ],
)
def test_amounts_are_seen_as_there_or_not_and_by_their_logarithm(scale, seen):
    cohort = amounts_cohort(scale)
    amounts = [0.0, 1e-6, 1e-3, 1.0, np.nan]
    clean = CleanTable(
        numbers={"species": np.array(amounts)},
        categories={},
        labels=np.zeros(5, dtype=np.int8),
        patients=tuple(bytes([i]) * 32 for i in range(5)),
    )
    expected = [value - 0.2 for value in seen] + [0.0]  # a missing amount is as expected
    np.testing.assert_allclose(encode(clean, cohort).inputs[:, 0], expected, atol=1e-12)
    assert input_columns(cohort)[0].expected == 0.2


def amounts_cohort(scale):
    species = {"name": "species", "type": "number", "unit": "1", "range": [0, 1]}
    species |= {"typical": [1e-6, 1], "scale": scale, "expected": 0.2}
    label = {"name": "y", "positive": ["1"], "negative": ["0"]}
    return Cohort.model_validate({"features": [species], "label": label})


def test_sequences_and_series_are_encoded_channel_by_channel():
    cohort = Cohort.model_validate(
        {
            "features": [
                {"name": "dna", "type": "sequence", "length": 5},
                {
                    "name": "beat",
                    "type": "series",
                    "prefix": "t",
                    "length": 4,
                    "unit": "mV",
                    "range": [-10, 10],
                    "typical": [0, 4],
                },
            ],
            "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
        }
    )
    table = CleanTable(
        numbers={"dna": np.array([0.5]), "beat": np.array([1.0])},
        categories={},
        labels=np.array([1], dtype=np.int8),
        patients=(bytes(32),),
        arrays={
            "dna": np.array([[0, 3, 4, 2, 1]], dtype=np.int8),
            "beat": np.array([[2.0, 4.0, np.nan, 10.0]]),
        },
    )
    inputs = encode(table, cohort).inputs
    assert inputs.shape == (1, len(input_columns(cohort))) == (1, 24)
    np.testing.assert_array_equal(
        inputs[0, :20].reshape(4, 5),
        [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]],
    )
    np.testing.assert_array_equal(inputs[0, 20:], [0.0, 1.0, 0.0, INPUT_BOUND])
    assert [input_columns(cohort)[i].label for i in (0, 6, 20)] == [
        "dna A at 1",
        "dna C at 2",
        "beat value at 1",
    ]

"""Cells are read one by one, in the study's terms."""

import math

import numpy as np
import pyarrow as pa
import pytest

from cordon_client.qc.cells import MISSING, UNKNOWN
from cordon_client.qc.columns import read_columns
from cordon_client.qc.reader import SourceTable
from cordon_common.errors import DataError

# Enough good cells that a few odd ones do not condemn the column.
PAD = 60


def read(study, **columns):
    size = max(len(cells) for cells in columns.values())
    arrays = {}
    for name, cells in columns.items():
        pad = {"x": "7", "y": "0"}.get(name, cells[-1])
        arrays[name] = pa.chunked_array([pa.array([*cells, *[pad] * (size + PAD - len(cells))])])
    table = SourceTable(arrays, (), size + PAD)
    return read_columns(table, study.cohort)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1.0),
        (" 2.50 ", 2.5),
        ("-3e2", -300.0),
        (".5", 0.5),
        ("+1.", 1.0),
        ("", math.nan),
        ("NA", math.nan),
        ("?", math.nan),
        ("nan", math.nan),
        ("-9", math.nan),
        ("-9.0", math.nan),
    ],
)
def test_a_number_is_read_and_missing_codes_are_missing(make_study, number, cell, value):
    table = read(make_study([number(missing_codes=[-9])]), x=[cell, "7"], y=["1"])
    column = table.numbers["x"]
    np.testing.assert_equal(column.values[0], value)
    assert not column.invalid[0]
    assert column.coded == (cell.strip() in {"-9", "-9.0"})


@pytest.mark.parametrize("cell", ["12O", "1,5", "inf", "-Infinity", "1e999", "0x10", "<5", "1_0"])
def test_what_is_not_a_finite_number_is_invalid_and_not_missing(make_study, number, cell):
    column = read(make_study([number()]), x=[cell, "7"], y=["1"]).numbers["x"]
    assert column.invalid.tolist() == [True] + [False] * (1 + PAD)
    assert math.isnan(column.values[0])


@pytest.mark.parametrize(
    ("cell", "index"),
    [("a", 0), (" b ", 1), ("1.0", 2), ("1", 2), ("", MISSING), ("x", MISSING), ("A", UNKNOWN)],
)
def test_a_category_is_an_index_and_whole_numbers_lose_their_decimals(
    make_study, category, cell, index
):
    study = make_study([category(categories=["a", "b", "1"], missing_codes=["x"])])
    assert read(study, c=[cell, "a"], y=["1"]).categories["c"][0] == index


def test_a_word_for_missing_that_the_study_lists_is_a_category(make_study, category):
    study = make_study([category(categories=["unknown", "b"])])
    assert read(study, c=["unknown", "b"], y=["1"]).categories["c"].tolist()[:2] == [0, 1]


def test_outcomes_are_one_zero_missing_or_unknown(make_study, number):
    table = read(make_study([number()]), x=["1"], y=["1", "0", "", "2", "1.0"])
    assert table.labels.tolist()[:5] == [1, 0, MISSING, UNKNOWN, 1]


def test_ids_keep_leading_zeros_and_a_missing_id_belongs_to_nobody(make_study, number):
    study = make_study([number()], patient_id="id")
    table = read(study, id=["007", "7", "7.0", "", "007"], x=["1"], y=["1"])
    assert table.ids == ("007", "7")
    assert table.patient.tolist()[:5] == [0, 1, 1, MISSING, 0]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"x": ["tall"] * 9 + ["1"], "y": ["1"]}, "DA008"),
        ({"x": ["1"], "y": ["2"] * 9}, "DA009"),
        ({"x": ["1"], "y": ["yes"] * 30}, "DA009"),
    ],
)
def test_a_column_that_mostly_defies_the_study_is_refused(make_study, number, columns, code):
    with pytest.raises(DataError) as caught:
        read(make_study([number()]), **columns)
    assert caught.value.code == code
    assert "tall" not in f"{caught.value} {caught.value.why}"


def test_ids_that_are_mostly_missing_are_refused(make_study, number):
    study = make_study([number()], patient_id="id")
    with pytest.raises(DataError) as caught:
        read(study, id=["1", ""], x=["1"], y=["1"])
    assert caught.value.code == "DA016"


def test_records_that_say_the_same_have_the_same_content(make_study, number, category):
    study = make_study([number(), category()])
    table = read(study, x=["1", "1.0", "odd", "?"], c=["a"], y=["1", "1.0", "1", "1"])
    rows = table.content(study.cohort)
    assert rows[0].tolist() == rows[1].tolist() == [1.0, 0.0, 1.0]
    assert rows[2, 0] == math.inf
    assert math.isnan(rows[3, 0])

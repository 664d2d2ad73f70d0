"""Sequences and series are read record by record, in the study's terms."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cordon_client.qc.sequence_columns import (
    UNKNOWN_BASE,
    content_marks,
    read_sequence,
    read_series,
)
from cordon_client.qc.tabular import run_table_qc
from cordon_common.errors import DataError
from cordon_common.protocol.dictionary import SequenceFeature, SeriesFeature
from cordon_common.protocol.parse import load_study
from cordon_common.qc.fates import RecordFate
from cordon_common.qc.summary import qc_layout

STUDIES = Path(__file__).resolve().parents[3] / "configs" / "studies"
DNA = SequenceFeature.model_validate(
    {"name": "dna", "type": "sequence", "length": 8, "max_unknown": 0.25}
)
SERIES = SeriesFeature.model_validate(
    {
        "name": "beat",
        "type": "series",
        "prefix": "t",
        "length": 4,
        "unit": "mV",
        "range": [-5, 5],
        "max_missing": 0.25,
    }
)
GOOD = ["ACGTACGT"] * 60


def read(*cells):
    bases, number = read_sequence(pa.chunked_array([pa.array([*cells, *GOOD])]), DNA)
    size = len(cells)
    return bases[:size], number.values[:size], number.invalid[:size]


@pytest.mark.parametrize(
    ("cell", "bases", "gc"),
    [
        ("ACGTACGT", [0, 1, 2, 3, 0, 1, 2, 3], 0.5),
        (" ggggcccc ", [2, 2, 2, 2, 1, 1, 1, 1], 1.0),
        ("AAAAAAUU", [0, 0, 0, 0, 0, 0, 3, 3], 0.0),
        ("NCGTACGR", [4, 1, 2, 3, 0, 1, 2, 4], 4 / 6),
    ],
)
def test_a_text_becomes_its_bases(cell, bases, gc):
    found, values, invalid = read(cell)
    assert found[0].tolist() == bases
    assert values[0] == pytest.approx(gc)
    assert not invalid[0]


@pytest.mark.parametrize("cell", ["ACGTACG", "ACGTACGTA", "ACGTACGX", "NNNACGTA", "ACGT CGT"])
def test_a_text_of_another_length_or_alphabet_is_impossible(cell):
    found, values, invalid = read(cell)
    assert invalid[0]
    assert np.isnan(values[0])
    assert set(found[0]) == {UNKNOWN_BASE}


def test_a_missing_text_is_missing_not_impossible():
    found, values, invalid = read("", "NA")
    assert not invalid.any()
    assert np.isnan(values).all()
    assert set(found.ravel()) == {UNKNOWN_BASE}


def test_a_column_of_something_else_is_refused():
    with pytest.raises(DataError) as refused:
        read_sequence(pa.chunked_array([pa.array(["MKVLA"] * 40)]), DNA)
    assert refused.value.code == "DA019"
    assert "MKVLA" not in str(refused.value)


def series(*rows):
    padded = [*rows, *[["0", "1", "2", "3"]] * 100]
    columns = [pa.chunked_array([pa.array(list(c))]) for c in zip(*padded, strict=True)]
    points, number = read_series(columns, SERIES)
    return points[: len(rows)], number.values[: len(rows)], number.invalid[: len(rows)]


def test_a_series_keeps_its_points_and_is_measured_by_their_mean():
    points, values, invalid = series(
        ["1", "2", "-3", "4"], ["1", "", "3", "NA"], ["", "2", "2", "2"]
    )
    assert points[0].tolist() == [1, 2, -3, 4]
    assert values[0] == 1.0
    assert invalid.tolist() == [False, True, False]  # half of the second series is missing
    assert np.isnan(points[1]).all()
    assert values[2] == 2.0


@pytest.mark.parametrize(
    "row", [["1", "x", "2", "3"], ["1", "2", "3", "6"], ["-5.1", "1", "1", "1"]]
)
def test_one_bad_point_makes_the_series_impossible(row):
    _, values, invalid = series(row)
    assert invalid[0]
    assert np.isnan(values[0])


def test_a_series_without_any_point_is_missing():
    _, values, invalid = series(["", "NA", "", ""])
    assert not invalid[0]
    assert np.isnan(values[0])


def test_marks_are_equal_for_equal_records_only():
    rows = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 3], [4, 4, 4]], dtype=np.int8)
    marks = np.column_stack(content_marks(rows))
    assert np.array_equal(marks[0], marks[1])
    assert len({tuple(row) for row in marks}) == 3
    assert np.array_equal(marks, np.rint(marks))
    assert (marks < 2.0**52).all()


def test_the_summary_of_a_sequence_study_counts_gc_share_not_bases():
    layout = qc_layout(load_study(STUDIES / "splice-junctions.yaml"))
    assert [spec.kind for spec in layout.histograms] == ["fate", "label", "number"]
    assert layout.histograms[2].edges[0] == 0
    assert layout.histograms[2].edges[-1] == 1


def test_real_splice_junctions_pass_quality_control(shared_data):
    study = load_study(STUDIES / "splice-junctions.yaml")
    qc = run_table_qc(study, shared_data / "dna_uci" / "splice.csv", bytes(range(32)))
    assert qc.record_fates[RecordFate.KEPT] == 3177
    assert qc.record_fates[RecordFate.IMPOSSIBLE_VALUE] == 1  # 14 of 60 bases are N
    assert qc.clean.arrays["sequence"].shape == (3177, 60)
    assert qc.verdict.may_train

"""Clinical tables without a study: formats, what is found on real data, and bounded memory."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cordon_client.qc.clinical.judge import hidden_code
from cordon_client.qc.clinical.leakage import single_auc
from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.clinical.survey import read_survey
from cordon_client.qc.clinical.tally import ColumnTally, RepeatedRows, RowSample, tally_column
from cordon_client.qc.clinical.vocabulary import IDENTIFIER_NAME, QUASI_NAME
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.work import Work, carry_out
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("clinical.v1")
BAD = {Severity.WARN, Severity.FAIL, Severity.ERROR}


def silent(done, total):
    pass


def findings(path):
    """(check, column) → detail, of what did not pass."""
    work = Work(CLINICAL, (SampleFiles(path.name, (path,)),), PROFILE)
    (found,) = carry_out(work, silent)
    return {(r.check, r.subject): r.detail for r in found.results if r.severity in BAD}


def table(tmp_path, columns, name="t.csv", rows=None):
    path = tmp_path / name
    frame = pd.DataFrame(columns)
    frame = frame if rows is None else frame.iloc[:rows]
    frame.to_csv(path, index=False)
    os.utime(path, (1.7e9, 1.7e9))  # written in November 2023
    return path


def clean(n=400, seed=0):
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    return {
        "id": [f"p{i}" for i in range(n)],
        "age": rng.integers(30, 80, n),
        "glucose": rng.normal(105, 15, n).round(1),
        "visit": day.strftime("%Y-%m-%d"),
        "sex": rng.choice(["f", "m"], n),
        "outcome": rng.integers(0, 2, n),
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_table_raises_no_finding(tmp_path, seed):
    assert findings(table(tmp_path, clean(seed=seed))) == {}


def plant(kind, columns):  # noqa: C901 - a list of faults
    rng = np.random.default_rng(1)
    n = len(columns["age"])
    few = rng.permutation(n)[: n // 10]
    if kind == "mixed units":
        columns["glucose"] = columns["glucose"].astype(float)
        columns["glucose"][few] /= 18.02
    elif kind == "hidden code":
        columns["age"][few] = 999
    elif kind == "negative code":
        columns["glucose"][few[:1]] = -9
    elif kind == "zero pressure":
        columns["glucose"][few[:1]] = 0
    elif kind == "future":
        columns["visit"] = columns["visit"].where(~np.isin(np.arange(n), few), "2093-01-01")
    elif kind == "death before":
        columns["death_date"] = ["2020-01-01"] * n
    elif kind == "born later":
        columns["birth_date"] = ["2021-01-01"] * n
    elif kind == "e-mail":
        columns["contact"] = [f"p{i}@example.org" for i in range(n)]
    elif kind == "telephone":
        columns["c7"] = [f"+41 44 {i:03d} 12 34" for i in range(n)]
    elif kind == "person":
        columns["who"] = ["Meier, Anna", "Keller, Urs"] * (n // 2)
    elif kind == "record number":
        columns["k"] = [f"MRN{i:07d}" for i in range(n)]
    elif kind == "named":
        columns["family_name"] = ["x"] * n
    elif kind == "telling":
        columns["score"] = columns["outcome"] * 10 + rng.random(n)
    elif kind == "afterwards":
        columns["length_of_stay"] = rng.integers(1, 30, n)
    elif kind == "constant":
        columns["chol"] = [0] * n
    elif kind == "text":
        columns["glucose"] = columns["glucose"].astype(str).astype(object)
        columns["glucose"][few[:4]] = "<50"
    elif kind == "empty":
        columns["hba1c"] = [""] * (n // 2) + ["5"] * (n - n // 2)
    elif kind == "repeated":
        return {name: [*values, *list(values)[: n // 10]] for name, values in columns.items()}
    return columns


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mixed units", ("column.units", "glucose")),
        ("hidden code", ("column.code", "age")),
        ("negative code", ("column.code", "glucose")),
        ("zero pressure", ("column.code", "glucose")),
        ("future", ("table.future", "visit")),
        ("death before", ("table.date-order", "visit")),
        ("born later", ("table.date-order", "visit")),
        ("e-mail", ("table.identifiers", None)),
        ("telephone", ("table.identifiers", None)),
        ("person", ("table.identifiers", None)),
        ("record number", ("table.identifiers", None)),
        ("named", ("table.identifiers", None)),
        ("telling", ("column.tells-outcome", "score")),
        ("afterwards", ("table.afterwards", "length_of_stay")),
        ("constant", ("column.constant", "chol")),
        ("text", ("column.number", "glucose")),
        ("empty", ("column.missing", "hba1c")),
        ("repeated", ("table.repeated", None)),
    ],
)
def test_a_planted_fault_is_named(tmp_path, kind, expected):
    assert expected in findings(table(tmp_path, plant(kind, clean())))


def test_csv_parquet_and_arff_of_one_table_say_the_same(tmp_path):
    columns = plant("hidden code", clean())
    frame = pd.DataFrame(columns)
    paths = [table(tmp_path, columns), tmp_path / "t.parquet", tmp_path / "t.arff"]
    frame.to_parquet(paths[1])
    head = "".join(f"@attribute '{name}' string\n" for name in frame)
    rows = "\n".join("\t, ".join(map(str, row)) for row in frame.to_numpy())
    paths[2].write_text(f"% a comment\n@relation t\n{head}@data\n{rows}\n")
    for path in paths:
        os.utime(path, (1.7e9, 1.7e9))
    assert findings(paths[0]) == findings(paths[1]) == findings(paths[2]) != {}


@pytest.mark.parametrize("name", ["chronic_kidney_disease", "chronic_kidney_disease_full"])
def test_the_faulty_line_of_a_real_arff_file_is_left_out_and_told(shared_data, name):
    path = shared_data / "chronic_kidney_disease" / f"{name}.arff"
    survey = read_survey(path, silent)
    assert (survey.records, survey.damaged, len(survey.columns)) == (399, 1, 25)
    assert findings(path)[("table.lines", None)] == "1 of 400."


def test_real_faults_of_real_tables_are_named(shared_data):
    heart, tables = shared_data / "heart_disease" / "sites", shared_data / "clinical_tables"
    assert ("column.constant", "chol") in findings(heart / "switzerland.csv")
    assert ("column.code", "trestbps") in findings(heart / "va.csv")
    assert findings(heart / "cleveland.csv") == {}
    covid = findings(tables / "medicaldata__covid_testing.csv")
    assert "fake_first_name (by its name)" in covid[("table.identifiers", None)]
    tongji = shared_data / "covid19_tongji_timeseries"
    found = findings(tongji / "time_series_375_preprocess_en.csv")
    assert ("table.afterwards", "Discharge time") in found
    assert ("column.tells-outcome", "PATIENT_ID") in found  # survivors were listed first


def test_a_site_of_three_patients_is_refused(shared_data, tmp_path):
    frame = pd.read_csv(shared_data / "clinical_tables" / "medicaldata__indo_rct.csv")
    small = frame[frame["site"] == "4_Case"]
    assert len(small) == 3
    assert findings(table(tmp_path, small))[("table.records", None)] == "3 records."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "DA002"),
        ("a,b\n", "DA006"),
        ("a,a\n1,2\n", "DA012"),
        ("<html>\n", "DA003"),
        ("a,b\n1,2\n1\n1\n", "DA013"),
        ('a,b\n1,"2\n', "DA013"),
    ],
)
def test_a_file_that_is_no_table_excludes_itself_with_a_code(tmp_path, text, code):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert findings(path)[("sample.readable", None)].startswith(code)


CELLS = st.lists(
    st.sampled_from(["1", "2.5", "-9", "NA", "", "a@b.ch", "2020-01-02", "word", "999"]),
    min_size=1, max_size=30,
)  # fmt: skip


@given(cells=CELLS, cut=st.integers(0, 30))
def test_tallies_of_parts_add_up_to_the_tally_of_the_whole(cells, cut):
    whole, hashes = tally_column(pa.array(cells))
    first, ahead = tally_column(pa.array(cells[:cut], pa.string()))
    rest, behind = tally_column(pa.array(cells[cut:], pa.string()))
    for merged in (first + rest, rest + first, ColumnTally() + first + rest):
        assert vars(merged).keys() == vars(whole).keys()
        for name, value in vars(whole).items():
            assert np.array_equal(getattr(merged, name), value)
    assert np.array_equal(np.concatenate([ahead, behind]), hashes)
    naive = sum(cell not in {"NA", ""} for cell in cells)
    assert whole.recorded == naive


@pytest.mark.parametrize("rows", [1000, 3_000_000])
def test_the_share_of_repeated_rows_is_exact_or_close_when_thinned(rows):
    repeated = RepeatedRows()
    numbers = np.arange(rows, dtype=np.float64)
    numbers[: rows // 5] = numbers[rows // 2 : rows // 2 + rows // 5]
    for part in np.array_split(numbers, 7):
        repeated.add([tally_column(pa.array(part))[1]])
    assert repeated.share() == pytest.approx(0.2, abs=1e-9 if rows == 1000 else 0.002)


def test_the_sample_is_every_kth_row_whatever_the_batches_are():
    tables = []
    for parts in (1, 3, 17):
        sample = RowSample(rows=100)
        for part in np.array_split(np.arange(1000), parts):
            sample.add(pa.RecordBatch.from_pydict({"x": part}))
        tables.append(sample.table().column("x").to_pylist())
    assert tables[0] == list(range(0, 1000, 16))
    assert tables[0] == tables[1] == tables[2]


@given(
    positive=st.lists(st.integers(0, 9), min_size=10, max_size=40),
    negative=st.lists(st.integers(0, 9), min_size=10, max_size=40),
)
def test_the_auc_of_one_column_is_scikit_learns(positive, negative):
    values = np.array([*positive, *negative], dtype=float)
    coded = np.array([1.0] * len(positive) + [0.0] * len(negative))
    expected = roc_auc_score(coded, values)
    assert single_auc(values, coded) == pytest.approx(max(expected, 1 - expected))


def test_ordinary_small_counts_and_scores_hide_no_code():
    rng = np.random.default_rng(0)
    for values in (
        rng.integers(0, 2, 500),
        rng.poisson(2, 500),
        rng.integers(0, 11, 500),
        rng.exponential(1, 500).round(1),
        rng.normal(0, 1, 500).round(1),
        rng.integers(60, 120, 500),
    ):
        assert hidden_code(values.astype(float)) is None


def test_names_of_things_are_no_names_of_persons():
    for name in (
        "clinic_name",
        "drug_name",
        "test name",
        "hostname",
        "feature-name",
        "username_len",
    ):
        assert not IDENTIFIER_NAME.search(name)
    for name in ("birthweight", "stillbirth", "capacity"):
        assert not QUASI_NAME.search(name)


def test_numbers_and_dates_of_a_parquet_file_keep_their_type(tmp_path):
    path = tmp_path / "t.parquet"
    days = pd.date_range("2020-01-01", periods=50)
    pq.write_table(pa.table({"x": [*range(49), None], "d": days, "b": [True, False] * 25}), path)
    survey = read_survey(path, silent)
    assert set(survey.numbers) == {"x", "b"}
    assert set(survey.dates) == {"d"}
    assert survey.columns["x"].missing == 1
    assert json.dumps(survey.numbers["b"].tolist()[:2]) == "[1.0, 0.0]"


def test_a_parquet_file_is_never_held_whole(tmp_path):
    """Neither to recognise nor to read it: Arrow would fetch all row groups ahead if it were let."""
    path, rng = tmp_path / "t.parquet", np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("x", pa.float64())])) as writer:
        for _ in range(20):
            writer.write_table(pa.table({"x": rng.random(100_000)}))
    answer = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    peeking, reading = map(int, answer.stdout.split())
    assert 0 < peeking <= reading < path.stat().st_size / 3


PEAK = """
import sys
from pathlib import Path
import pyarrow as pa
from cordon_client.qc.clinical.tables import open_table
from cordon_client.qc.matrix.peek import peek

path = Path(sys.argv[1])
assert peek(path).header == ("x",)
print(pa.default_memory_pool().max_memory())
rows = sum(batch.num_rows for batch in open_table(path, lambda done, total: None).batches)
assert rows == 2_000_000
print(pa.default_memory_pool().max_memory())
"""

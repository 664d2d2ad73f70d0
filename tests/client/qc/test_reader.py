"""Files that are wrong: each way has its own code, and no message carries data or a path."""

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cordon_client.qc.reader import read_table
from cordon_client.qc.tabular import run_table_qc
from cordon_common.errors import DataError

GOOD = b"x,y,other\n1,0,secret-a\n2,1,secret-b\n"
PARQUET = "PAR1"


@pytest.fixture
def study(make_study, number):
    return make_study([number()])


def write(tmp_path, data, name="cohort-Meier.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refusal(path, study, **options):
    with pytest.raises(DataError) as caught:
        read_table(path, study.cohort, **options)
    error = caught.value
    text = f"{error} {error.what} {error.why} {error.fix}"
    assert "Meier" not in text
    assert "secret" not in text
    assert error.fix
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "DA002"),
        (b" \n\n \n", "DA002"),
        (b"\xef\xbb\xbf", "DA002"),
        (b"<!DOCTYPE html><html><body>Session expired secret</body></html>", "DA003"),
        (b"\n  <HTML><head><title>login</title></head></HTML>", "DA003"),
        (b"<?xml version='1.0'?><html></html>", "DA003"),
        ("x,y\n1,0\n".encode("utf-16"), "DA004"),
        (b"x,y\xe9\n1,0\n", "DA004"),
        (b"x,y\n1,0\nsecret\xe9,0\n", "DA004"),
        (b"x;y\n1;0\n", "DA005"),
        (b"x\ty\n1\t0\n", "DA005"),
        (b"x|y\n1|0\n", "DA005"),
        (b"x,y\n", "DA006"),
        (b"x,y", "DA006"),
        (b"x,other\n1,secret\n", "DA007"),
        (b"X,Y\n1,0\n", "DA007"),
        (b"x,x,y\n1,2,0\n", "DA012"),
        (b"x,y,x\n1,0,2\n", "DA012"),
        (b"x,y\n1,0\nsecret,0,3\n", "DA013"),
        (b"x,y\n1,0\nsecret\n", "DA013"),
        (b'x,y\n1,"0\nsecret,0\n', "DA013"),
        (b'x,"y\n1,0\n', "DA013"),
        (b"PK\x03\x04secret", "DA014"),
        (b"\x1f\x8bsecret", "DA014"),
        (b'{"x": 1}', "DA014"),
        (b"<svg></svg>", "DA014"),
        (b"x,y\n\0\0secret", "DA014"),
        (b"PAR1secret", "DA011"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "DA011"),
    ],
)
def test_each_way_to_be_wrong_has_its_own_code(tmp_path, study, data, code):
    assert refusal(write(tmp_path, data), study).code == code


def test_a_file_that_is_not_there_is_told_apart_from_an_empty_one(tmp_path, study):
    assert refusal(tmp_path / "nowhere-Meier.csv", study).code == "DA001"


def test_a_folder_or_a_pipe_is_not_opened(tmp_path, study):
    assert refusal(tmp_path, study).code == "DA015"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe, study).code == "DA015"


def test_a_file_without_read_permission_says_so(tmp_path, study):
    path = write(tmp_path, GOOD)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read every file
    try:
        assert refusal(path, study).code == "DA015"
    finally:
        os.seteuid(user)


def test_ten_gigabytes_pointed_at_by_mistake_are_refused_before_reading(tmp_path, study):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(10 * 1024**3)  # a sparse file: reading it would take minutes
    error = refusal(path, study)
    assert error.code == "DA010"
    assert error.why == "it has 10.0 GiB, the limit is 2.0 GiB"


def test_the_size_cap_is_the_sites_to_set(tmp_path, study):
    path = write(tmp_path, GOOD)
    assert read_table(path, study.cohort, max_bytes=len(GOOD)).records == 2
    assert refusal(path, study, max_bytes=len(GOOD) - 1).code == "DA010"


def test_a_parquet_file_that_unpacks_beyond_the_cap_is_refused(tmp_path, study):
    path = tmp_path / "bomb.parquet"
    table = pa.table({"x": pa.array([f"{i:0200d}" for i in range(5000)]), "y": [0] * 5000})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    cap = path.stat().st_size * 2
    assert refusal(path, study, max_bytes=cap).code == "DA010"


def test_missing_columns_are_named_from_the_study(tmp_path, make_study, number):
    study = make_study([number(f"x{i}") for i in range(12)])
    error = refusal(write(tmp_path, b"X0,y\n1,0\n"), study)
    assert error.what == ("the data file lacks: x0, x1, x2, x3, x4, x5, x6, x7 and 4 more")
    assert error.fix == "capital letters count: rename the column to x0"


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        b"\n" + GOOD,
        GOOD.rstrip(),
        GOOD + b"\n\n",
        b' x , "y" ,other\n1,0,a\n2,1,b\n',
        b'x,y,other\n1,0,"two\nlines"\n2,1,"a ""quote"""\n',
        b"x,y,other\n1,0,caf\xe9\n2,1,b\n",
    ],
    ids=["plain", "bom", "crlf", "blank-first", "no-end", "blank-end", "spaces", "quotes", "latin"],
)
def test_harmless_variants_of_csv_are_read(tmp_path, study, data):
    table = read_table(write(tmp_path, data), study.cohort)
    assert table.records == 2
    assert [value.strip() for value in table.columns["x"].to_pylist()] == ["1", "2"]


def test_columns_outside_the_study_are_named_and_never_loaded(tmp_path, study):
    table = read_table(write(tmp_path, GOOD), study.cohort)
    assert set(table.columns) == {"x", "y"}
    assert table.unread == ("other",)


def test_a_first_line_of_many_columns_is_read_to_its_end(tmp_path, study):
    names = [f"unused_column_number_{i}" for i in range(20_000)]
    data = ",".join([*names, "x", "y"]) + "\n" + "7," * 20_000 + "1,0\n"
    assert read_table(write(tmp_path, data.encode()), study.cohort).records == 1


def test_parquet_and_csv_of_the_same_table_give_the_same_result(tmp_path, make_study, number, key):
    study = make_study([number(), {"name": "c", "type": "category", "categories": ["1", "2"]}])
    frame = pd.DataFrame(
        {"x": [1.5, None, 3.0] * 10, "c": [1.0, 2.0, None] * 10, "y": [0, 1] * 15}
    ) + pd.DataFrame({"x": [i / 100 for i in range(30)], "c": [0.0] * 30, "y": [0] * 30})
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    frame.to_csv(csv, index=False)
    frame.to_parquet(parquet)
    a, b = run_table_qc(study, csv, key), run_table_qc(study, parquet, key)
    assert a.results == b.results
    assert a.clean.patients == b.clean.patients
    assert a.summary.tolist() == b.summary.tolist()


def test_a_parquet_column_of_another_kind_is_refused(tmp_path, study, key):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"x": pd.to_datetime(["2020-01-01", "2021-01-01"]), "y": [0, 1]})
    frame.to_parquet(path)
    with pytest.raises(DataError) as caught:
        run_table_qc(study, path, key)
    assert caught.value.code == "DA008"

"""Matrices of numbers: any sane layout is read, everything else is refused with one code."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cordon_client.qc.matrix.table import read_matrix
from cordon_common.errors import DataError

GENES = ("ENSG1", "ENSG2", "ENSG3")
VALUES = np.array([[1.0, 4.0], [2.0, np.nan], [3.0, 6.0]])


def same(matrix):
    assert matrix.features == GENES
    assert matrix.samples == ("a", "b")
    np.testing.assert_array_equal(matrix.values, VALUES)


LAYOUTS = {
    "tab": "gene\ta\tb\nENSG1\t1\t4\nENSG2\t2\t\nENSG3\t3\t6\n",
    "comma": "gene,a,b\nENSG1,1,4\nENSG2,2,NA\nENSG3,3,6\n",
    "semicolon": "gene;a;b\nENSG1;1;4\nENSG2;2;\nENSG3;3;6\n",
    "R without a name for the row names": '"a"\t"b"\n"ENSG1"\t1\t4\n"ENSG2"\t2\tNA\n"ENSG3"\t3\t6\n',
    "comment that is the header": "#OTU ID\ta\tb\nENSG1\t1\t4\nENSG2\t2\t\nENSG3\t3\t6\n",
    "comments above the header": "# made by x\ngene\ta\tb\nENSG1\t1\t4\nENSG2\t2\t\nENSG3\t3\t6\n",
    "samples in rows": "sample,ENSG1,ENSG2,ENSG3\na,1,2,3\nb,4,,6\n",
    "windows line ends and a byte order mark": "\ufeffgene,a,b\r\nENSG1,1,4\r\nENSG2,2,\r\nENSG3,3,6\r\n",
    "describing columns": "Geneid\tChr\tLength\ta\tb\nENSG1\t1\t10\t1\t4\nENSG2\t1\t11\t2\t\nENSG3\t2\t12\t3\t6\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_matrix_is_read_whatever_its_layout(tmp_path, layout):
    path = tmp_path / "m.txt"
    path.write_text(LAYOUTS[layout], encoding="utf-8")
    same(read_matrix(path))


def test_gzip_and_parquet_hold_the_same_matrix(tmp_path):
    zipped = tmp_path / "m.tsv.gz"
    zipped.write_bytes(gzip.compress(LAYOUTS["tab"].encode()))
    same(read_matrix(zipped))
    table = pa.table({"a": [1, 2, 3], "gene": GENES, "b": [4, None, 6]})
    pq.write_table(table, tmp_path / "m.parquet")
    same(read_matrix(tmp_path / "m.parquet"))


def test_text_beside_the_numbers_is_kept_as_notes(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\tgene_name\ta\nENSG1\tTP53\t1\nENSG2\tMT-CO1\t2\n")
    assert read_matrix(path).notes == {"gene_name": ("TP53", "MT-CO1")}


BROKEN = {
    "DA063": "",
    "DA060": "one field\nin every line\n",
    "DA061": "gene\ta\nx\t1,5\ny\t2,5\n",
    "DA062": "gene\ta\ta\nx\t1\t2\n",
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_is_no_matrix_is_refused_with_its_code(tmp_path, code):
    path = tmp_path / "secret-name.tsv"
    path.write_text(BROKEN[code])
    with pytest.raises(DataError) as caught:
        read_matrix(path)
    assert caught.value.code == code
    assert "secret" not in f"{caught.value} {caught.value.why}"


def test_a_cut_off_gzip_and_a_ragged_line_are_refused(tmp_path):
    whole = gzip.compress(LAYOUTS["tab"].encode() * 50)
    (tmp_path / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "ragged.tsv").write_text("gene\ta\tb\nx\t1\t2\ny\t1\n")
    for name in ("cut.tsv.gz", "ragged.tsv"):
        with pytest.raises(DataError) as caught:
            read_matrix(tmp_path / name)
        assert caught.value.code == "DA060"


def test_a_file_that_is_written_again_is_read_again(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\ta\nx\t1\n")
    assert read_matrix(path).values[0, 0] == 1
    path.write_text("gene\ta\nx\t222\n")
    assert read_matrix(path).values[0, 0] == 222


@pytest.mark.parametrize("kind", ["tsv", "parquet"])
def test_a_matrix_beyond_the_limit_is_refused(tmp_path, kind):
    path = tmp_path / f"m.{kind}"
    if kind == "tsv":
        path.write_text(LAYOUTS["tab"])
    else:
        pq.write_table(pa.table({"gene": GENES, "a": [1, 2, 3]}), path)
    with pytest.raises(DataError) as caught:
        read_matrix(path, max_bytes=20)
    assert caught.value.code == "DA072"

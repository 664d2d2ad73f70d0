"""The cohort manifest: samples, patients, files, labels, batches; what passes is the training set."""

import csv
import io

import pytest

from cordon_client.qc.cohort_value import cohort_value
from cordon_client.qc.discover import discover
from cordon_client.qc.manifest import is_manifest, read_manifest
from cordon_client.qc.pool import Where
from cordon_client.qc.run_cohort import check_cohort
from cordon_client.qc.side_files import side_files
from cordon_common.errors import DataError

GOOD = "x,y\n" + "".join(f"{i / 7:.3f},{i % 3}\n" for i in range(30))


class Silent:
    def reading(self, index, done, total):
        pass

    def finished(self, index):
        pass


def write(folder, text, name="cohort.csv"):
    for sample in ("a", "b", "c"):
        (folder / f"{sample}.csv").write_text(GOOD if sample != "b" else "")
    (folder / name).write_text(text)
    return folder / name


TABLE = (
    "sample,file,modality,patient,label,batch.run\n"
    "a,a.csv,clinical,p1,1,r1\nb,b.csv,clinical,p2,0,r1\nc,c.csv,,p3,,r2\n"
)
YAML = (
    "samples:\n"
    "- {sample: a, files: [a.csv], modality: clinical, patient: p1, label: 1, batches: {run: r1}}\n"
    "- {sample: b, files: [b.csv], modality: clinical, patient: p2, label: 0, batches: {run: r1}}\n"
    "- {sample: c, files: [c.csv], patient: p3, batches: {run: r2}}\n"
)


def test_table_and_yaml_say_the_same(tmp_path):
    table, yaml = write(tmp_path, TABLE), write(tmp_path, YAML, "cohort.yaml")
    assert is_manifest(table)
    assert is_manifest(yaml)
    assert not is_manifest(tmp_path / "a.csv")
    assert read_manifest(table) == read_manifest(yaml)


def test_a_failing_file_excludes_its_sample_and_the_rest_is_the_training_set(tmp_path):
    result = check_cohort(discover(write(tmp_path, TABLE)), {}, Where(), Silent())
    value = cohort_value(result)
    rows = list(csv.DictReader(io.StringIO(side_files(value)["training-set.csv"].decode())))
    assert [(r["sample"], r["patient"], r["label"], r["status"]) for r in rows] == [
        ("a", "p1", "1", "train"),
        ("b", "p2", "0", "left out"),
        ("c", "p3", "", "train"),
    ]
    assert rows[1]["reasons"] == "file_unreadable"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sample,file,colour\na,a.csv,red\n", "unknown columns: colour"),
        ("sample,file\na,a.csv\na,a.csv\n", "is listed twice"),
        ("sample,file\na,a.csv,x\n", "line 2 has more or fewer fields"),
        ("sample,file,label\na,a.csv,sick\n", "line 2: the label is neither"),
        ("sample,file\na,\n", "samples.0.files"),
        ("sample,file,modality,patient\na,a.csv,x,p\na,a.csv,y,q\n", "two patients"),
    ],
)
def test_a_bad_manifest_is_refused_with_the_line_or_field(tmp_path, text, why):
    with pytest.raises(DataError) as caught:
        read_manifest(write(tmp_path, text))
    assert caught.value.code == "DA031"
    assert why in caught.value.why


def test_a_file_that_is_not_there_excludes_its_sample_where_the_modality_is_named(tmp_path):
    text = "sample,file,modality\na,a.csv,\nd,gone.csv,clinical\n"
    result = check_cohort(discover(write(tmp_path, text)), {}, Where(), Silent())
    assert [s.sample for s in result.parts[0].kept] == ["a"]


def test_a_sample_that_nobody_can_read_is_named_and_never_dropped(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError) as caught:
        discover(write(tmp_path, "sample,file\ne,notes.txt\n"))
    assert caught.value.code == "DA031"
    assert "sample e" in caught.value.why

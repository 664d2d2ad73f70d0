"""`cordon site table`: from OMOP tables to the file that a study checks and trains on."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.support.omop_tables import make_export, write_export

from cordon_client.cli.cohort_table import Wanted, require_columns, run
from cordon_client.qc.omop.recipe import load_recipe
from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode
from cordon_common.cli.main import main as cordon
from cordon_common.errors import DataError, UsageError
from cordon_common.protocol.parse import load_study, load_yaml, parse_model
from cordon_common.protocol.study import Study

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
EXAMPLE = CONFIGS / "omop" / "infarction.yaml"
KEY = bytes(range(32))


def test_a_recipe_must_make_what_the_study_reads():
    heart_study = load_study(CONFIGS / "studies" / "heart-disease.yaml")
    with pytest.raises(UsageError) as refused:
        require_columns(load_recipe(EXAMPLE), heart_study)
    assert refused.value.code == "US052"
    assert "chol" in refused.value.why


def _number(name, unit, low, high):
    return {"name": name, "type": "number", "unit": unit, "range": [low, high]}


def _category(name, *categories):
    return {"name": name, "type": "category", "categories": list(categories)}


def _study(tmp_path):
    value = load_yaml(CONFIGS / "studies" / "heart-disease.yaml")
    features = [
        _number("age", "years", 18, 110),
        _category("sex", "female", "male"),
        _number("systolic", "mmHg", 30, 320),
        _number("glucose", "mg/dL", 10, 2500),
        *(_category(name, "0", "1") for name in ("diabetes", "metformin")),
    ]
    label = {"name": "infarction", "positive": ["1"], "negative": ["0"]}
    value["cohort"] = {"patient_id": "person_id", "features": features, "label": label}
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(value), encoding="utf-8")
    return parse_model(Study, value, code="PR001", what="no study"), path


def test_the_command_writes_what_the_study_checks_and_trains_on(tmp_path, capsys):
    folder = write_export(tmp_path / "omop", make_export(persons=120))
    study, study_file = _study(tmp_path)
    output = tmp_path / "cohort.parquet"
    run(Wanted(folder, EXAMPLE, output, study_file, as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert told["persons"] == 120
    assert told["rows"] == pq.read_metadata(output).num_rows
    checked = run_table_qc(study, output, KEY)
    assert checked.patients_kept == told["rows"]
    assert checked.labels[1] == told["positive"] > 10
    assert checked.verdict.may_train
    tensors = encode(checked.clean, study.cohort)
    assert tensors.n_patients == told["rows"]
    again = tmp_path / "again.parquet"
    assert cordon(["site", "table", str(folder), "--recipe", str(EXAMPLE), "-o", str(again)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "had the outcome before" in shown.err
    assert again.read_bytes() == output.read_bytes()
    assert output.stat().st_mode & 0o777 == 0o600
    about = pq.read_schema(output).metadata
    assert about[b"cordon.recipe"] == b"infarction.v1"
    assert about[b"cordon.recipe.digest"].startswith(b"sha256:")


def test_the_command_asks_for_one_folder_with_one_export(tmp_path):
    write_export(tmp_path / "a", make_export(persons=12))
    write_export(tmp_path / "b", make_export(persons=12))
    with pytest.raises(DataError, match="OMOP") as refused:
        run(Wanted(tmp_path, EXAMPLE, tmp_path / "c.parquet", None, as_json=True))
    assert refused.value.code == "DA045"
    with pytest.raises(UsageError):
        run(Wanted(tmp_path / "none", EXAMPLE, tmp_path / "c.parquet", None, as_json=True))

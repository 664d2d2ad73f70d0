from pathlib import Path

import pandas as pd
import pytest

from cordon_client.qc.tabular import run_table_qc
from cordon_common.protocol.parse import load_study, load_yaml, parse_model
from cordon_common.protocol.study import Study

ROOT = Path(__file__).resolve().parents[3]
STUDIES = ROOT / "configs" / "studies"
KEY = bytes(range(32))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets beside the repository; skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not there")
    return folder


@pytest.fixture(scope="session")
def heart_study():
    return load_study(STUDIES / "heart-disease.yaml")


@pytest.fixture(scope="session")
def breast_study():
    return load_study(STUDIES / "breast-cancer.yaml")


def _study(features, *, patient_id=None, duplicates="warn", cap=1, min_patients=10, max_out=0.5):
    value = load_yaml(STUDIES / "heart-disease.yaml")
    value["cohort"] = {
        "patient_id": patient_id,
        "max_records_per_patient": cap,
        "features": features,
        "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
    }
    value["qc"]["duplicate_patients"] = duplicates
    value["qc"]["gate"] = {
        "min_patients": min_patients,
        "min_sites": 1,
        "max_excluded_fraction": max_out,
    }
    return parse_model(Study, value, code="PR001", what="the test's study is not valid")


@pytest.fixture(scope="session")
def make_study():
    """Build a small study with outcome `y`: `make_study(features, patient_id=…, …)`."""
    return _study


def _number(name="x", **changes):
    return {"name": name, "type": "number", "unit": "u", "range": [0, 100]} | changes


@pytest.fixture(scope="session")
def number():
    """Describe a numeric feature with range 0 to 100."""
    return _number


def _category(name="c", **changes):
    return {"name": name, "type": "category", "categories": ["a", "b"]} | changes


@pytest.fixture(scope="session")
def category():
    """Describe a category feature a | b."""
    return _category


@pytest.fixture
def check(tmp_path):
    """Run quality control on a table: `check(study, {"x": […], "y": […]})`."""

    def run(study, columns, **options):
        path = tmp_path / "cohort.csv"
        pd.DataFrame(columns, dtype=object).to_csv(path, index=False)
        return run_table_qc(study, path, KEY, **options)

    return run


@pytest.fixture(scope="session")
def key():
    return KEY

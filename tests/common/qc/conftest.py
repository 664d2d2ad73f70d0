import pytest

from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import Study


def _study(features, *, patient_id=None, duplicates="warn", cap=1, bins=10):
    value = {
        "cordon": 1,
        "name": "small",
        "purpose": "A study for the tests of quality control.",
        "permit": {"id": "p", "end_date": "2028-12-31"},
        "cohort": {
            "patient_id": patient_id,
            "max_records_per_patient": cap,
            "features": features,
            "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {
            "duplicate_patients": duplicates,
            "histogram_bins": bins,
            "gate": {"min_patients": 10, "min_sites": 1},
        },
        "model": {"family": "logistic"},
        "training": {
            "algorithm": "dp-fedsgd",
            "rounds": 2,
            "clip_norm": 1.0,
            "divisor": 10,
            "optimizer": {"name": "sgd", "learning_rate": 1.0},
        },
        "privacy": {
            "epsilon": 2.0,
            "delta": 1e-5,
            "unprotected": ["participation", "qc_verdict"],
        },
    }
    return parse_model(Study, value, code="PR001", what="the test's study is not valid")


@pytest.fixture
def make_study():
    """Build a small study: `make_study(features, patient_id=…, duplicates=…, cap=…, bins=…)`."""
    return _study


def _number(name="x", **changes):
    feature = {"name": name, "type": "number", "unit": "u", "range": [0, 100]}
    return feature | changes


@pytest.fixture
def number():
    """Describe a numeric feature with range 0 to 100."""
    return _number


@pytest.fixture
def category():
    """Describe a category feature a | b | c."""

    def make(name="c", **changes):
        return {"name": name, "type": "category", "categories": ["a", "b", "c"]} | changes

    return make

"""A small but complete study, and events, for the tests of the privacy accounting."""

import datetime

import pytest

from cordon_common.privacy.events import GaussianRelease, SampledGaussianRelease
from cordon_common.protocol.study import Study


def _study(*, training=None, privacy=None, evaluation=None, sites=(80, 120, 200), **top):
    features = [
        {"name": "age", "type": "number", "unit": "years", "range": [0, 120]},
        {"name": "trestbps", "type": "number", "unit": "mmHg", "range": [60, 260]},
        {"name": "cp", "type": "category", "categories": ["1", "2", "3", "4"]},
    ]
    value = {
        "cordon": 1,
        "name": "heart-check",
        "purpose": "Predict heart disease from routine findings",
        "permit": {"id": "permit-1", "end_date": datetime.date(2030, 1, 1)},
        "cohort": {
            "patient_id": "pid",
            "features": features,
            "label": {"name": "num", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {"gate": {"min_patients": 30, "min_sites": 2}},
        "model": {"family": "logistic"},
        "training": {
            "algorithm": "dp-fedsgd",
            "rounds": 30,
            "clip_norm": 1.0,
            "divisor": 300,
            "optimizer": {"name": "sgd", "learning_rate": 1.0},
        }
        | (training or {}),
        "privacy": {"epsilon": 2.0, "delta": 1e-5, "unprotected": ["participation", "qc_verdict"]}
        | (privacy or {}),
        "evaluation": evaluation or {},
        "roster": [
            {
                "site": f"site-{i}",
                "key": "ed25519:" + "ABCDEFGHIJ"[i] * 43 + "=",
                "expected_patients": n,
            }
            for i, n in enumerate(sites)
        ],
    } | top
    return Study.model_validate(value)


def _event(sigma=10.0, *, purpose="training", population="train", rate=None, stability=1, **more):
    fields = {
        "purpose": purpose,
        "population": population,
        "noise_multiplier": sigma,
        "sensitivity_grid": 2.0**32,
        "stability": stability,
        "dimension": 10,
    } | more
    if rate is None:
        return GaussianRelease(**fields)
    return SampledGaussianRelease(sample_rate=rate, **fields)


@pytest.fixture(scope="session")
def make_study():
    """Build the sample study; keywords replace parts of it."""
    return _study


@pytest.fixture(scope="session")
def make_event():
    """Build one event; `rate` makes it Poisson-sampled."""
    return _event

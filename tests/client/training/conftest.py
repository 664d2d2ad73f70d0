"""A small study with one number and one category, and cohorts drawn for it."""

import numpy as np
import pytest
import torch

from cordon_client.records import Tensors
from cordon_common.protocol.layout import input_columns
from cordon_common.protocol.study import Study

torch.set_num_threads(1)


@pytest.fixture
def make_study():
    """Build a study with `inputs` numeric features; keyword arguments replace whole sections."""

    def build(*, inputs=5, hidden=(), records_per_patient=1, **sections):
        features = [
            {"name": f"x{i}", "type": "number", "unit": "1", "range": [-10, 10], "typical": [-1, 1]}
            for i in range(inputs)
        ]
        cohort = {
            "features": features,
            "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
            "patient_id": "id",
            "max_records_per_patient": records_per_patient,
        }
        training = {
            "algorithm": "dp-fedsgd",
            "rounds": 10,
            "clip_norm": 1.0,
            "divisor": 100,
            "optimizer": {"name": "sgd", "learning_rate": 1.0},
        }
        document = {
            "cordon": 1,
            "name": "toy",
            "purpose": "Test the training kernel on drawn numbers.",
            "permit": {"id": "none", "end_date": "2030-01-01"},
            "cohort": cohort,
            "qc": {"gate": {"min_patients": 10, "min_sites": 1}},
            "model": {"family": "mlp" if hidden else "logistic", "hidden": list(hidden)},
            "training": training | sections.pop("training", {}),
            "privacy": {
                "epsilon": 2.0,
                "delta": 1e-5,
                "unprotected": ["participation", "qc_verdict"],
                "noise": {"qc": 20.0, "training": 10.0, "evaluation": 2.0},
            },
        }
        return Study.model_validate(document | sections)

    return build


@pytest.fixture
def make_tensors():
    """Draw a cohort for a study; `records` is the number of records of every patient."""

    def draw(study, *, patients=40, records=1, seed=0, scale=1.0):
        rng = np.random.default_rng(seed)
        width = len(input_columns(study.cohort))
        owner = rng.permutation(np.repeat(np.arange(patients), records))
        return Tensors(
            inputs=scale * rng.normal(size=(owner.size, width)),
            labels=rng.integers(0, 2, owner.size).astype(np.float64),
            patients=owner,
            n_patients=patients,
        )

    return draw


@pytest.fixture
def patient_gradient():
    """A patient's mean gradient by plain autograd, one record at a time, float64 [dimension]."""
    from cordon_client.models.base import Batch
    from cordon_client.models.flat import FlatWeights
    from cordon_client.models.registry import build

    def gradient(study, tensors, weights, patient):
        model = build(study)
        FlatWeights(model).load(weights)
        model.requires_grad_(True)
        rows = np.flatnonzero(tensors.patients == patient)
        rows = rows[: study.cohort.max_records_per_patient]
        mean = 0.0
        for row in rows:
            batch = Batch(
                torch.from_numpy(tensors.inputs[row : row + 1]),
                torch.from_numpy(tensors.labels[row : row + 1]),
            )
            loss = model.per_sample_loss(batch, None).sum()
            parts = torch.autograd.grad(loss, list(model.parameters()))
            mean = mean + torch.cat([part.reshape(-1) for part in parts]).numpy() / rows.size
        return mean

    return gradient

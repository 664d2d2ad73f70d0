"""A vault trains a study on DNA: quality control, rounds and evaluation through the airlock."""

import csv

import numpy as np
import pytest
from small_site import make_site

from cordon_client.models.registry import initial_weights
from cordon_client.vault.airlock import Airlock
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.layout import dimension
from cordon_common.wire import decode

LENGTH = 24
COHORT = {
    "patient_id": "patient_id",
    "max_records_per_patient": 2,
    "features": [{"name": "dna", "type": "sequence", "length": LENGTH}],
    "label": {"name": "outcome", "positive": ["1"], "negative": ["0"]},
}


def write_windows(path, patients=120):
    """Random DNA; in positive windows TATAAT stands in the middle. Every third patient has two."""
    rng = np.random.default_rng(3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient_id", "dna", "outcome"])
        for i in range(patients):
            sick = int(rng.random() < 0.45)
            for _ in range(1 + (i % 3 == 0)):
                window = "".join(rng.choice(list("acgtN"), LENGTH, p=[0.24] * 4 + [0.04]))
                if sick:
                    window = window[:9] + "TATAAT" + window[15:]
                writer.writerow([f"P{i:05d}", window, sick])
    return path


@pytest.mark.parametrize(
    "model",
    [
        {"family": "cnn1d", "length": LENGTH, "filters": [4], "kernel": 7},
        {
            "family": "transformer",
            "length": LENGTH,
            "patch": 4,
            "width": 16,
            "heads": 1,
            "layers": 1,
        },
    ],
    ids=["cnn1d", "transformer"],
)
def test_a_study_on_dna_is_trained_through_the_airlock(tmp_path, model):
    cohort = write_windows(tmp_path / "cohort.csv")
    site = make_site(tmp_path / "north", cohort, cohort=COHORT, model=model)
    vault = site.open_vault()
    airlock = Airlock(vault)
    plan = planned_events(site.study)
    weights = initial_weights(site.study)
    for phase, event, given in (
        ("qc", plan.qc, None),
        ("train", plan.training, weights),
        ("evaluate", plan.evaluation, weights),
    ):
        _, arrays = decode(airlock.answer(phase, site.request(phase, weights=given)))
        assert arrays["release"].shape == (event.dimension,)
        assert site.charges()[-1].event == event
    assert plan.training.dimension == dimension(site.study)
    vault.ledger.close()

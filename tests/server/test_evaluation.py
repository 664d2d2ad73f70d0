"""What a model card says of the evaluation: nothing small, and nothing that is one hospital's alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import release_grid
from cordon_common.protocol.parse import load_study
from cordon_server.evaluation import evaluate_sites
from cordon_server.report import page
from cordon_server.report.model import report_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def heart():
    return resolve(load_study(ROOT / "configs" / "studies" / "heart-disease.yaml"))


def released(study, negatives, positives):
    """A release without noise: negatives in the lowest score bins, positives in the highest."""
    bins = study.evaluation.bins
    counts = np.zeros(2 * bins)
    counts[:4] = negatives / 4
    counts[-4:] = positives / 4
    return np.rint(counts * release_grid(study).evaluation).astype(np.int64)


def test_hospitals_of_like_size_have_a_result_together(heart):
    sites = {"a": released(heart, 200, 200), "b": released(heart, 150, 150)}
    found = evaluate_sites(heart, sites)
    assert found["together"]["auc"] > 0.99
    assert found["together"]["positives"] == pytest.approx(350)


def test_a_result_that_is_one_hospitals_in_all_but_name_is_not_shown(heart):
    sites = {"a": released(heart, 500, 500), "b": released(heart, 40, 40)}
    found = evaluate_sites(heart, sites)
    assert found["together"] is None
    assert found["sites"]["a"]["auc"] > 0.99
    disclosure = heart.qc.disclosure.model_copy(update={"max_share": 0.95})
    relaxed = heart.model_copy(
        update={"qc": heart.qc.model_copy(update={"disclosure": disclosure})}
    )
    assert evaluate_sites(relaxed, sites)["together"]["auc"] > 0.99


def test_a_small_class_hides_both_sizes(heart):
    """The other one would tell it: the number of held-out patients is known about."""
    sites = {"a": released(heart, 300, 7), "b": released(heart, 300, 11)}
    found = evaluate_sites(heart, sites)["sites"]
    assert (found["a"]["positives"], found["a"]["negatives"]) == (None, None)
    assert found["b"]["positives"] == pytest.approx(11)


def test_the_report_says_why_no_result_over_all_hospitals_is_shown(one_federation):
    one_federation.run()
    (state,) = one_federation.store.campaigns()
    model = report_model(one_federation.coordinator, state)
    assert not page.is_dominated(model)
    alone = replace(model, together=None)
    assert "one of them brings more than 80 %" in page.performance_text(alone)
    assert "not shown" in {tile.value for tile in page.tiles(alone)}

"""Batch effects: planted ones are found, absent ones are not, and formulas fit their definitions."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import contingency

from cordon_client.qc.batch import (
    classifier_auc,
    cramers_v,
    explained_share,
    judge_batches,
    stats_matrix,
)
from cordon_client.qc.modality import SampleFiles, SampleQc, StatColumn
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("clinical-table.v1")


def cohort(n, batch_of, label_of):
    return [
        SampleFiles(f"s{i}", (Path("x"),), label=label_of(i), batches={"run": batch_of(i)})
        for i in range(n)
    ]


def severities(found):
    return {result.check: result.severity for result in found.results}


def test_independent_noise_is_not_called_a_batch_effect():
    alarms = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(40, 30))
        found = judge_batches(
            values, cohort(40, lambda i: f"r{i % 4}", lambda i: i // 4 % 2), PROFILE
        )
        alarms += [check for check, s in severities(found).items() if s is Severity.WARN]
    assert len(alarms) <= 2  # two questions, alpha 0.01 and 0.001, 40 cohorts; the third is exact


@pytest.mark.parametrize("shift", [2.0, 4.0])
def test_a_planted_shift_of_one_run_is_found_by_both_and_described(shift):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 30))
    values[::4, :15] += shift
    found = judge_batches(values, cohort(40, lambda i: f"r{i % 4}", lambda i: i // 4 % 2), PROFILE)
    assert severities(found) == {
        "batch.variance": Severity.WARN,
        "batch.confounded": Severity.PASS,
        "batch.classifier": Severity.WARN,
    }
    assert "run r0" in found.results[2].detail
    assert [plot.kind for plot in found.plots] == ["bars", "heatmap", "bars"]
    assert all(plot.sentence.endswith(".") for plot in found.plots)


def test_runs_that_hold_one_outcome_each_are_said_to_be_beyond_correction():
    values = np.random.default_rng(2).normal(size=(20, 5))
    found = judge_batches(values, cohort(20, lambda i: f"r{i % 2}", lambda i: i % 2), PROFILE)
    confounded = found.results[1]
    assert confounded.severity is Severity.WARN
    assert confounded.value == pytest.approx(1)
    assert "no correction is possible" in confounded.detail


def test_few_samples_or_one_batch_are_not_applicable_and_never_a_pass():
    values = np.zeros((5, 3))
    found = judge_batches(values, cohort(5, lambda i: "r", lambda i: None), PROFILE)
    assert set(severities(found).values()) == {Severity.NOT_APPLICABLE}


def test_missing_values_and_constant_columns_do_no_harm():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(24, 6))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 0] = 7.0
    values[:, 1] = np.nan
    found = judge_batches(values, cohort(24, lambda i: f"r{i % 2}", lambda i: i // 2 % 2), PROFILE)
    assert all(np.isfinite(result.value) for result in found.results)


def test_cramers_v_before_its_correction_is_scipys_and_the_correction_removes_the_bias():
    rng = np.random.default_rng(4)
    raw, corrected = [], []
    for _ in range(200):
        table = np.zeros((4, 2), dtype=np.int64)
        np.add.at(table, (rng.integers(0, 4, 60), rng.integers(0, 2, 60)), 1)
        raw.append(contingency.association(table))
        corrected.append(cramers_v(table))
    assert np.mean(raw) > 0.18
    assert np.mean(corrected) < 0.1
    large = np.array([[4000, 1000], [1000, 4000]])
    assert cramers_v(large) == pytest.approx(contingency.association(large), abs=1e-3)


def test_the_explained_share_is_the_adjusted_r_squared_of_a_regression_on_the_groups():
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 3, 50)
    y = rng.normal(size=50) + groups
    y -= y.mean()
    design = np.eye(3)[groups]
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    expected = 1 - (residual @ residual / (50 - 3)) / (y @ y / (50 - 1))
    assert explained_share(y[:, None], np.ones(1), groups) == pytest.approx(expected)


def test_a_classifier_reaches_the_auc_of_the_one_informative_component():
    rng = np.random.default_rng(6)
    belongs = np.arange(400) % 2 == 0
    scores = rng.normal(size=(400, 3))
    scores[belongs, 0] += 1
    assert classifier_auc(scores, belongs) == pytest.approx(0.76, abs=0.05)  # Φ(1/√2)
    assert classifier_auc(scores, belongs[rng.permutation(400)]) == pytest.approx(0.5, abs=0.08)
    assert classifier_auc(scores[:, :0], belongs) is None


def test_general_statistics_can_stand_in_for_a_feature_table():
    columns = (StatColumn("a", "A", "", ""), StatColumn("b", "B", "", ""))
    found = [SampleQc("x", {"a": 1, "b": None}, ()), SampleQc("y", {"a": 2.5}, ())]
    matrix = stats_matrix(found, columns)
    assert matrix[:, 0].tolist() == [1, 2.5]
    assert np.isnan(matrix[:, 1]).all()

"""The tables of real hospitals are reached by the real kernel, with few repeats."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.heart_disease import colorectal
from benchmarks.heart_disease.budgets import Budget

from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.parse import load_study

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"

there = pytest.mark.skipif(
    not DATA.exists(), reason="the hospitals' cohorts are not beside the tree"
)


def run(tmp_path, *options):
    report = tmp_path / "lines.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.heart_disease", *options, "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line["name"]: line["value"] for line in json.loads(report.read_text())["lines"]}
    return done.stdout.splitlines()[-1], lines


@pytest.mark.slow
@there
def test_four_real_hospitals_reach_accuracy_and_auc_under_both_trust_models(tmp_path):
    told, lines = run(tmp_path, "--only", "heart", "--repeats", "5", "--splits", "1")
    assert told == "12 of 12 lines reached"
    # privacy costs something: the order of the budgets shows in the result
    assert lines["heart, no noise: AUC"] > lines["heart, ε=0.1 local: AUC"]
    assert lines["heart, ε=0.1 secure-sum: AUC"] > lines["heart, ε=0.1 local: AUC"]


@pytest.mark.slow
@there
def test_five_real_cohorts_predict_the_one_left_out(tmp_path):
    options = ("--only", "colorectal", "--trust", "local", "--repeats", "2")
    told, lines = run(tmp_path, *options)
    assert told == "2 of 2 lines reached"
    assert lines["colorectal, no noise: AUC"] > lines["colorectal, ε=4 local: AUC"]


@there
def test_a_cohorts_table_has_every_column_of_the_study(tmp_path):
    study = load_study(colorectal.STUDY)
    folder = DATA / "crc_metagenome" / "sites" / "usa_canada_hannigan2017"
    colorectal.write_table(folder, tmp_path / "cohort.csv")
    header, *rows = (tmp_path / "cohort.csv").read_text().splitlines()
    assert set(header.split(",")) == {
        "patient_id",
        "study_condition",
        *(feature.name for feature in study.cohort.features),
    }
    assert len(rows) == 55


@pytest.mark.parametrize(("epsilon", "trust"), [(8.0, "local"), (4.0, "secure-sum")])
def test_a_budget_is_what_the_whole_study_costs_a_site(epsilon, trust):
    study = load_study(ROOT / "configs" / "studies" / "heart-disease.yaml")
    sizes = {"a": 100, "b": 100, "c": 100, "d": 100}
    planned = Budget(epsilon, trust).plan(study, sizes, 1e-5)
    events = planned_events(planned).all_events()
    spent = study_epsilon(events, 1e-5, planned.privacy.trust_model).pld
    assert 0.99 * epsilon < spent <= epsilon
    assert study_epsilon(events, 1e-5, "local").pld >= spent

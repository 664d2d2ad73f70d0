"""The demo as a person runs it: one command, real processes, a table, a report, a verdict."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cordon_common.audit.verify import verify_bundles
from cordon_server.demo.data import write_breast_cancer_cohorts

ROOT = Path(__file__).parents[2]
HEART_STUDY = ROOT / "configs" / "studies" / "heart-disease.yaml"

BREAST_STUDY = ROOT / "configs" / "studies" / "breast-cancer.yaml"
LOCAL_STEPS = {
    "algorithm": "dp-fedavg",
    "rounds": 4,
    "sampling": {"scheme": "poisson", "rate": 0.5},
    "clip_norm": 1.0,
    "divisor": 400,
    "local_steps": 6,
    "local_learning_rate": 1.0,
    "update_norm": 20.0,
    "strategy": {"name": "fedavgm", "momentum": 0.5},
}

pytestmark = pytest.mark.federation


def demo(out, *options):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cordon_common.cli.main",
            "demo",
            "--out",
            str(out),
            "--json",
            *options,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout), done.stderr


def processes_of(folder):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def test_the_demo_trains_four_hospitals_and_catches_the_dirty_one(tmp_path):
    outcome, told = demo(tmp_path / "d")
    assert outcome["audit"] == "PASS"
    hospitals = {row["site"]: row for row in outcome["hospitals"]}
    assert set(hospitals) == {"north", "east", "south", "west"}
    # 24 rows in centimetres and 8 impossible cells; 15 rows written twice
    assert hospitals["west"]["excluded"] == {"impossible_value": 32, "duplicate_record": 15}
    assert all(not hospitals[site]["excluded"] for site in ("north", "east", "south"))
    for row in hospitals.values():
        assert 0 < row["spent_epsilon"] <= row["promised_epsilon"]
        assert row["auc_alone"] is not None
        assert row["auc"] is None or row["auc_low"] <= row["auc"] <= row["auc_high"]
    assert sum(row["auc"] is not None for row in hospitals.values()) >= 3
    assert outcome["seconds_per_round"] <= 3
    for page in ("report.html", "audit-report.html"):
        text = (tmp_path / "d" / page).read_text()
        assert re.search(r"(src|href)=[\"']https?:", text) is None
    assert (tmp_path / "d" / "audit-report.pdf").read_bytes().startswith(b"%PDF")
    assert "audit verify: PASS" in told
    assert processes_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("trust", ["local", "secure-sum"])
def test_the_four_real_heart_disease_hospitals_train_one_model(tmp_path, heart_disease, trust):
    options = ("--cohorts", str(heart_disease), "--study", str(HEART_STUDY), "--trust", trust)
    outcome, _ = demo(tmp_path / "d", *options)
    assert outcome["audit"] == "PASS"
    assert outcome["trust_model"] == trust
    hospitals = {row["site"]: row for row in outcome["hospitals"]}
    records = {site: row["records"] for site, row in hospitals.items()}
    assert records == {"cleveland": 303, "hungarian": 294, "switzerland": 123, "va": 200}
    assert sum(records.values()) == 920
    for row in hospitals.values():
        assert row["kept"] >= row["records"] - 2
        assert row["spent_epsilon"] <= row["promised_epsilon"]
        assert (row["alone_epsilon"] > row["promised_epsilon"]) is (trust == "secure-sum")


def test_four_hospitals_take_local_steps_and_every_step_is_charged(tmp_path):
    cohorts = tmp_path / "cohorts"
    cohorts.mkdir()
    write_breast_cancer_cohorts(cohorts)
    study = tmp_path / "local-steps.yaml"
    study.write_text(
        yaml.safe_dump(yaml.safe_load(BREAST_STUDY.read_text()) | {"training": LOCAL_STEPS})
    )
    outcome, _ = demo(tmp_path / "d", "--cohorts", str(cohorts), "--study", str(study))
    assert outcome["audit"] == "PASS"
    for row in outcome["hospitals"]:
        assert 0.97 * row["promised_epsilon"] < row["spent_epsilon"] <= row["promised_epsilon"]
    bundles = sorted((tmp_path / "d").rglob("*.zip"))
    rows = [row for part in verify_bundles(bundles).parts for row in part.rows]
    assert {row.status for row in rows} == {"PASS"}
    # a quality summary, 4 rounds of 6 steps, an evaluation
    steps = [row.evidence for row in rows if row.check == "count"]
    assert steps == ["6 releases, 26 noised steps, each charged as executed"] * 4


def test_a_folder_that_is_not_an_earlier_demo_is_left_alone(tmp_path):
    precious = tmp_path / "d" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "cordon_common.cli.main", "demo", "--out", str(tmp_path / "d")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "US041" in done.stderr
    assert precious.read_text() == "years of work"

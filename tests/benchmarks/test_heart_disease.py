"""The heart-disease lines are reached by the real kernel, with few repeats."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "heart_disease"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the heart-disease cohorts are not beside the tree")
def test_four_real_hospitals_reach_accuracy_and_auc_under_local_noise(tmp_path):
    report = tmp_path / "lines.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.heart_disease", "--data", str(DATA)),
            *("--repeats", "4", "--splits", "1", "--json", str(report)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "3 of 3 lines reached"
    lines = {line["line"]["epsilon"]: line for line in json.loads(report.read_text())["lines"]}
    assert set(lines) == {None, 1.0, 0.5, 0.1}
    # privacy costs something: the order of the budgets shows in the result
    assert lines[None]["published_split"]["auc"] > lines[0.1]["published_split"]["auc"]

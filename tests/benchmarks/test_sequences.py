"""Studies on sequences train on real data with the sites' and the coordinator's own code."""

import csv
from pathlib import Path

import pytest
from benchmarks.in_process import rank_auc, train

from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode, split
from cordon_client.training.scoring import patient_scores
from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import load_study, parse_model
from cordon_common.protocol.study import Study

ROOT = Path(__file__).resolve().parents[2]
STUDIES, DATA = ROOT / "configs" / "studies", ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not there")


def private_auc(study, file, sites=3):
    """AUC on held-out patients after training at `sites` equal sites, each with its own noise."""
    qc = run_table_qc(study, file, bytes(range(32)))
    assert qc.verdict.may_train
    tensors = encode(qc.clean, study.cohort)
    part = tensors.patients % (sites + 1)
    holdout, _ = split(tensors, part != sites)
    weights = train(study, [split(tensors, part != i)[0] for i in range(sites)], private=True)
    return rank_auc(*patient_scores(holdout, weights, study))


def beats(folder):
    """ECG5000's training file as a hospital would export it."""
    path = folder / "beats.csv"
    rows = [
        row.split() for row in (DATA / "ecg5000" / "ECG5000_TRAIN.txt").read_text().splitlines()
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *(f"t{i}" for i in range(1, 141))])
        writer.writerows([int(float(row[0])), *row[1:]] for row in rows)
    return path


def test_real_heart_beats_are_told_apart_at_epsilon_four(tmp_path):
    study = resolve(load_study(STUDIES / "ecg-heartbeats.yaml"))
    assert private_auc(study, beats(tmp_path)) > 0.95


@pytest.mark.slow
def test_a_transformer_tells_real_heart_beats_apart(tmp_path):
    value = load_study(STUDIES / "ecg-heartbeats.yaml").as_json()
    size = {"family": "transformer", "length": 140, "patch": 10, "width": 32, "layers": 1}
    study = parse_model(Study, value | {"model": size}, code="PR001", what="the study")
    assert private_auc(resolve(study), beats(tmp_path)) > 0.85


@pytest.mark.slow
def test_real_splice_junctions_are_found_at_epsilon_four():
    study = resolve(load_study(STUDIES / "splice-junctions.yaml"))
    assert private_auc(study, DATA / "dna_uci" / "splice.csv") > 0.93

"""The worth of quality control: AUC under differential privacy, with it and without, per fault.

Four hospitals (Wisconsin breast cancer records, dealt at random), one of them faulty; the study's own
plan at its own ε, local trust. Without quality control every row trains as it stands, each as its
own patient. With it: the hospital's own checks leave records or the site out, and the gate reads
the noised summaries. Test patients are clean and take part in neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from benchmarks.in_process import rank_auc, train
from benchmarks.lines import Line
from benchmarks.qc.releases import report_of
from cordon_client.qc.columns import read_columns
from cordon_client.qc.reader import read_table
from cordon_client.qc.tabular import run_table_qc
from cordon_client.records import CleanTable
from cordon_client.tensors.tabular import encode
from cordon_client.training.scoring import patient_scores
from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import load_study
from cordon_server.gate import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.qc.part import Options
    from cordon_client.records import Tensors

    Frame = pd.DataFrame

ROOT = Path(__file__).resolve().parents[2]
STUDY = resolve(load_study(ROOT / "configs" / "studies" / "breast-cancer.yaml"))
_SITES, _TEST = 4, 140


def _cohort() -> Frame:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    frame = pd.DataFrame(bunch.data, columns=[str(name) for name in bunch.feature_names])
    frame["diagnosis"] = np.where(bunch.target == 0, "malignant", "benign")
    frame.insert(0, "patient_id", [f"p{i}" for i in range(len(frame))])
    return frame


def _turned(frame: Frame) -> Frame:
    swap = {"malignant": "benign", "benign": "malignant"}
    return frame.assign(diagnosis=frame["diagnosis"].map(swap))


def _scaled(frame: Frame) -> Frame:
    numbers = frame.columns[1:-1]
    return frame.assign(**{name: frame[name] / 18 for name in numbers})


def _copied(frame: Frame) -> Frame:
    few = _turned(frame.head(8))
    return pd.concat([few] * 40, ignore_index=True)


def _coded(frame: Frame) -> Frame:
    rng = np.random.default_rng(0)
    frame = frame.copy()
    for name in frame.columns[1:-1:2]:
        frame.loc[rng.random(len(frame)) < 0.3, name] = 9999.0
    return frame


def _turned_and_copied(frame: Frame) -> Frame:
    return pd.concat([_turned(frame)] * 4, ignore_index=True)


FAULTS: dict[str, Callable[[Frame], Frame]] = {
    "no fault": lambda frame: frame,
    "outcome turned around": _turned,
    "outcome turned, rows written 4 times": _turned_and_copied,
    "8 wrong patients written 40 times": _copied,
    "all values in another unit (1/18)": _scaled,
    "9999 for missing in half of the columns": _coded,
}


def lines(options: Options) -> list[Line]:
    """Print AUC without and with quality control for each fault."""
    torch.set_num_threads(1)
    seeds = range(1 if options.quick else 3)
    print(f"{'one hospital of four is faulty':<44}{'without':>10}{'with':>10}   sites that train")
    rows = {}
    for fault, damage in FAULTS.items():
        found = np.array([_once(damage, seed, options.scratch) for seed in seeds])
        rows[fault] = found.mean(axis=0)
        without, with_qc, sites = rows[fault].tolist()
        print(f"{fault:<44}{without:>10.3f}{with_qc:>10.3f}   {sites:.1f}")
    cost = rows["no fault"][0] - rows["no fault"][1]
    gains = [row[1] - row[0] for fault, row in rows.items() if fault != "no fault"]
    return [
        Line("AUC that QC costs without a fault", float(cost), must=0.01, aim=0.0),
        Line("AUC that QC gains, worst fault", float(max(gains)), must=0.1, better="higher"),
        Line("AUC that QC loses, least useful case", float(-min(gains)), must=0.02, aim=0.0),
    ]


def _once(damage: Callable[[Frame], Frame], seed: int, scratch: Path) -> tuple[float, float, int]:
    frame = _cohort().sample(frac=1, random_state=seed).reset_index(drop=True)
    test = _raw(frame.tail(_TEST), scratch)
    parts = [frame.iloc[:-_TEST].iloc[i::_SITES].reset_index(drop=True) for i in range(_SITES)]
    parts[-1] = damage(parts[-1]).reset_index(drop=True)
    without = train(STUDY, [_raw(part, scratch) for part in parts], private=True)
    kept = _checked(parts, seed, scratch)
    if len(kept) < STUDY.qc.gate.min_sites:
        raise RuntimeError("the gate stopped the study: plant fewer faults")
    with_qc = train(STUDY, kept, private=True)
    return _auc(without, test), _auc(with_qc, test), len(kept)


def _raw(frame: Frame, scratch: Path) -> Tensors:
    """Encode rows as they stand, each as its own patient."""
    path = scratch / "raw.csv"
    frame.to_csv(path, index=False)
    table = read_columns(read_table(path, STUDY.cohort), STUDY.cohort)
    numbers = {name: column.values for name, column in table.numbers.items()}
    patients = tuple(f"{row:032d}".encode() for row in range(table.records))
    return encode(CleanTable(numbers, {}, table.labels, patients), STUDY.cohort)


def _checked(parts: list[Frame], seed: int, scratch: Path) -> list[Tensors]:
    """Run each hospital's checks, release the noised summaries, and ask the gate."""
    rng = np.random.default_rng(seed)
    reports, tensors = [], {}
    for number, part in enumerate(parts):
        path = scratch / f"site-{number}.csv"
        part.to_csv(path, index=False)
        qc = run_table_qc(STUDY, path, bytes(32))
        reports.append(report_of(STUDY, f"site-{number}", qc, rng))
        tensors[f"site-{number}"] = encode(qc.clean, STUDY.cohort)
    return [tensors[site] for site in decide(STUDY, reports).included()]


def _auc(weights: np.ndarray, test: Tensors) -> float:
    scores, labels = patient_scores(test, weights, STUDY)
    return rank_auc(scores, labels)

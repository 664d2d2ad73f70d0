"""Accuracy and AUC on four real hospitals at several privacy budgets, by the real kernel.

python -m benchmarks.heart_disease [--data DIR] [--repeats 20] [--json FILE]

Data: UCI Heart Disease by site, and FLamby's train/test rows (Ogier du Terrail et al. 2022). ε is
the whole study's per site: quality control, training and evaluation together, by the study's own
calibration. Hyper-parameters are those of configs/studies/heart-disease.yaml, fixed on simulated
cohorts; no test row had a say.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.in_process import rank_auc, train
from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode, split
from cordon_client.training.scoring import patient_scores
from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import load_study
from cordon_common.qc.fates import RecordFate

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "configs" / "studies" / "heart-disease.yaml"
DATA = ROOT.parent / "shared" / "data" / "heart_disease"
SITES = ("cleveland", "hungarian", "switzerland", "va")
DELTA = 1e-4
MAJORITY_ACCURACY = 0.721

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """One privacy budget: what must be reached (accuracy, AUC), and what would be better."""

    epsilon: float | None
    must: tuple[float, float] | None
    aim: tuple[float, float] | None


LINES = (
    Line(None, (0.80, 0.87), None),
    Line(1.0, (0.78, 0.85), (0.79, 0.86)),
    Line(0.5, (0.76, 0.83), (0.78, 0.85)),
    Line(0.1, None, (0.72, 0.77)),
)


@dataclass(frozen=True)
class Outcome:
    """Means and standard deviations over the repeats."""

    accuracy: float
    accuracy_sd: float
    auc: float
    auc_sd: float

    def reaches(self, line: tuple[float, float]) -> bool:
        """Whether both accuracy and AUC are there."""
        return self.accuracy >= line[0] and self.auc >= line[1]


@dataclass(frozen=True)
class Site:
    """All kept patients of one hospital, and which rows of its file they are."""

    tensors: Tensors
    rows: npt.NDArray[np.int64]


def main() -> int:
    """Print the table; 0 only if every must is reached."""
    options = _arguments()
    torch.set_num_threads(1)
    study = load_study(STUDY)
    sites = [_load_site(options.data, name, study) for name in SITES]
    published = [_fold(options.data, name, site) for name, site in zip(SITES, sites, strict=True)]
    results = []
    print(f"heart disease, delta {DELTA:g} per site, {options.repeats} repeats; local trust")
    print("mean-site accuracy / pooled AUC, mean (standard deviation)")
    print(f"majority class alone: accuracy {MAJORITY_ACCURACY}")
    print(f"{'epsilon':>8} {'published split':>30} {'other splits':>30} {'must':>12} {'aim':>12}")
    for line in LINES:
        repeats = options.repeats if line.epsilon else 1
        planned = _with_budget(study, line.epsilon)
        fixed = _repeat(planned, sites, lambda _: published, repeats, line.epsilon)
        other = _repeat(
            planned, sites, lambda seed: _random_folds(sites, seed), options.splits, line.epsilon
        )
        results.append((line, fixed, other))
        print(_row(line, fixed, other))
    reached = [fixed.reaches(line.must) for line, fixed, _ in results if line.must]
    _write(options.json, results)
    print(f"{sum(reached)} of {len(reached)} lines reached")
    return 0 if all(reached) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _load_site(data: Path, name: str, study: Study) -> Site:
    qc = run_table_qc(study, data / "sites" / f"{name}.csv", bytes(32))
    kept = list(RecordFate).index(RecordFate.KEPT)
    return Site(encode(qc.clean, study.cohort), np.flatnonzero(qc.row_fates == kept))


def _fold(data: Path, name: str, site: Site) -> Mask:
    """Which kept rows are test rows in the published split."""
    with (data / "flamby_split.csv").open(encoding="utf-8") as stream:
        test = {
            int(row["row"])
            for row in csv.DictReader(stream)
            if row["site"] == name and row["fold"] == "test"
        }
    return np.array([int(row) in test for row in site.rows])


def _random_folds(sites: list[Site], seed: int) -> list[Mask]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(site.rows.size) < round(site.rows.size * 0.34) for site in sites]


def _with_budget(study: Study, epsilon: float | None) -> Study:
    changes = {"epsilon": epsilon or 1.0, "delta": DELTA, "noise": None}
    return resolve(study.model_copy(update={"privacy": study.privacy.model_copy(update=changes)}))


def _repeat(
    study: Study,
    sites: list[Site],
    folds: Callable[[int], list[Mask]],
    repeats: int,
    epsilon: float | None,
) -> Outcome:
    pairs = [
        _once(study, sites, folds(seed), private=epsilon is not None) for seed in range(repeats)
    ]
    accuracy, auc = np.array(pairs).T
    return Outcome(
        float(accuracy.mean()), float(accuracy.std()), float(auc.mean()), float(auc.std())
    )


def _once(
    study: Study, sites: list[Site], folds: list[Mask], *, private: bool
) -> tuple[float, float]:
    parts = [split(site.tensors, list(fold)) for site, fold in zip(sites, folds, strict=True)]
    weights = train(study, [training for training, _ in parts], private=private)
    scored = [patient_scores(test, weights, study) for _, test in parts]
    accuracy = [float(np.mean((scores > 0.5) == labels)) for scores, labels in scored]
    scores, labels = (np.concatenate(column) for column in zip(*scored, strict=True))
    return float(np.mean(accuracy)), rank_auc(scores, labels)


def _row(line: Line, fixed: Outcome, other: Outcome) -> str:
    def both(outcome: Outcome) -> str:
        accuracy = f"{outcome.accuracy:.3f} ({outcome.accuracy_sd:.3f})"
        return f"{accuracy} / {outcome.auc:.3f} ({outcome.auc_sd:.3f})"

    def target(value: tuple[float, float] | None) -> str:
        return f"{value[0]:.2f} / {value[1]:.2f}" if value else "report"

    name = "none" if line.epsilon is None else f"{line.epsilon:g}"
    return f"{name:>8} {both(fixed):>30} {both(other):>30} {target(line.must):>12} {target(line.aim):>12}"


def _write(path: Path | None, results: list[tuple[Line, Outcome, Outcome]]) -> None:
    if path is None:
        return
    rows = [
        {"line": asdict(line), "published_split": asdict(fixed), "other_splits": asdict(other)}
        for line, fixed, other in results
    ]
    path.write_text(json.dumps({"delta": DELTA, "lines": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

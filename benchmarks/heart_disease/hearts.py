"""Heart disease: four hospitals, FLamby's split, accuracy and AUC by budget and trust model."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.heart_disease.budgets import Budget
from benchmarks.in_process import rank_auc, train
from benchmarks.lines import Line
from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode, split
from cordon_client.training.scoring import patient_scores
from cordon_common.protocol.parse import load_study
from cordon_common.qc.fates import RecordFate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.heart_disease.budgets import Repeats
    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study, TrustModel

STUDY = Path(__file__).resolve().parents[2] / "configs" / "studies" / "heart-disease.yaml"
SITES = ("cleveland", "hungarian", "switzerland", "va")
DELTA = 1e-4
TEST_SHARE = 0.34

Mask = npt.NDArray[np.bool_]
Pairs = npt.NDArray[np.float64]
"""Accuracy and AUC of every repeat, [repeats, 2]."""

MUSTS: dict[tuple[float | None, TrustModel], tuple[float, float] | None] = {
    (None, "local"): (0.80, 0.87),
    (1.0, "local"): (0.78, 0.85),
    (1.0, "secure-sum"): (0.79, 0.86),
    (0.5, "local"): (0.76, 0.83),
    (0.5, "secure-sum"): (0.78, 0.85),
    (0.1, "local"): None,
    (0.1, "secure-sum"): (0.72, 0.77),
}
"""Per ε and trust model: accuracy and AUC that must be reached; the majority class alone has an
accuracy of 0.721."""


@dataclass(frozen=True)
class Site:
    """All kept patients of one hospital, and which rows of its file they are."""

    tensors: Tensors
    rows: npt.NDArray[np.int64]


def measure(data: Path, repeats: Repeats) -> list[Line]:
    """Train at every budget; the other random splits, as many seeds each, stand in the note."""
    folder = data / "heart_disease"
    study = load_study(STUDY)
    sites = [_load(folder / "sites" / f"{name}.csv", study) for name in SITES]
    published = [
        _fold(folder / "flamby_split.csv", name, site)
        for name, site in zip(SITES, sites, strict=True)
    ]
    lines: list[Line] = []
    for (epsilon, trust), must in MUSTS.items():
        if trust not in repeats.trust and epsilon is not None:
            continue
        budget = Budget(epsilon, trust)
        seeds = repeats.seeds if epsilon else 1
        fixed = _repeat(study, budget, sites, [published] * seeds)
        other = np.array(
            [
                _repeat(study, budget, sites, [_random_folds(sites, split)] * seeds).mean(axis=0)
                for split in range(repeats.splits)
            ]
        ).reshape(-1, 2)
        lines += _lines(budget, fixed, other, must)
    return lines


def _lines(
    budget: Budget, fixed: Pairs, other: Pairs, must: tuple[float, float] | None
) -> list[Line]:
    """Make both lines of a budget; other: the mean over seeds of every other split."""
    lines = []
    for column, what in enumerate(("accuracy", "AUC")):
        low, high = np.quantile(fixed[:, column], [0.25, 0.75])
        lines.append(
            Line(
                f"heart, {budget.name}: {what}",
                float(fixed[:, column].mean()),
                None if must is None else must[column],
                better="higher",
                low=float(low),
                high=float(high),
                note=f"{_spread('seeds', fixed[:, column])}; {_spread('other splits', other[:, column])}",
            )
        )
    return lines


def _spread(of: str, values: npt.NDArray[np.float64]) -> str:
    """Say how many values there are, their mean, standard deviation and range."""
    if values.size < 2:
        return f"{of}: {values.size}"
    return (
        f"{of}: {values.size}, mean {values.mean():.3f}, sd {values.std(ddof=1):.3f}, "
        f"{values.min():.3f} to {values.max():.3f}"
    )


def _load(path: Path, study: Study) -> Site:
    qc = run_table_qc(study, path, bytes(32))
    kept = list(RecordFate).index(RecordFate.KEPT)
    return Site(encode(qc.clean, study.cohort), np.flatnonzero(qc.row_fates == kept))


def _fold(split_file: Path, name: str, site: Site) -> Mask:
    """Which kept rows are test rows in the published split."""
    with split_file.open(encoding="utf-8") as stream:
        test = {
            int(row["row"])
            for row in csv.DictReader(stream)
            if row["site"] == name and row["fold"] == "test"
        }
    return np.array([int(row) in test for row in site.rows])


def _random_folds(sites: list[Site], seed: int) -> list[Mask]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(site.rows.size) < round(site.rows.size * TEST_SHARE) for site in sites]


def _repeat(
    study: Study, budget: Budget, sites: list[Site], folds: Sequence[Sequence[Mask]]
) -> Pairs:
    """Train once per entry of folds, each with fresh noise."""
    sizes = {name: site.rows.size for name, site in zip(SITES, sites, strict=True)}
    planned = budget.plan(study, sizes, DELTA)
    private = budget.epsilon is not None
    return np.array([_once(planned, sites, fold, private=private) for fold in folds])


def _once(
    study: Study, sites: list[Site], folds: Sequence[Mask], *, private: bool
) -> tuple[float, float]:
    parts = [split(site.tensors, list(fold)) for site, fold in zip(sites, folds, strict=True)]
    weights = train(study, [training for training, _ in parts], private=private)
    scored = [patient_scores(test, weights, study) for _, test in parts]
    accuracy = [float(np.mean((scores > 0.5) == labels)) for scores, labels in scored]
    scores, labels = (np.concatenate(column) for column in zip(*scored, strict=True))
    return float(np.mean(accuracy)), rank_auc(scores, labels)

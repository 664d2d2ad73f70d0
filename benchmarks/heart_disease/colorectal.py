"""Colorectal cancer from stool metagenomes: AUC on the cohort that was left out, five times."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.heart_disease.budgets import Budget
from benchmarks.in_process import rank_auc, train
from benchmarks.lines import Line
from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode
from cordon_client.training.scoring import patient_scores
from cordon_common.protocol.parse import load_study

if TYPE_CHECKING:
    from benchmarks.heart_disease.budgets import Repeats
    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study, TrustModel

STUDY = Path(__file__).resolve().parents[2] / "configs" / "studies" / "colorectal-metagenome.yaml"
COHORTS = {
    "austria": "austria_feng2015",
    "china": "china_yu2015",
    "france-germany": "france_germany_zeller2014",
    "usa-canada": "usa_canada_hannigan2017",
    "usa": "usa_vogtmann2016",
}
DELTA = 1e-5

MUSTS: dict[tuple[float | None, TrustModel], float | None] = {
    (None, "local"): 0.775,
    (8.0, "local"): 0.735,
    (8.0, "secure-sum"): 0.76,
    (4.0, "local"): None,
    (4.0, "secure-sum"): 0.74,
}
"""Per ε and trust model: the mean AUC that must be reached; a random forest without privacy: 0.779."""


def measure(data: Path, repeats: Repeats) -> list[Line]:
    """Leave each cohort out at every budget; the note holds the cohorts one by one."""
    study = load_study(STUDY)
    cohorts = load_cohorts(data / "crc_metagenome" / "sites", study)
    lines = []
    for (epsilon, trust), must in MUSTS.items():
        if trust in repeats.trust or epsilon is None:
            budget = Budget(epsilon, trust)
            lines.append(_line(budget, left_out(study, cohorts, budget, repeats.seeds), must))
    return lines


def load_cohorts(folder: Path, study: Study) -> dict[str, Tensors]:
    """Write each cohort as a hospital would have it, check it, and encode it."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {}
        for name, source in COHORTS.items():
            table = Path(scratch) / f"{name}.csv"
            write_table(folder / source, table)
            found[name] = encode(run_table_qc(study, table, bytes(32)).clean, study.cohort)
        return found


def write_table(source: Path, target: Path) -> None:
    """Join abundances and diagnosis into one table, with genera: sums over their species."""
    with (source / "metadata.csv").open(encoding="utf-8") as stream:
        people = {row["sample_id"]: row for row in csv.DictReader(stream)}
    with (source / "species_abundance.csv").open(encoding="utf-8") as stream:
        samples = list(csv.DictReader(stream))
    rows = []
    for sample in samples:
        person = people[sample.pop("sample_id")]
        genera: dict[str, float] = defaultdict(float)
        for species, amount in sample.items():
            genera["g__" + species.removeprefix("s__").partition("_")[0]] += float(amount)
        rows.append(
            {"patient_id": person["subjectID"], "study_condition": person["study_condition"]}
            | sample
            | {name: f"{min(amount, 1.0):.9g}" for name, amount in genera.items()}
        )
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def left_out(
    study: Study, cohorts: dict[str, Tensors], budget: Budget, repeats: int
) -> dict[str, list[float]]:
    """Return per cohort the AUCs of models that never saw it, one per repeat."""
    found = {}
    for name, held in cohorts.items():
        others = {site: tensors for site, tensors in cohorts.items() if site != name}
        sizes = {site: tensors.n_patients for site, tensors in others.items()}
        planned = budget.plan(study, sizes, DELTA)
        private = budget.epsilon is not None
        found[name] = []
        for _ in range(repeats if private else 1):
            weights = train(planned, list(others.values()), private=private)
            found[name].append(rank_auc(*patient_scores(held, weights, planned)))
    return found


def _line(budget: Budget, found: dict[str, list[float]], must: float | None) -> Line:
    means = np.mean(list(found.values()), axis=0)
    low, high = np.quantile(means, [0.25, 0.75])
    each = ", ".join(f"{name} {np.mean(aucs):.2f}" for name, aucs in found.items())
    return Line(
        f"colorectal, {budget.name}: AUC",
        float(means.mean()),
        must,
        better="higher",
        low=float(low),
        high=float(high),
        note=f"n={len(means)} sd {means.std():.3f}; {each}",
    )

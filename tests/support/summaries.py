"""Noised quality summaries of made-up sites, as the coordinator reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cordon_common.protocol.parse import load_study
from cordon_common.qc.summary import FATE, LABEL, SHARE, decode, encode, qc_layout
from cordon_common.qc.verdict import CohortVerdict
from cordon_server.gate import SiteReport

ROOT = Path(__file__).resolve().parents[2]
HEART = load_study(ROOT / "configs" / "studies" / "heart-disease.yaml")
HEART_SITES = ROOT.parent / "shared" / "data" / "heart_disease" / "sites"

PASSED = dict.fromkeys(
    ("cohort.patients", "cohort.classes", "cohort.excluded", "cohort.identifiers"), "pass"
)


def verdict(**changes):
    fields = {
        "profile": "clinical-table.v1",
        "severity": "pass",
        "checks": PASSED,
        "reasons": [],
        "may_train": True,
    }
    return CohortVerdict.from_json(fields | changes)


def narrowed(*names, study=HEART, **changes):
    """Keep the named features of a study; changes: per feature, the fields to replace."""
    kept = tuple(
        feature.model_copy(update=changes.get(feature.name, {}))
        for feature in study.cohort.features
        if feature.name in names
    )
    cohort = study.cohort.model_copy(update={"features": kept})
    return study.model_copy(update={"cohort": cohort})


def released(vector, rng, *, noise_std, study=HEART):
    """Read a vector as the coordinator would after noise of a given size was added."""
    gamma = 2.0**20
    noisy = np.rint((vector + rng.normal(0, noise_std, len(vector))) * gamma).astype(np.int64)
    return decode(qc_layout(study), noisy, grid_per_unit=gamma, noise_std_grid=noise_std * gamma)


def draw(rng, patients, *, positive=0.5, faults=None, effects=None, study=HEART):
    """Draw the exact vector of a site whose patients spread evenly over each feature's cells.

    faults: per feature, the probabilities of its cells. effects: the signed sums, in patients.
    """
    layout = qc_layout(study)
    positives = rng.binomial(patients, positive)
    counts = {LABEL: np.array([positives, patients - positives, 0])}
    for spec in layout.histograms:
        if spec.name == FATE:
            counts[FATE] = np.eye(len(spec.cells), dtype=np.int64)[0] * patients
        elif spec.name != LABEL:
            usual = np.ones(len(spec.cells))
            usual[-3:] = 0.1
            chances = (faults or {}).get(spec.name, usual / usual.sum())
            counts[spec.name] = rng.multinomial(patients, chances)
    units = {name: cells.astype(np.int64) * SHARE for name, cells in counts.items()}
    sums = None if effects is None else np.rint(np.array(effects) * SHARE).astype(np.int64)
    return encode(layout, units, sums)


def federation(rng, *, noise_std=2.0, sizes=(300, 250, 130, 200), study=HEART, **faulty):
    """Draw sites alike, but for the first: `faulty` are its options of `draw`."""
    reports = []
    for index, patients in enumerate(sizes):
        vector = draw(rng, patients, study=study, **(faulty if index == 0 else {}))
        summary = released(vector, rng, noise_std=noise_std, study=study)
        reports.append(SiteReport(f"site-{index}", verdict(), summary))
    return reports


def by_site(reports):
    return {report.site: report.summary for report in reports}

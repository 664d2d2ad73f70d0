"""Four hospitals out of scikit-learn's Wisconsin breast cancer records (569 real patients).

The split is fixed. Sizes and case mix differ, as they do between a referral centre and a screening
clinic. One hospital, `west`, is made dirty on purpose, the way exports really go wrong: one
department reports lengths in centimetres, a merge wrote some patients twice, and some cells hold
values that cannot be.

Source: Street, Wolberg, Mangasarian 1993 (UCI Breast Cancer Wisconsin Diagnostic), as bundled with
scikit-learn.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

DIRTY_SITE = "west"
_SEED = 1993


@dataclass(frozen=True)
class Share:
    """How many patients a hospital gets, and which part of them has a malignant tumour."""

    site: str
    patients: int
    malignant_fraction: float


SHARES = (
    Share("north", 180, 0.42),  # referral centre
    Share("east", 145, 0.30),  # screening clinic
    Share("south", 118, 0.34),
    Share("west", 126, 0.41),  # takes the rest, and is dirty
)

_UNIT_ROWS = 24
_DUPLICATED_ROWS = 15
_IMPOSSIBLE_ROWS = 8


def write_breast_cancer_cohorts(folder: Path) -> dict[str, Path]:
    """Write one CSV per hospital and return their paths by site name; always the same bytes.

    Columns: patient_id, the 30 features under scikit-learn's names, diagnosis (malignant or benign).
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name) for name in bunch.feature_names]
    malignant: npt.NDArray[np.bool_] = np.asarray(bunch.target) == 0
    parts = _split(malignant, np.random.default_rng(_SEED))
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for site, rows in parts.items():
        table = [
            {
                "patient_id": f"{site[0].upper()}{i:04d}",
                **{
                    name: f"{value:.10g}"
                    for name, value in zip(names, bunch.data[row], strict=True)
                },
                "diagnosis": "malignant" if malignant[row] else "benign",
            }
            for i, row in enumerate(rows)
        ]
        if site == DIRTY_SITE:
            table = _soil(table)
        paths[site] = folder / f"{site}.csv"
        _write_csv(paths[site], ["patient_id", *names, "diagnosis"], table)
    return paths


def _split(
    malignant: npt.NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, npt.NDArray[np.int64]]:
    """Deal every patient to exactly one hospital, in the sizes and mixes of `SHARES`."""
    sick = rng.permutation(np.flatnonzero(malignant))
    well = rng.permutation(np.flatnonzero(~malignant))
    parts: dict[str, npt.NDArray[np.int64]] = {}
    for share in SHARES[:-1]:
        n_sick = round(share.patients * share.malignant_fraction)
        n_well = share.patients - n_sick
        parts[share.site] = rng.permutation(np.concatenate([sick[:n_sick], well[:n_well]]))
        sick, well = sick[n_sick:], well[n_well:]
    parts[SHARES[-1].site] = rng.permutation(np.concatenate([sick, well]))
    return parts


def _soil(table: list[dict[str, str]]) -> list[dict[str, str]]:
    """Break a table in three ordinary ways; the rows that are hit do not overlap."""
    dirty = [dict(row) for row in table]
    for row in dirty[:_UNIT_ROWS]:  # one department measures in cm
        for name, factor in (("mean radius", 10), ("mean perimeter", 10), ("mean area", 100)):
            row[name] = f"{float(row[name]) / factor:.10g}"
    for i, row in enumerate(dirty[_UNIT_ROWS : _UNIT_ROWS + _IMPOSSIBLE_ROWS]):
        if i % 2:
            row["mean smoothness"] = "-1"
        else:
            row["worst texture"] = "9999"
    start = _UNIT_ROWS + _IMPOSSIBLE_ROWS
    return dirty + [dict(row) for row in dirty[start : start + _DUPLICATED_ROWS]]


def _write_csv(path: Path, columns: list[str], table: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(table)

"""Faults that only the other sites show, planted into one of four real hospitals (UCI heart disease).

The dictionary is the study's with wider plausible ranges, so that values in another unit are not
impossible, and the hospital's own control has nothing to say. `gross`: all rows, at a third of
the noise that the study's plan has at these small hospitals (as at hospitals of three times the
size); `half`: half of the rows; `own noise`: all rows, at the plan's own noise. The last two are
printed and do not count: a column that is half in another unit is drift, and noise that hides a
hospital's cells hides its faults.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.qc.clinical_faults import STUDY, records
from benchmarks.qc.part import Fault, Harmless
from benchmarks.qc.releases import report_of
from cordon_client.qc.tabular import run_table_qc
from cordon_common.privacy.calibrate import resolve
from cordon_server.gate import Action, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.tabular import TableQc
    from cordon_common.protocol.study import Study
    from cordon_server.gate import GateDecision

    Frame = pd.DataFrame
    Rows = npt.NDArray[np.int64]
    Plant = Callable[[Frame, Rows], Frame]

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
FAULTY = "cleveland"
_THIRD = 1 / 3
_CAUSES = {"crosssite.unit", "crosssite.coding"}
_CHANGES: dict[str, dict[str, object]] = {
    "chol": {"range": (1.0, 1000.0)},
    "thalach": {"range": (0.5, 300.0)},
    "trestbps": {"range": (5.0, 300.0)},
    "oldpeak": {"unit_factors": {"mV": 10.0}},  # on paper 1 mm is 0.1 mV
}


@lru_cache(maxsize=1)
def study() -> Study:
    """Return the heart study with wide ranges, its noise resolved."""
    features = tuple(
        feature.model_copy(update=_CHANGES.get(feature.name, {}))
        for feature in STUDY.cohort.features
    )
    return resolve(
        STUDY.model_copy(update={"cohort": STUDY.cohort.model_copy(update={"features": features})})
    )


def _checked(frame: Frame, folder: Path) -> TableQc:
    path = folder / "site.csv"
    frame.to_csv(path, index=False)
    return run_table_qc(study(), path, bytes(32))


def _decided(sites: Mapping[str, TableQc], seed: int, noise: float) -> dict[str, GateDecision]:
    rng = np.random.default_rng(seed)
    reports = [report_of(study(), site, qc, rng, noise=noise) for site, qc in sites.items()]
    return {decision.site: decision for decision in decide(study(), reports).sites}


# -- how a site writes a column otherwise: each takes the clean table and the rows that it hits ------


def _scaled(column: str, factor: float, frame: Frame, rows: Rows) -> Frame:
    values = pd.to_numeric(frame.loc[rows, column], errors="coerce") * factor
    frame.loc[rows, column] = values.map(lambda x: "" if np.isnan(x) else f"{x:.3g}")
    return frame


def _coded(column: str, codes: dict[str, str], frame: Frame, rows: Rows) -> Frame:
    frame.loc[rows, column] = frame.loc[rows, column].map(lambda code: codes.get(code, code))
    return frame


def _written(column: str, text: str, frame: Frame, rows: Rows) -> Frame:
    frame.loc[rows, column] = text
    return frame


_HIGHER = {"0": "1", "1": "2", "2": "3", "3": "4"}
_LOWER = {new: old for old, new in _HIGHER.items()}
_SWAP = {"0": "1", "1": "0"}
_KINDS: tuple[tuple[str, str, str, Plant], ...] = (
    ("cholesterol in mmol/L, none impossible", "unit", "chol", partial(_scaled, "chol", 1 / 38.67)),
    ("heart rate in Hz, none impossible", "unit", "thalach", partial(_scaled, "thalach", 1 / 60)),
    (
        "blood pressure in kPa, none impossible",
        "unit",
        "trestbps",
        partial(_scaled, "trestbps", 1 / 7.50062),
    ),
    ("ST depression in mV", "unit", "oldpeak", partial(_scaled, "oldpeak", 0.1)),
    ("sex: 0 and 1 swapped", "coding", "sex", partial(_coded, "sex", _SWAP)),
    ("blood sugar: 0 and 1 swapped", "coding", "fbs", partial(_coded, "fbs", _SWAP)),
    ("sex as 1 and 2", "coding", "sex", partial(_coded, "sex", _HIGHER)),
    ("angina in exercise as 1 and 2", "coding", "exang", partial(_coded, "exang", _HIGHER)),
    ("chest pain as 0 to 3", "coding", "cp", partial(_coded, "cp", _LOWER)),
    ("cholesterol column empty", "schema", "chol", partial(_written, "chol", "")),
    ("chest pain in words", "schema", "cp", partial(_written, "cp", "typical")),
    ("heart rate a filler of 999", "schema", "thalach", partial(_written, "thalach", "999")),
)
_LINKED: tuple[tuple[str, str, str, Plant], ...] = (
    ("angina in exercise: 0 and 1 swapped", "coding", "exang", partial(_coded, "exang", _SWAP)),
)
"""A third of the patients here, a third to two thirds elsewhere: shares alone cannot tell it."""


def _found(
    plant: Plant, expected: tuple[str, str], size: tuple[float, float], seed: int, folder: Path
) -> bool:
    """Plant into one hospital; size: share of its rows, and noise as a part of the plan's."""
    share, noise = size
    sites = {site: _checked(records(site, seed), folder) for site in HOSPITALS if site != FAULTY}
    frame = records(FAULTY, seed)
    rows = np.random.default_rng(seed).permutation(len(frame))[: round(share * len(frame))]
    sites[FAULTY] = _checked(plant(frame, rows), folder)
    decision = _decided(sites, seed, noise)[FAULTY]
    return any((f.check, f.feature) == expected for f in decision.findings)


FAULTS: tuple[Fault, ...] = tuple(
    Fault(
        "cross-site",
        kind,
        severity,
        partial(_found, plant, (f"crosssite.{check}", feature), size),
        must=severity == "gross" and (kind, check, feature, plant) not in _LINKED,
    )
    for kind, check, feature, plant in (*_KINDS, *_LINKED)
    for severity, size in (
        ("gross", (1.0, _THIRD)),
        ("half", (0.5, _THIRD)),
        ("own noise", (1.0, 1.0)),
    )
)


# -- what must not be called a fault -------------------------------------------------------------


def _held(decisions: Mapping[str, GateDecision]) -> tuple[int, int, int]:
    """Count sites not let in, and sites said to have another unit or other codes."""
    held = sum(decision.action is not Action.TRAIN for decision in decisions.values())
    named = sum(any(f.check in _CAUSES for f in d.findings) for d in decisions.values())
    return held, named, len(decisions)


def _as_they_are(noise: float, seed: int, folder: Path) -> tuple[int, int, int]:
    sites = {site: _checked(records(site, seed), folder) for site in HOSPITALS}
    return _held(_decided(sites, seed, noise))


def _dealt(strength: float, noise: float, seed: int, folder: Path) -> tuple[int, int, int]:
    """Deal two hospitals' patients to four clinics by age; strength 0: at random."""
    rng = np.random.default_rng(seed)
    both = pd.concat([records(s, seed) for s in HOSPITALS[:2]], ignore_index=True)
    age = pd.to_numeric(both["age"])
    order = np.argsort(strength * (age - age.mean()) / age.std() + rng.normal(size=len(age)))
    parts = np.array_split(order.to_numpy(), 4)
    sites = {
        f"clinic-{i}": _checked(both.loc[part].reset_index(drop=True), folder)
        for i, part in enumerate(parts)
    }
    return _held(_decided(sites, seed, noise))


HARMLESS: tuple[Harmless, ...] = (
    *(
        Harmless("cross-site", f"four hospitals as they are, {words}", partial(_as_they_are, noise))
        for words, noise in (
            ("own noise", 1.0),
            ("a third of it", _THIRD),
            ("hardly any noise", 0.02),
        )
    ),
    *(
        Harmless(
            "cross-site",
            f"clinics by age, strength {strength:g}",
            partial(_dealt, strength, _THIRD),
        )
        for strength in (0.0, 0.5, 1.0, 2.0)
    ),
)

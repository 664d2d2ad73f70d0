"""Faults of clinical tables, planted into the real records of one hospital (Cleveland, UCI)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.qc.part import Fault, Harmless
from cordon_client.qc.tabular import run_table_qc
from cordon_common.errors import DataError
from cordon_common.protocol.parse import load_study
from cordon_common.qc.verdict import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from cordon_client.qc.tabular import TableQc

    Frame = pd.DataFrame
    Plant = Callable[[Frame, np.random.Generator, float], Frame]

ROOT = Path(__file__).resolve().parents[2]
SITES = ROOT.parent / "shared" / "data" / "heart_disease" / "sites"
STUDY = load_study(ROOT / "configs" / "studies" / "heart-disease.yaml")
WITH_IDS = STUDY.model_copy(
    update={"cohort": STUDY.cohort.model_copy(update={"patient_id": "patient"})}
)
_NOTABLE = {Severity.WARN, Severity.FAIL}


def records(site: str, seed: int) -> Frame:
    """Read a hospital's records as text, nine in ten of them, in an order of the seed's."""
    frame = pd.read_csv(SITES / f"{site}.csv", dtype=str, keep_default_na=False)
    return frame.drop_duplicates().sample(frac=0.9, random_state=seed).reset_index(drop=True)


def check(frame: Frame, folder: Path) -> TableQc:
    """Run the hospital's own quality control on a table."""
    path = folder / "cohort.csv"
    frame.to_csv(path, index=False)
    study = WITH_IDS if "patient" in frame else STUDY
    return run_table_qc(study, path, bytes(32))


def _some(frame: Frame, rng: np.random.Generator, share: float) -> npt.NDArray[np.int64]:
    return rng.permutation(len(frame))[: max(1, round(share * len(frame)))]


# -- how tables go wrong: each takes the clean table and the share of records that it hits -----------


def _scaled(
    column: str, factor: float, frame: Frame, rng: np.random.Generator, share: float
) -> Frame:
    rows = _some(frame, rng, share)
    values = pd.to_numeric(frame.loc[rows, column])
    frame.loc[rows, column] = (values * factor).map("{:.3g}".format)
    return frame


def _written(column: str, text: str, frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    frame.loc[_some(frame, rng, share), column] = text
    return frame


def _less_than(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    rows = _some(frame, rng, share)
    frame.loc[rows, "chol"] = "<" + frame.loc[rows, "chol"]
    return frame


def _repeated(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    frame["patient"] = [f"p{i}" for i in range(len(frame))]
    return pd.concat([frame, frame.loc[_some(frame, rng, share)]], ignore_index=True)


def _twins(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    twins = frame.loc[_some(frame, rng, share)]
    both = pd.concat([frame, twins], ignore_index=True)
    both["patient"] = [f"p{i}" for i in range(len(both))]
    return both


def _anonymous(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    frame["patient"] = [f"p{i}" for i in range(len(frame))]
    frame.loc[_some(frame, rng, share), "patient"] = ""
    return frame


def _two_outcomes(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    other = frame.loc[_some(frame, rng, share)].copy()
    other["num"] = np.where(other["num"] == "0", "1", "0")
    return pd.concat([frame, other], ignore_index=True)


def _missing_for_the_ill(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    ill = frame.index[frame["num"] != "0"].to_numpy()
    frame.loc[rng.permutation(ill)[: round(share * len(ill))], "thalach"] = ""
    return frame


def _rounded(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    rows = _some(frame, rng, share)
    frame.loc[rows, "chol"] = (pd.to_numeric(frame.loc[rows, "chol"]) // 10 * 10).astype(str)
    return frame


def _constant(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    frame.loc[_some(frame, rng, share), "age"] = "55"
    return frame


def _one_outcome(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    ill = frame.index[frame["num"] != "0"].to_numpy()
    return frame.drop(rng.permutation(ill)[: round(share * len(ill))])


def _few(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    return frame.drop(_some(frame, rng, share))


def _named(column: str, frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    del share
    frame[column] = [f"x{number}" for number in rng.integers(0, 10**6, len(frame))]
    return frame


def _out_of_range(frame: Frame, rng: np.random.Generator, share: float) -> Frame:
    rows = _some(frame, rng, share)
    frame.loc[rows, "oldpeak"] = [f"{value:.1f}" for value in rng.uniform(30, 99, len(rows))]
    return frame


def _finds(plant: Plant, share: float, expected: str, seed: int, folder: Path) -> bool:
    frame = plant(records("cleveland", seed), np.random.default_rng(seed), share)
    qc = check(frame, folder)
    return any(r.check == expected and r.severity in _NOTABLE for r in qc.results)


_SHARES = {"mild": 0.05, "plain": 0.2, "gross": 0.8}
_TABLES: tuple[tuple[str, Plant, str, dict[str, float]], ...] = (
    ("cholesterol in mmol/L", partial(_scaled, "chol", 1 / 38.67), "feature.unit", _SHARES),
    ("blood pressure in kPa", partial(_scaled, "trestbps", 1 / 7.50062), "feature.unit", _SHARES),
    ("heart rate in Hz", partial(_scaled, "thalach", 1 / 60), "feature.unit", _SHARES),
    ("cholesterol in g/L", partial(_scaled, "chol", 0.01), "feature.unit", _SHARES),
    ("hidden code -1", partial(_written, "chol", "-1"), "feature.missing-code", _SHARES),
    ("hidden code 999", partial(_written, "thalach", "999"), "feature.missing-code", _SHARES),
    ("impossible values", _out_of_range, "feature.range", _SHARES),
    ("sign before a number", _less_than, "feature.number", {"mild": 0.01, "plain": 0.04}),
    ("unknown category", partial(_written, "cp", "9"), "feature.category", _SHARES),
    ("outcome missing", partial(_written, "num", ""), "record.label-missing", _SHARES),
    (
        "outcome of another code list",
        partial(_written, "num", "7"),
        "record.label-unknown",
        {"mild": 0.02, "plain": 0.04},
    ),
    ("records repeated", _repeated, "record.duplicate", _SHARES),
    ("patients under two ids", _twins, "patient.duplicate", _SHARES),
    ("ids missing", _anonymous, "record.patient-id", {"mild": 0.05, "plain": 0.4}),
    ("two outcomes of one patient", _two_outcomes, "cohort.conflicting-labels", _SHARES),
    (
        "missing for the ill",
        _missing_for_the_ill,
        "feature.missing-by-label",
        {"mild": 0.25, "plain": 0.5, "gross": 1.0},
    ),
    (
        "missing at random",
        partial(_written, "ca", ""),
        "feature.missing",
        {"plain": 0.5, "gross": 1},
    ),
    ("last digit rounded", _rounded, "feature.digit", {"plain": 0.7, "gross": 1.0}),
    ("one value for all", _constant, "feature.constant", {"gross": 1.0}),
    ("rare outcome", _one_outcome, "cohort.balance", {"plain": 0.97}),
    ("one outcome only", _one_outcome, "cohort.classes", {"gross": 1.0}),
    ("too few patients", _few, "cohort.patients", {"gross": 0.9}),
    ("column of names", partial(_named, "last_name"), "cohort.identifiers", {"plain": 1.0}),
    ("column of addresses", partial(_named, "street"), "cohort.identifiers", {"plain": 1.0}),
    ("most records unusable", partial(_written, "num", ""), "cohort.excluded", {"gross": 0.6}),
)


# -- how files go wrong: each rewrites the bytes of a good file -----------------------------------


def _refuses(damage: Callable[[bytes], bytes], code: str, seed: int, folder: Path) -> bool:
    path = folder / "cohort.csv"
    records("cleveland", seed).to_csv(path, index=False)
    path.write_bytes(damage(path.read_bytes()))
    try:
        run_table_qc(STUDY, path, bytes(32))
    except DataError as error:
        return error.code == code
    return False


def _with_column(data: bytes, name: str) -> bytes:
    head, *rows = data.decode().splitlines()
    return "\n".join([f"{head},{name}", *(f"{row},1" for row in rows)]).encode()


_FILES: tuple[tuple[str, Callable[[bytes], bytes], str], ...] = (
    ("empty file", lambda _: b"", "DA002"),
    ("web page instead of a table", lambda data: b"<html>" + data, "DA003"),
    ("UTF-16", lambda data: data.decode().encode("utf-16"), "DA004"),
    ("semicolons", lambda data: data.replace(b",", b";"), "DA005"),
    ("column names only", lambda data: data.split(b"\n")[0] + b"\n", "DA006"),
    ("column renamed", lambda data: data.replace(b"thalach", b"max_hr", 1), "DA007"),
    ("column twice", lambda data: _with_column(data, "age"), "DA012"),
    ("line cut off", lambda data: data[: len(data) - 20] + b"\n", "DA013"),
    ("quote not closed", lambda data: data.replace(b"\n", b'\n"', 1), "DA013"),
    ("spreadsheet", lambda data: b"PK\x03\x04" + data, "DA014"),
)

FAULTS: tuple[Fault, ...] = (
    *(
        Fault("clinical", kind, severity, partial(_finds, plant, share, expected))
        for kind, plant, expected, shares in _TABLES
        for severity, share in shares.items()
    ),
    *(Fault("clinical", kind, "gross", partial(_refuses, damage, c)) for kind, damage, c in _FILES),
)


# -- what must not be called a fault -------------------------------------------------------------


def _hospital(site: str, seed: int, folder: Path) -> tuple[int, int, int]:
    """Show a real hospital as it is: it must be allowed to train."""
    qc = check(records(site, seed), folder)
    return int(not qc.verdict.may_train), 0, 1


def _clean(seed: int, folder: Path) -> tuple[int, int, int]:
    qc = check(records("cleveland", seed), folder)
    return int(not qc.verdict.may_train), int(qc.verdict.severity is not Severity.PASS), 1


def _case_mix(share: float, seed: int, folder: Path) -> tuple[int, int, int]:
    """Show a clinic for older or younger patients, drawn from the same records."""
    frame = records("cleveland", seed)
    age = pd.to_numeric(frame["age"])
    chosen = frame[age >= age.quantile(share)] if share > 0 else frame[age <= age.quantile(-share)]
    qc = check(chosen, folder)
    return int(not qc.verdict.may_train), int(qc.verdict.severity is not Severity.PASS), 1


HARMLESS: tuple[Harmless, ...] = (
    Harmless("clinical", "Cleveland as it is", _clean),
    *(
        Harmless("clinical", f"{site} as it is (its findings are real)", partial(_hospital, site))
        for site in ("hungarian", "switzerland", "va")
    ),
    Harmless("clinical", "the older half", partial(_case_mix, 0.5)),
    Harmless("clinical", "the younger half", partial(_case_mix, -0.5)),
)

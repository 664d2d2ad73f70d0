"""A synthetic hospital as OMOP tables (CDM 5.4): persons, visits, diagnoses, drugs, laboratory.

Nothing in it is real. Diabetes raises glucose, blood pressure and glucose raise the risk of a heart
attack, and nobody has an event before birth, after death or outside the observation period: an
export in which every check passes, so that each planted fault is the only one.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

DIABETES, HYPERTENSION, INFARCTION, METFORMIN = 201826, 320128, 312327, 1503297
PRESSURE, GLUCOSE, CREATININE, WEIGHT = 3004249, 3004501, 3016723, 3025315
MMHG, MG_DL, MMOL_L, KG = 8876, 8840, 8753, 9529
SMOKER = 4298794
WRITTEN = pd.Timestamp("2024-06-30")
_FIRST, _LAST = pd.Timestamp("2015-01-01"), pd.Timestamp("2024-01-01")


def make_export(persons=120, seed=0):
    """Return the tables by name, as data frames of the specification's columns."""
    rng = np.random.default_rng(seed)
    ids = 1000 + np.arange(persons)
    start = _FIRST + pd.to_timedelta(rng.integers(0, 700, persons), "D")
    end = _LAST - pd.to_timedelta(rng.integers(0, 700, persons), "D")
    diabetic, hyper = rng.random(persons) < 0.3, rng.random(persons) < 0.4
    tables = {"person": _persons(ids, rng)}
    tables["observation_period"] = pd.DataFrame(
        {
            "observation_period_id": ids,
            "person_id": ids,
            "observation_period_start_date": start,
            "observation_period_end_date": end,
            "period_type_concept_id": 32817,
        }
    )
    visits = _visits(ids, start, end, rng)
    tables["visit_occurrence"] = visits
    level = {"diabetic": dict(zip(ids, diabetic)), "hyper": dict(zip(ids, hyper))}  # noqa: B905
    tables["measurement"] = _measurements(visits, level, rng)
    risk = 0.15 + 0.3 * diabetic + 0.3 * hyper
    struck = rng.random(persons) < risk
    first = visits.groupby("person_id")["visit_start_date"].min().to_numpy()
    later = pd.DatetimeIndex(first) + pd.to_timedelta(rng.integers(100, 600, persons), "D")
    days = (start, later.where(later < end, end))
    tables["condition_occurrence"] = _conditions(ids, days, (diabetic, hyper, struck))
    tables["drug_exposure"] = _drugs(ids[diabetic], start[diabetic])
    tables["observation"] = _observations(ids, start, rng)
    dead = struck & (rng.random(persons) < 0.3)
    tables["death"] = pd.DataFrame(
        {"person_id": ids[dead], "death_date": end[dead], "death_type_concept_id": 32817}
    )
    return tables


def write_export(folder, tables, kind="csv"):
    """Write the tables as CSV or Parquet, dated `WRITTEN`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        path = folder / f"{name}.{kind}"
        if kind == "parquet":
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False, date_format="%Y-%m-%d")
        os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return folder


def _persons(ids, rng):
    return pd.DataFrame(
        {
            "person_id": ids,
            "gender_concept_id": rng.choice([8507, 8532], len(ids)),
            "year_of_birth": rng.integers(1935, 1985, len(ids)),
            "race_concept_id": 0,
            "ethnicity_concept_id": 0,
        }
    )


def _visits(ids, start, end, rng):
    rows = []
    for person, first, last in zip(ids, start, end, strict=True):
        offsets = rng.choice((last - first).days - 1, 6, replace=False)
        rows += [(person, first + pd.Timedelta(int(days), "D")) for days in sorted(offsets)]
    frame = pd.DataFrame(rows, columns=["person_id", "visit_start_date"])
    frame.insert(0, "visit_occurrence_id", 50_000 + np.arange(len(frame)))
    frame["visit_concept_id"] = 9202
    frame["visit_end_date"] = frame["visit_start_date"]
    frame["visit_type_concept_id"] = 32817
    return frame


def _measurements(visits, level, rng):
    diabetic = visits["person_id"].map(level["diabetic"]).to_numpy()
    hyper = visits["person_id"].map(level["hyper"]).to_numpy()
    n = len(visits)
    kinds = (
        (PRESSURE, MMHG, rng.normal(125, 10, n) + 25 * hyper),
        (GLUCOSE, MG_DL, rng.normal(95, 10, n) + 60 * diabetic),
        (CREATININE, MG_DL, rng.normal(1.0, 0.15, n)),
        (WEIGHT, KG, rng.normal(78, 10, n)),
    )
    frames = [
        pd.DataFrame(
            {
                "person_id": visits["person_id"],
                "measurement_concept_id": concept,
                "measurement_date": visits["visit_start_date"],
                "measurement_type_concept_id": 32817,
                "value_as_number": value.round(2),
                "unit_concept_id": unit,
                "visit_occurrence_id": visits["visit_occurrence_id"],
            }
        )
        for concept, unit, value in kinds
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(0, "measurement_id", 900_000 + np.arange(len(frame)))
    return frame


def _conditions(ids, days, groups):
    (start, late), (diabetic, hyper, struck) = days, groups
    rows = [(p, DIABETES, day) for p, day in zip(ids[diabetic], start[diabetic], strict=True)]
    rows += [(p, HYPERTENSION, day) for p, day in zip(ids[hyper], start[hyper], strict=True)]
    rows += [(p, INFARCTION, day) for p, day in zip(ids[struck], late[struck], strict=True)]
    frame = pd.DataFrame(
        rows, columns=["person_id", "condition_concept_id", "condition_start_date"]
    )
    frame.insert(0, "condition_occurrence_id", 70_000 + np.arange(len(frame)))
    frame["condition_end_date"] = frame["condition_start_date"]
    frame["condition_type_concept_id"] = 32817
    return frame


def _drugs(ids, start):
    frame = pd.DataFrame({"drug_exposure_id": 80_000 + np.arange(len(ids)), "person_id": ids})
    frame["drug_concept_id"] = METFORMIN
    frame["drug_exposure_start_date"] = start
    frame["drug_exposure_end_date"] = start + pd.Timedelta(90, "D")
    frame["drug_type_concept_id"] = 32817
    return frame


def _observations(ids, start, rng):
    smokes = rng.random(len(ids)) < 0.3
    frame = pd.DataFrame({"observation_id": np.arange(smokes.sum()), "person_id": ids[smokes]})
    frame["observation_concept_id"] = SMOKER
    frame["observation_date"] = start[smokes]
    frame["observation_type_concept_id"] = 32817
    frame["value_as_string"] = "yes"
    return frame

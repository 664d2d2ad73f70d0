"""One fault in a faultless export, one check that names it; nothing else is said."""

import numpy as np
import pandas as pd
import pytest
from tests.support.omop_tables import CREATININE, GLUCOSE, MMOL_L, PRESSURE

from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, Severity

DAY = pd.Timedelta(1, "D")


def _set(table, column, value, rows=slice(0, 60)):
    def plant(tables):
        frame = tables[table]
        frame[column] = frame[column].astype(object)
        frame.iloc[rows, frame.columns.get_loc(column)] = value

    return plant


def _append(table, rows=slice(0, 30), **changes):
    """Write some rows once more, with other values in some columns."""

    def plant(tables):
        frame = tables[table]
        again = frame.iloc[rows].copy()
        for column, value in changes.items():
            again[column] = value(again) if callable(value) else value
        tables[table] = pd.concat([frame, again], ignore_index=True)

    return plant


def _add(table, column, values):
    def plant(tables):
        frame = tables[table]
        frame[column] = [values(place) for place in range(len(frame))]

    return plant


def _drop(table, column=None):
    def plant(tables):
        if column is None:
            del tables[table]
        else:
            tables[table] = tables[table].drop(columns=column)

    return plant


def _measured(concept, column, value):
    def plant(tables):
        frame = tables["measurement"]
        rows = frame.index[frame["measurement_concept_id"] == concept][:100]
        frame.loc[rows, column] = value

    return plant


def _shift(table, column, of, days):
    """Date a table's first rows some days after `of(tables)`, by person."""

    def plant(tables):
        frame = tables[table]
        moved = frame["person_id"].map(of(tables)) + days * DAY
        rows = frame.index[moved.notna()][:200]
        frame.loc[rows, column] = moved[rows]

    return plant


def _ends(tables):
    periods = tables["observation_period"]
    return periods.set_index("person_id")["observation_period_end_date"]


def _deaths(tables):
    return tables["death"].set_index("person_id")["death_date"]


def _died_early(tables):
    death = tables["death"]
    death["death_date"] = pd.Timestamp("2018-01-01")


def _unmap(table, column):
    return _set(table, column, 0, slice(0, 400))


def _fresh(first):
    return lambda frame: first + np.arange(len(frame))


FAULTS = {
    "names of patients": (
        _add("person", "patient_name", lambda i: f"A{i}"),
        ("omop.identifiers", None),
    ),
    "mail addresses in a source value": (
        _add("observation", "observation_source_value", lambda i: f"a{i}@mail.org"),
        ("omop.identifiers", None),
    ),
    "days of birth": (
        _add("person", "day_of_birth", lambda i: 1 + i % 28),
        ("omop.quasi-identifiers", None),
    ),
    "the source's patient numbers": (
        _add("person", "person_source_value", lambda i: f"x{i}"),
        ("omop.quasi-identifiers", None),
    ),
    "a required column is gone": (
        _drop("measurement", "measurement_type_concept_id"),
        ("omop.columns", "measurement"),
    ),
    "a person twice": (_append("person", slice(0, 3)), ("omop.person-key", None)),
    "a key twice": (
        _append(
            "drug_exposure",
            slice(0, 5),
            drug_concept_id=19019073,
        ),
        ("omop.key", "drug_exposure"),
    ),
    "empty dates": (
        _set("measurement", "measurement_date", None),
        ("omop.required", "measurement.measurement_date"),
    ),
    "text in a number": (
        _set("measurement", "value_as_number", "pending"),
        ("omop.types", "measurement.value_as_number"),
    ),
    "text in a date": (
        _set("measurement", "measurement_date", "31.12.2020"),
        ("omop.types", "measurement.measurement_date"),
    ),
    "rows of nobody": (
        _append("drug_exposure", person_id=5, drug_exposure_id=_fresh(1)),
        ("omop.person-link", "drug_exposure"),
    ),
    "visits that are not there": (
        _set("measurement", "visit_occurrence_id", 7),
        ("omop.visit-link", "measurement"),
    ),
    "another person's visits": (
        _set("measurement", "visit_occurrence_id", 50_700),
        ("omop.visit-link", "measurement"),
    ),
    "a gender of another domain": (
        _set("person", "gender_concept_id", 9202, slice(0, 4)),
        ("omop.gender", None),
    ),
    "unmapped diagnoses": (
        _set("condition_occurrence", "condition_concept_id", 0, slice(0, 40)),
        ("omop.unmapped", "condition_occurrence.condition_concept_id"),
    ),
    "persons without a period": (
        lambda tables: tables.update(observation_period=tables["observation_period"].iloc[4:]),
        ("omop.observed", None),
    ),
    "measurements without a value": (
        _set("measurement", "value_as_number", None, slice(0, 1500)),
        ("omop.valueless", "measurement"),
    ),
    "numbers without a unit": (
        _set("measurement", "unit_concept_id", 0, slice(0, 400)),
        ("omop.unitless", "measurement"),
    ),
    "years of birth that nobody can have": (
        _set("person", "year_of_birth", 1800, slice(0, 4)),
        ("omop.birth-year", None),
    ),
    "glucose in mmol/L under mg/dL": (
        _measured(GLUCOSE, "value_as_number", 5.5),
        ("omop.values", f"glucose ({GLUCOSE}), unit 8840"),
    ),
    "a zero for a pressure": (
        _measured(PRESSURE, "value_as_number", 0),
        ("omop.values", f"systolic pressure ({PRESSURE}), unit 8876"),
    ),
    "creatinine in a unit that it has not": (
        _measured(CREATININE, "unit_concept_id", MMOL_L),
        ("omop.units", f"creatinine ({CREATININE})"),
    ),
    "events loaded twice": (
        _append("measurement", slice(0, 300), measurement_id=_fresh(1)),
        ("omop.repeated", "measurement"),
    ),
    "ends before it starts": (
        _set("drug_exposure", "drug_exposure_end_date", pd.Timestamp("2014-06-01")),
        ("omop.date-order", "drug_exposure"),
    ),
    "periods that overlap": (
        _append("observation_period", slice(0, 5), observation_period_id=_fresh(1)),
        ("omop.period-overlap", None),
    ),
    "after the observation period": (
        _shift("measurement", "measurement_date", _ends, 3),
        ("omop.outside-period", "measurement"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda name: name.replace(" ", "-"))
def test_a_planted_fault_is_named_by_its_check_and_by_no_other(export, findings, fault):
    plant, expected = FAULTS[fault]
    plant(export)
    assert set(findings(export)) - MAY_FOLLOW.get(fault, set()) == {expected}


MAY_FOLLOW = {
    "persons without a period": {
        ("omop.outside-period", name)
        for name in ("measurement", "visit_occurrence", "condition_occurrence", "drug_exposure",
                     "observation")
    },
    "a key twice": {("omop.repeated", "drug_exposure")},
}  # fmt: skip
"""What a fault brings along of necessity: without a period, events lie outside of any."""


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (
            _set("measurement", "measurement_date", pd.Timestamp("1920-01-01"), slice(0, 200)),
            ("omop.before-birth", "measurement"),
        ),
        (
            _set("measurement", "measurement_date", pd.Timestamp("2031-01-01"), slice(0, 200)),
            ("omop.future", "measurement"),
        ),
    ],
)
def test_a_date_outside_a_life_is_outside_its_observation_period_too(
    export, findings, plant, expected
):
    plant(export)
    found = set(findings(export))
    assert expected in found
    also = {("omop.outside-period", "measurement"), ("omop.after-death", "measurement")}
    assert found <= {expected, *also}


def test_events_long_after_death_are_named_and_paperwork_is_not(export, findings):
    _shift("measurement", "measurement_date", _deaths, 50)(export)
    assert ("omop.after-death", "measurement") not in findings(export)
    _shift("measurement", "measurement_date", _deaths, 70)(export)
    found = findings(export)
    assert found["omop.after-death", "measurement"].affected > 0


def test_without_persons_the_export_fails_hard(export, findings):
    _drop("person")(export)
    found = findings(export)
    assert found["omop.tables", None].severity is Severity.FAIL
    assert REGISTRY["omop.tables"].check_class is CheckClass.LOCAL_HARD


def test_fewer_than_ten_persons_fail_hard(export, findings):
    few = export["person"]["person_id"].head(9)
    tables = {name: frame[frame["person_id"].isin(few)] for name, frame in export.items()}
    found = findings(tables)
    assert set(found) == {("omop.persons", None)}
    assert found["omop.persons", None].severity is Severity.FAIL


def test_lines_that_were_cut_are_left_out_and_told(export, tmp_path, judged):
    from tests.support.omop_tables import write_export

    folder = write_export(tmp_path / "cut", export)
    with (folder / "measurement.csv").open("a") as file:
        file.write("1,2,3\n")
    cut = {r.subject for r in judged(folder).results if r.check == "omop.lines" and r.affected}
    assert cut == {"measurement"}


def test_every_check_has_a_planted_fault():
    planted = {check for _, (check, _) in FAULTS.values()}
    elsewhere = {
        *("omop.before-birth", "omop.future", "omop.after-death"),
        *("omop.tables", "omop.persons", "omop.lines"),
    }
    assert planted | elsewhere == {spec.id for spec in REGISTRY.of("omop")}

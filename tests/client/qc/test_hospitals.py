"""Four real hospitals (UCI heart disease): honest faults are named, nobody is shut out."""

import csv

import pytest

from cordon_client.qc.tabular import run_table_qc
from cordon_common.qc.verdict import Severity

SITES = ("cleveland", "hungarian", "switzerland", "va")


@pytest.fixture(scope="module")
def hospitals(shared_data, heart_study, key):
    folder = shared_data / "heart_disease" / "sites"
    return {site: run_table_qc(heart_study, folder / f"{site}.csv", key) for site in SITES}


def rows(shared_data, site):
    with (shared_data / "heart_disease" / "sites" / f"{site}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def result(qc, check, subject=None):
    return next(r for r in qc.results if (r.check, r.subject) == (check, subject))


@pytest.mark.parametrize("site", SITES)
def test_all_four_hospitals_may_train_on_every_distinct_patient(hospitals, shared_data, site):
    qc = hospitals[site]
    assert qc.verdict.may_train
    qc.require_trainable()
    distinct = {tuple(row.items()) for row in rows(shared_data, site)}
    assert qc.patients_kept == len(distinct)
    positive = sum(int(dict(row)["num"]) > 0 for row in distinct)
    assert qc.labels == (len(distinct) - positive, positive)


def test_swiss_cholesterol_of_zero_is_missing_for_everyone(hospitals):
    qc = hospitals["switzerland"]
    (chol,) = (stat for stat in qc.features if stat.name == "chol")
    assert chol.recorded.part == 0
    assert chol.coded == 123
    assert result(qc, "feature.missing", "chol").severity is Severity.WARN
    assert result(qc, "feature.range", "chol").severity is Severity.NOT_APPLICABLE


def test_the_long_beach_blood_pressure_of_zero_is_missing_and_excludes_nobody(hospitals):
    (pressure,) = (stat for stat in hospitals["va"].features if stat.name == "trestbps")
    assert pressure.coded == 1
    assert pressure.outside.part == 0


def test_hungarian_slope_is_missing_by_outcome(hospitals, shared_data):
    found = result(hospitals["hungarian"], "feature.missing-by-label", "slope")
    assert found.severity is Severity.WARN
    distinct = {tuple(row.items()) for row in rows(shared_data, "hungarian")}
    share = {}
    for outcome in (True, False):
        group = [dict(row) for row in distinct if (dict(row)["num"] != "0") is outcome]
        share[outcome] = sum(row["slope"] == "" for row in group) / len(group)
    assert found.value == pytest.approx(abs(share[True] - share[False]))


def test_cleveland_passes_without_a_single_warning(hospitals):
    assert hospitals["cleveland"].verdict.severity is Severity.PASS


def test_a_copy_of_cleveland_with_cholesterol_in_mmol_is_stopped(
    shared_data, heart_study, key, tmp_path
):
    records = rows(shared_data, "cleveland")
    for record in records:
        record["chol"] = f"{float(record['chol']) / 38.67:.2f}"
    path = tmp_path / "mmol.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    qc = run_table_qc(heart_study, path, key)
    assert result(qc, "feature.unit", "chol").severity is Severity.FAIL
    assert not qc.verdict.may_train

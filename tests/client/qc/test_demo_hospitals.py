"""The demo's four hospitals: the dirty one is caught with reasons, the clean ones are not accused."""

import csv

import pytest

from cordon_client.qc.tabular import run_table_qc
from cordon_common.qc.fates import RecordFate
from cordon_common.qc.verdict import ReasonCode, Severity
from cordon_server.demo.data import DIRTY_SITE, write_breast_cancer_cohorts


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_breast_cancer_cohorts(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def hospitals(files, breast_study, key):
    return {site: run_table_qc(breast_study, path, key) for site, path in files.items()}


def test_the_clean_hospitals_pass_without_a_warning(hospitals):
    clean = [qc for site, qc in hospitals.items() if site != DIRTY_SITE]
    assert len(clean) == 3
    for qc in clean:
        assert qc.verdict.severity is Severity.PASS
        assert qc.record_fates[RecordFate.KEPT] == sum(qc.record_fates.values())


def test_the_dirty_hospital_is_caught_with_its_three_reasons(hospitals):
    reasons = set(hospitals[DIRTY_SITE].verdict.reasons)
    expected = {ReasonCode.WRONG_UNIT, ReasonCode.DUPLICATE_RECORDS, ReasonCode.IMPOSSIBLE_VALUES}
    assert reasons >= expected
    units = {
        result.subject
        for result in hospitals[DIRTY_SITE].results
        if result.check == "feature.unit" and result.severity is Severity.WARN
    }
    assert units == {"mean radius", "mean perimeter", "mean area"}


def test_every_soiled_record_is_left_out_and_no_other(hospitals, files, breast_study):
    with files[DIRTY_SITE].open(newline="") as file:
        records = list(csv.DictReader(file))
    ranges = {feature.name: feature.range for feature in breast_study.cohort.features}
    seen, kept = set(), 0
    for record in records:
        possible = all(low <= float(record[name]) <= high for name, (low, high) in ranges.items())
        kept += possible and record["patient_id"] not in seen
        seen.add(record["patient_id"])
    qc = hospitals[DIRTY_SITE]
    assert qc.patients_kept == kept
    assert qc.verdict.may_train

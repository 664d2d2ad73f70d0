"""The benchmark of quality control: every planted fault can be planted, and every part has a name."""

import numpy as np
import pytest
from benchmarks.qc import clinical_faults, real_clinical
from benchmarks.qc.__main__ import PARTS
from benchmarks.qc.part import Options
from benchmarks.qc.planted import FAULTS, HARMLESS


def test_faults_have_distinct_names_and_more_than_thirty_kinds():
    names = [(fault.modality, fault.kind, fault.severity) for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert len({name[:2] for name in names}) >= 30
    assert len({(each.modality, each.kind) for each in HARMLESS}) == len(HARMLESS)
    assert "planted" in PARTS


@pytest.mark.parametrize("kind", ["cholesterol in mmol/L", "column twice"])
def test_a_planted_fault_is_named_and_the_clean_cohort_is_not(kind, tmp_path):
    if not clinical_faults.SITES.is_dir():
        pytest.skip("the shared data folder is not there")
    fault = next(fault for fault in FAULTS if fault.kind == kind)
    assert fault.found(1, tmp_path)
    clean = clinical_faults.check(clinical_faults.records("cleveland", 1), tmp_path)
    assert clean.verdict.severity.value == "pass"


@pytest.mark.parametrize(
    ("kind", "severity", "named"),
    [
        ("blood pressure in kPa, none impossible", "gross", True),
        ("sex: 0 and 1 swapped", "gross", True),
        ("chest pain in words", "gross", True),
        ("sex: 0 and 1 swapped", "half", False),
    ],
)
def test_a_fault_that_only_the_other_sites_show_is_named(kind, severity, named, tmp_path):
    if not clinical_faults.SITES.is_dir():
        pytest.skip("the shared data folder is not there")
    fault = next(f for f in FAULTS if (f.kind, f.severity) == (kind, severity))
    assert fault.found(1, tmp_path) is named
    assert fault.must is named


def test_honest_hospitals_and_clinics_of_another_case_mix_are_not_held_up(tmp_path):
    if not clinical_faults.SITES.is_dir():
        pytest.skip("the shared data folder is not there")
    for each in HARMLESS:
        if each.modality == "cross-site":
            held, _, shown = each.alarms(1, tmp_path)
            assert (held, shown) == (0, 4), each.kind


def test_records_of_a_seed_are_always_the_same():
    if not clinical_faults.SITES.is_dir():
        pytest.skip("the shared data folder is not there")
    one, other = (clinical_faults.records("va", 3) for _ in range(2))
    assert np.array_equal(one.to_numpy(), other.to_numpy())
    assert not np.array_equal(one["age"], clinical_faults.records("va", 4)["age"])


def test_what_is_wrong_in_real_clinical_tables_is_found_and_nothing_else(tmp_path):
    data = clinical_faults.SITES.parents[1]
    if not data.is_dir():
        pytest.skip("the shared data folder is not there")
    lines = real_clinical.lines(Options(data, tmp_path, quick=True))
    assert len(lines) == 12
    assert [line.name for line in lines if not line.reached] == []

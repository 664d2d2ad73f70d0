"""Checks on small tables: what is left out and why, what warns, what stops a site."""

from dataclasses import replace

import numpy as np
import pytest

from cordon_client.qc import tabular
from cordon_common.errors import CheckFailed, DataError, ProtocolError
from cordon_common.qc.fates import PatientFate, RecordFate
from cordon_common.qc.profile import Profile, builtin_profile
from cordon_common.qc.verdict import CheckResult, CohortVerdict, ReasonCode, Severity

N = 60


def cohort(**changes):
    """Give sixty patients with a smooth number, a category and a balanced outcome."""
    columns = {
        "id": [f"p{i}" for i in range(N)],
        "x": [20 + i / 2 + 0.25 for i in range(N)],
        "c": ["a" if i % 3 else "b" for i in range(N)],
        "y": [i % 2 for i in range(N)],
    }
    for name, cells in changes.items():
        columns[name] = [*cells, *columns[name][len(cells) :]]
    return columns


@pytest.fixture
def study(make_study, number, category):
    return make_study([number(typical=[20, 60]), category()], patient_id="id")


def results(qc, check, subject=None):
    found = [r for r in qc.results if (r.check, r.subject) == (check, subject)]
    assert len(found) == 1
    return found[0]


def test_a_clean_cohort_passes_every_check(study, check):
    qc = check(study, cohort())
    assert qc.verdict.severity is Severity.PASS
    assert qc.verdict.reasons == ()
    assert qc.patients_kept == N
    assert qc.labels == (30, 30)
    qc.require_trainable()


def test_the_clean_table_is_in_the_studys_terms(study, check, key):
    qc = check(study, cohort(x=[None, 30], c=["b", "?"]))
    assert np.isnan(qc.clean.numbers["x"][0])
    assert qc.clean.numbers["x"][1] == 30.0
    assert qc.clean.categories["c"][:3].tolist() == [1, -1, 0]
    assert qc.clean.labels[:4].tolist() == [0, 1, 0, 1]
    assert len(set(qc.clean.patients)) == N
    assert {len(patient) for patient in qc.clean.patients} == {32}


def test_each_excluded_record_has_one_reason_and_the_counts_add_up(
    make_study, number, category, check
):
    study = make_study([number(), category(unknown="exclude")], patient_id="id")
    columns = cohort(
        id=["p0", "p1", "p2", "p3", "p4", "", "p6"],
        x=[500, 20, 20, 20, 20, 20, "n/a"],
        c=["a", "zz", "a", "a", "a", "a", "a"],
        y=[0, 1, None, 9, 1, 0, 1],
    )
    columns = {name: [*cells, cells[4]] for name, cells in columns.items()}
    qc = check(study, columns)
    assert {fate: count for fate, count in qc.record_fates.items() if count} == {
        RecordFate.IMPOSSIBLE_VALUE: 1,
        RecordFate.UNKNOWN_CATEGORY: 1,
        RecordFate.LABEL_MISSING: 1,
        RecordFate.LABEL_UNKNOWN: 1,
        RecordFate.PATIENT_ID_MISSING: 1,
        RecordFate.DUPLICATE_RECORD: 1,
        RecordFate.KEPT: N - 5,
    }
    assert sum(qc.record_fates.values()) == N + 1 == len(qc.row_fates)
    assert sum(qc.patient_fates.values()) == N - 1  # one record belongs to nobody
    assert qc.patient_fates[PatientFate.KEPT_WITHOUT_DUPLICATES] == 1
    assert len(qc.clean.labels) == N - 5


def test_an_impossible_value_becomes_missing_where_the_study_says_so(make_study, number, check):
    study = make_study([number(impossible="missing")], patient_id="id")
    qc = check(study, {k: v for k, v in cohort(x=[500, -1, "odd"]).items() if k != "c"})
    assert qc.patients_kept == N
    assert np.isnan(qc.clean.numbers["x"][:3]).all()


def test_more_records_than_the_cap_are_left_out_and_the_choice_is_fixed(make_study, number, check):
    study = make_study([number()], patient_id="id", cap=2)
    columns = {
        "id": [f"p{i % 20}" for i in range(N)],
        "x": list(range(N)),
        "y": [i % 2 for i in range(N)],
    }
    qc = check(study, columns)
    assert qc.record_fates[RecordFate.OVER_CAP] == 20
    assert qc.patient_fates[PatientFate.KEPT_IN_PART] == 20
    backwards = check(study, {name: cells[::-1] for name, cells in columns.items()})
    assert set(qc.clean.numbers["x"]) == set(backwards.clean.numbers["x"])


def test_twins_under_other_ids_warn_and_are_left_out_only_on_request(make_study, number, check):
    columns = {k: v for k, v in cohort().items() if k != "c"}
    columns = {name: [*cells, *cells[:6]] for name, cells in columns.items()}
    columns["id"][N:] = [f"again{i}" for i in range(6)]
    kept = check(make_study([number()], patient_id="id"), columns)
    assert kept.patients_kept == N + 6
    assert results(kept, "patient.duplicate").severity is Severity.WARN
    left_out = check(make_study([number()], patient_id="id", duplicates="exclude"), columns)
    assert left_out.patients_kept == N
    assert left_out.patient_fates[PatientFate.DUPLICATE_PATIENT] == 6


def test_without_ids_equal_rows_are_one_patient(make_study, number, check):
    columns = {k: v for k, v in cohort().items() if k in {"x", "y"}}
    columns = {name: [*cells, *cells[:9]] for name, cells in columns.items()}
    qc = check(make_study([number()]), columns)
    assert qc.patients_kept == N
    assert qc.record_fates[RecordFate.DUPLICATE_RECORD] == 9


def test_a_department_in_another_unit_warns_and_names_the_factor(study, check):
    qc = check(study, cohort(x=[(20 + i / 2) / 1000 for i in range(12)]))
    result = results(qc, "feature.unit", "x")
    # 0.02 … 0.0255 lies inside the range 0 to 100, so nothing is impossible yet.
    assert result.severity is Severity.PASS
    qc = check(study, cohort(x=[(20 + i / 2) * 10 for i in range(12)]))
    result = results(qc, "feature.unit", "x")
    assert result.severity is Severity.WARN
    assert result.affected == 12
    assert "multiplying by 0.1" in result.detail
    assert qc.record_fates[RecordFate.IMPOSSIBLE_VALUE] == 12
    assert qc.verdict.may_train


def test_a_declared_factor_is_named_before_a_power_of_ten(make_study, number, check):
    feature = number(range=[50, 750], typical=[120, 360], unit_factors={"mmol/L": 38.67})
    study = make_study([feature], patient_id="id")
    columns = {k: v for k, v in cohort(x=[5.0, 5.2, 4.8, 6.1] * 2).items() if k != "c"}
    columns["x"][8:] = [200.0 + i for i in range(N - 8)]
    assert "38.67 (from mmol/L)" in results(check(study, columns), "feature.unit", "x").detail


@pytest.mark.parametrize("impossible", ["exclude", "missing"])
def test_a_column_mostly_in_another_unit_stops_the_site(make_study, number, check, impossible):
    study = make_study([number(typical=[20, 60], impossible=impossible)], patient_id="id")
    columns = {
        k: v for k, v in cohort(x=[(20 + i / 2) * 10 for i in range(40)]).items() if k != "c"
    }
    qc = check(study, columns)
    assert not qc.verdict.may_train
    assert ReasonCode.WRONG_UNIT in qc.verdict.reasons
    with pytest.raises(CheckFailed) as caught:
        qc.require_trainable()
    assert caught.value.code == "CK104"
    assert caught.value.why.startswith("x: 40 impossible values")


def test_an_undeclared_code_for_missing_is_found_and_is_no_unit_error(study, check):
    qc = check(study, cohort(x=[-9] * 7))
    assert results(qc, "feature.missing-code", "x").severity is Severity.WARN
    assert results(qc, "feature.missing-code", "x").affected == 7
    assert results(qc, "feature.unit", "x").severity is Severity.PASS


def test_a_value_that_is_no_well_known_code_is_never_named(study, check):
    qc = check(study, cohort(x=[-123.5] * 7))
    assert results(qc, "feature.missing-code", "x").severity is Severity.PASS
    assert all("123" not in result.detail for result in qc.results)


def test_missing_by_outcome_warns_only_when_it_is_no_accident(study, check):
    every_positive = [None if i % 2 else 30 for i in range(N)]
    result = results(check(study, cohort(x=every_positive)), "feature.missing-by-label", "x")
    assert result.severity is Severity.WARN
    assert result.value == 1.0
    few = {name: cells[:12] for name, cells in cohort(x=[None, 30, None, 30, None]).items()}
    result = results(check(study, few), "feature.missing-by-label", "x")
    assert result.value == pytest.approx(0.5)
    assert result.severity is Severity.PASS


def test_a_feature_that_the_site_never_measured_warns_and_does_not_stop_it(study, check):
    qc = check(study, cohort(x=[None] * N))
    assert results(qc, "feature.missing", "x").severity is Severity.WARN
    for name in ("feature.unit", "feature.range", "feature.number", "feature.constant"):
        assert results(qc, name, "x").severity is Severity.NOT_APPLICABLE
    assert qc.verdict.may_train


def test_a_nearly_constant_feature_warns(study, check):
    assert (
        results(check(study, cohort(c=["a"] * N)), "feature.constant", "c").severity
        is Severity.WARN
    )
    assert (
        results(check(study, cohort(x=[30.5] * N)), "feature.constant", "x").severity
        is Severity.WARN
    )


def test_values_read_by_eye_warn(make_study, number, check):
    study = make_study([number()], patient_id="id")
    columns = {k: v for k, v in cohort(x=[10 * (1 + i % 9) for i in range(N)]).items() if k != "c"}
    assert results(check(study, columns), "feature.digit", "x").severity is Severity.WARN
    columns["x"] = list(range(N))
    assert results(check(study, columns), "feature.digit", "x").severity is Severity.PASS


def test_a_few_odd_cells_warn_and_do_not_condemn_the_column(study, check):
    qc = check(study, cohort(x=["12O", "<5"]))
    assert results(qc, "feature.number", "x").severity is Severity.WARN
    assert qc.record_fates[RecordFate.IMPOSSIBLE_VALUE] == 2


def test_patients_with_both_outcomes_warn(make_study, number, check):
    study = make_study([number()], patient_id="id", cap=2)
    columns = {k: [*v, *v[:3]] for k, v in cohort().items() if k != "c"}
    columns["y"][N:] = [1 - y for y in columns["y"][:3]]
    assert results(check(study, columns), "cohort.conflicting-labels").affected == 3
    del columns["id"]
    study = make_study([number()])
    assert results(check(study, columns), "cohort.conflicting-labels").affected == 3


@pytest.mark.parametrize(
    "name", ["patient_name", "MRN", "e-mail", "ssn", "first_name", "Name", "phone_number"]
)
def test_unread_columns_of_direct_identifiers_block(study, check, name):
    qc = check(study, cohort() | {name: ["secret"] * N, "ward": ["W1"] * N})
    assert results(qc, "cohort.identifiers").severity is Severity.FAIL
    assert results(qc, "cohort.identifiers").value == 1.0
    with pytest.raises(CheckFailed) as caught:
        qc.require_trainable()
    assert caught.value.code == "CK105"


@pytest.mark.parametrize("name", ["Date of Birth", "postcode", "birth_date", "city"])
def test_unread_columns_of_indirect_identifiers_warn(study, check, name):
    qc = check(study, cohort() | {name: ["secret"] * N})
    assert results(qc, "cohort.quasi-identifiers").severity is Severity.WARN
    assert results(qc, "cohort.identifiers").severity is Severity.PASS
    qc.require_trainable()


def test_harmless_extra_columns_do_not_warn(study, check):
    extra = {
        name: [1] * N
        for name in ("ward", "device", "hostname_count", "clinic_name", "birth_weight")
    }
    assert results(check(study, cohort() | extra), "cohort.identifiers").value == 0.0


def test_three_patients_are_too_few(study, check):
    qc = check(study, {name: cells[:3] for name, cells in cohort().items()})
    with pytest.raises(CheckFailed) as caught:
        qc.require_trainable()
    assert caught.value.code == "CK101"
    assert caught.value.why == "3 patients passed, the study asks for 10."


def test_one_outcome_only_stops_the_site(study, check):
    with pytest.raises(CheckFailed) as caught:
        check(study, cohort(y=[1] * N)).require_trainable()
    assert caught.value.code == "CK103"


def test_excluding_too_many_stops_the_site(make_study, number, check):
    study = make_study([number()], patient_id="id", max_out=0.3)
    columns = {k: v for k, v in cohort(y=[None] * 20).items() if k != "c"}
    with pytest.raises(CheckFailed) as caught:
        check(study, columns).require_trainable()
    assert caught.value.code == "CK102"
    assert caught.value.why == "20 of 60 patients were left out."


def test_a_hard_check_that_could_not_be_carried_out_stops_the_site(study, check):
    qc = check(study, cohort())
    broken = (CheckResult("feature.unit", Severity.ERROR, subject="x"),)
    verdict = tabular._verdict(builtin_profile("clinical-table.v1"), broken)
    assert verdict.severity is Severity.ERROR
    with pytest.raises(CheckFailed) as caught:
        replace(qc, results=broken, verdict=verdict).require_trainable()
    assert caught.value.code == "CK109"


def test_a_cohort_without_any_outcome_is_too_small_and_not_a_crash(study, check):
    qc = check(study, cohort(y=[None] * N))
    assert qc.patients_kept == 0
    assert not qc.verdict.may_train
    assert results(qc, "cohort.classes").severity is Severity.NOT_APPLICABLE


def test_a_stricter_profile_makes_a_site_stop_earlier(study, check):
    profile = Profile.model_validate(
        {
            "cordon": 1,
            "name": "own.v1",
            "modality": "clinical-table",
            "checks": {"cohort.excluded": {"fail": 0.1}},
        }
    )
    columns = cohort(y=[None] * 9)
    assert check(study, columns).verdict.may_train
    assert not check(study, columns, profile=profile).verdict.may_train


def test_what_leaves_holds_no_counts_and_no_feature_names(study, check):
    qc = check(study, cohort(x=[500] * 9))
    text = str(qc.verdict.as_json())
    assert CohortVerdict.from_json(qc.verdict.as_json()) == qc.verdict
    assert "'x'" not in text
    assert not any(char.isdigit() for char in text.replace(".v1", ""))


def test_an_unknown_profile_or_a_wrong_key_is_refused(study, check, tmp_path):
    with pytest.raises(ProtocolError) as caught:
        check(
            study.model_copy(update={"qc": study.qc.model_copy(update={"profile": "z.v1"})}),
            cohort(),
        )
    assert caught.value.code == "PR020"
    with pytest.raises(DataError) as caught:
        tabular.run_table_qc(study, tmp_path / "cohort.csv", b"short")
    assert caught.value.code == "DA017"

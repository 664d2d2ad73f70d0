"""Excluding rules and their stability, as a function of the study alone."""

from cordon_common.qc.rules import exclusion_rules, exclusion_stability


def test_rules_that_look_at_one_patient_have_stability_one(make_study, number):
    study = make_study([number()], patient_id="id")
    assert exclusion_stability(study) == 1
    assert all(rule.stability == 1 for rule in exclusion_rules(study))


def test_leaving_out_twins_doubles_the_stability(make_study, number):
    study = make_study([number()], patient_id="id", duplicates="exclude")
    assert exclusion_stability(study) == 2
    assert exclusion_rules(study)[-1].id == "patient.duplicate"


def test_without_ids_equal_rows_are_one_patient_and_there_are_no_twins(make_study, number):
    study = make_study([number()], duplicates="exclude")
    assert exclusion_stability(study) == 1

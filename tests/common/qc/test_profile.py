"""Profiles move thresholds, and nothing else."""

from pathlib import Path

import pytest

from cordon_common.errors import ProtocolError
from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.profile import Profile, builtin_profile, load_profile
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import Scope, Severity

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "qc"


def profile(checks):
    return Profile.model_validate(
        {"cordon": 1, "name": "own.v1", "modality": CLINICAL_TABLE, "checks": checks}
    )


PATHS = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_profile_file_is_called_as_it_says_and_changes_something_or_is_the_default(path):
    """`<modality>.v1` writes the program's own values out; any other file is for one assay."""
    written = load_profile(path)
    assert path.stem == written.name
    built_in = builtin_profile(f"{written.modality}.v1")
    checks = REGISTRY.of(written.modality)
    moved = [
        spec.id
        for spec in checks
        if written.thresholds(spec.id) != built_in.thresholds(spec.id)
        or written.severity(spec.id, 1e9) != built_in.severity(spec.id, 1e9)
        or written.severity(spec.id, -1e9) != built_in.severity(spec.id, -1e9)
    ]
    if written.name != built_in.name:
        assert moved
        assert written.description
        return
    assert moved == []
    states_nothing = {"cohort.patients"}  # its limit is the study's
    assert {spec.id for spec in checks} - set(written.checks) <= states_nothing


def test_a_site_can_be_stricter_than_the_study_and_never_more_lenient():
    own = profile({"cohort.excluded": {"fail": 0.2}})
    assert own.thresholds("cohort.excluded", 0.5)[1] == 0.2
    assert own.thresholds("cohort.excluded", 0.1)[1] == 0.1
    assert profile({}).thresholds("cohort.excluded", 0.7)[1] == 0.7


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ({"feature.unheard-of": {"warn": 0.1}}, "is not a check of clinical-table"),
        ({"feature.missing": {"fail": 0.1}}, "may only warn"),
        ({"feature.unit": {"fail": 0.9}}, "may be stricter than 0.5, not more lenient"),
        ({"crosssite.drift": {"warn": 0.1}}, "is not a check of clinical-table"),
        ({"feature.missing": {"enabled": False}}, "Extra inputs"),
        ({"feature.missing": {"warn": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_profile_cannot_invent_or_switch_off_checks(checks, words):
    with pytest.raises(ValueError, match=words):
        profile(checks)


def test_an_unknown_profile_is_refused_by_code():
    with pytest.raises(ProtocolError) as caught:
        builtin_profile("clinical-table.v2")
    assert caught.value.code == "PR020"


def test_a_broken_profile_file_names_the_field(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "cordon: 1\nname: own.v1\nmodality: clinical-table\nchecks: {feature.missing: {warn: x}}\n"
    )
    with pytest.raises(ProtocolError) as caught:
        load_profile(path)
    assert caught.value.code == "PR004"
    assert "checks.feature.missing.warn" in caught.value.why


def test_a_check_that_depends_on_the_assay_may_be_capped_and_no_other(monkeypatch):
    dependent = {spec.id for m in REGISTRY.modalities for spec in REGISTRY.of(m)}
    dependent = {check for check in dependent if REGISTRY[check].assay_dependent}
    assert all(REGISTRY[check].scope is Scope.SAMPLE for check in dependent)
    with pytest.raises(ValueError, match="means the same in every assay"):
        profile({"feature.missing": {"at_most": "pass"}})
    for check in sorted(dependent):
        spec = REGISTRY[check]
        worst_value = 1e9 if spec.bounds.worse == "higher" else -1e9
        own = Profile.model_validate(
            {
                "cordon": 1,
                "name": "own.v1",
                "modality": spec.modality,
                "checks": {check: {"at_most": "warn"}},
            }
        )
        assert own.severity(check, worst_value) is Severity.WARN


def test_a_profile_for_a_modality_without_checks_is_refused():
    for modality in ("fortune-telling", "cross-site", "sample", "batch"):
        with pytest.raises(ValueError, match="no checks are known"):
            Profile.model_validate({"cordon": 1, "name": "own.v1", "modality": modality})

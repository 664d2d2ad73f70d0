"""Profiles move thresholds, and nothing else."""

from pathlib import Path

import pytest

from cordon_common.errors import ProtocolError
from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.profile import Profile, builtin_profile, load_profile
from cordon_common.qc.registry import REGISTRY

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "qc"


def profile(checks):
    return Profile.model_validate(
        {"cordon": 1, "name": "own.v1", "modality": CLINICAL_TABLE, "checks": checks}
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_file_says_what_the_program_does(path):
    written = load_profile(path)
    built_in = builtin_profile(written.name)
    assert path.stem == written.name
    for spec in REGISTRY.of(CLINICAL_TABLE):
        assert written.thresholds(spec.id) == built_in.thresholds(spec.id)
        states_nothing = spec.id == "cohort.patients"  # its limit is the study's
        assert (spec.id in written.checks) is not states_nothing


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

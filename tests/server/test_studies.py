"""From a draft to a signed study: the template works, the roster is real, signing is final."""

from __future__ import annotations

import pytest
import yaml
from hospitals import Federation, clock, study_value

from cordon_common.errors import ProtocolError, UsageError
from cordon_common.privacy.planner import plan
from cordon_common.protocol.parse import STUDY_TYPE, load_study, open_study
from cordon_common.protocol.study import Study
from cordon_common.signing import SigningKey, seal
from cordon_server.studies import (
    envelope_bytes,
    find_signed,
    read_study_or_signed,
    sign_study,
    study_template,
    with_roster,
)


def draft(roster=(), **changes):
    return Study.model_validate(study_value(list(roster), **changes), strict=False)


def test_the_template_is_a_valid_study_that_can_be_planned(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(study_template("sepsis-early"))
    study = load_study(path)
    assert study.name == "sepsis-early"
    assert plan(study, simulate=False).epsilon.pld <= study.privacy.epsilon


def test_the_template_shows_every_part_of_a_study():
    shown = set(yaml.safe_load(study_template("x")))
    assert set(Study.model_fields) - shown == {"roster"}


@pytest.mark.parametrize("name", ["Heart Disease", "", "../x", "x: y"])
def test_a_name_that_is_no_slug_is_refused(name):
    with pytest.raises(ProtocolError, match="PR001"):
        study_template(name)


def test_an_empty_roster_is_filled_with_the_enrolled_sites(federation):
    filled = with_roster(draft(), federation.store.sites())
    assert [(e.site, e.key) for e in filled.roster] == [
        (site.site, site.identity_key) for site in federation.store.sites()
    ]
    assert {entry.expected_patients for entry in filled.roster} == {100}


def test_a_roster_with_a_wrong_key_is_refused(federation):
    entries = [hospital.roster_entry() for hospital in federation.hospitals.values()]
    entries[0]["key"] = str(SigningKey.generate().public)
    with pytest.raises(UsageError, match="US024") as caught:
        with_roster(draft(entries), federation.store.sites())
    assert "north" in caught.value.what


def test_without_any_enrolled_site_nothing_is_signed():
    with pytest.raises(UsageError, match="US024"):
        with_roster(draft(), ())


def test_fewer_sites_than_the_minimum_cannot_make_a_roster(federation):
    with pytest.raises(ProtocolError, match="PR001") as caught:
        with_roster(draft(min_sites=3), federation.store.sites()[:2])
    assert "min_sites" in caught.value.why


def test_signing_resolves_the_noise_and_is_logged_once(federation):
    study, envelope = sign_study(federation.coordinator, draft(version=2))
    again, second = sign_study(federation.coordinator, draft(version=2))
    assert (study, envelope) == (again, second)
    assert study.privacy.noise is not None
    assert open_study(envelope, (federation.home.signing_key().public,)) == study
    logged = [b for b in federation.log_bodies("study.signed.v1") if b.study == study.digest]
    assert len(logged) == 1
    assert federation.home.signed_study_file(study.digest).read_bytes() == envelope_bytes(envelope)


def test_a_signed_study_is_found_by_name_digest_and_file(federation, tmp_path):
    study, envelope = sign_study(federation.coordinator, draft(version=2))
    path = tmp_path / "signed.json"
    path.write_bytes(envelope_bytes(envelope))
    for name in ("tiny", study.digest, str(path)):
        found = find_signed(federation.coordinator, name, tmp_path / name)
        assert (found.digest, found.version) == (study.digest, 2)
    assert read_study_or_signed(path) == study


def test_a_file_that_another_coordinator_signed_is_refused(federation, tmp_path):
    envelope = seal(SigningKey.generate(), STUDY_TYPE, federation.study.as_json())
    path = tmp_path / "signed.json"
    path.write_bytes(envelope_bytes(envelope))
    with pytest.raises(ProtocolError, match="PR003"):
        find_signed(federation.coordinator, str(path), path)


def test_a_study_of_another_coordinators_making_is_unknown(tmp_path, federation):
    (tmp_path / "two").mkdir()
    other = Federation(tmp_path / "two")
    with pytest.raises(UsageError, match="US021"):
        federation.store.find_study(other.study.digest)
    other.close()


def test_time_plays_no_part_in_what_is_signed(federation):
    one, _ = sign_study(federation.coordinator, draft(version=3))
    assert one.digest == resolve_digest(federation)


def resolve_digest(federation):
    from cordon_common.privacy.calibrate import resolve

    return resolve(with_roster(draft(version=3), federation.store.sites())).digest


def test_the_clock_of_the_store_is_the_one_it_was_given(federation):
    assert {s.enrolled_at for s in federation.store.sites()} == {"2026-03-01T09:00:00.000Z"}
    assert clock().isoformat() == "2026-03-01T09:00:00+00:00"

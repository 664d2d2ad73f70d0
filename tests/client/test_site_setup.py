"""Setting a site up, joining a coordinator, and the desk where studies are approved and closed."""

import json
import stat

import pytest
from small_site import POLICY, clock, kept, make_site, write_cohort

from cordon_client.cli.render import findings_table
from cordon_client.doctor import examine
from cordon_client.enrol import create_site, join_site, rotate_node_key
from cordon_client.home import Dataset, SiteConfig, SiteHome
from cordon_client.kit import gateway_settings, read_kit
from cordon_client.office import Office
from cordon_client.vault.airlock import Airlock
from cordon_client.vault.policy import load_policy
from cordon_common.canonical import canonical_bytes
from cordon_common.cli import console
from cordon_common.cli.main import main as cordon
from cordon_common.enrolment import KIT_TYPE, REQUEST_TYPE, EnrolmentRequest, SiteKit
from cordon_common.errors import CordonError, DataError, SystemFault, UsageError
from cordon_common.signing import Envelope, SigningKey, seal


def config(cohort):
    return SiteConfig(name="north", dataset=Dataset(id="main", file=str(cohort)))


@pytest.fixture
def cohort(tmp_path):
    return write_cohort(tmp_path / "cohort.csv")


@pytest.fixture
def home(tmp_path, cohort):
    made = SiteHome(tmp_path / "north")
    create_site(made, config(cohort), POLICY, clock=clock)
    return made


def write_kit(path, site="north", key=None, named=None, **changes):
    key = key or SigningKey.generate()
    kit = SiteKit(
        site=site,
        coordinator="consortium",
        coordinator_key=str((named or key).public),
        address="127.0.0.1:8443",
        ca_certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        **changes,
    )
    envelope = seal(key, KIT_TYPE, kit.model_dump(mode="json"))
    path.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    return key


def code_of(call, *arguments, **named):
    with pytest.raises(CordonError) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_a_new_site_has_private_keys_and_a_request_that_it_signed_itself(home):
    for path in (home.identity_key, home.split_key, home.supernode_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    envelope = Envelope.model_validate_json(home.enrolment_request.read_bytes())
    signer = envelope.verify(REQUEST_TYPE)
    request = EnrolmentRequest.model_validate(envelope.payload)
    assert request.identity_key == str(signer)
    secrets = (home.identity_key.read_bytes(), home.split_key.read_bytes())
    assert not any(secret in home.enrolment_request.read_bytes() for secret in secrets)


def test_a_folder_that_holds_something_is_never_made_a_site(home, cohort):
    before = home.identity_key.read_bytes()
    assert code_of(create_site, home, config(cohort), POLICY, clock=clock) == "US003"
    assert home.identity_key.read_bytes() == before


def test_joining_trusts_the_coordinators_key_and_gives_the_gateway_what_it_needs(home, tmp_path):
    key = write_kit(tmp_path / "kit.json")
    join_site(home, tmp_path / "kit.json")
    assert load_policy(home.policy_file).trusted_keys == (key.public,)
    settings = gateway_settings(home)
    assert settings.coordinator == "127.0.0.1:8443"
    inside = (settings.ca_certificate, settings.node_key, settings.home)
    assert all(path.is_relative_to(home.gateway) for path in inside)


def test_a_gateway_without_a_kit_is_told_to_join_first(home):
    assert code_of(gateway_settings, home) == "US004"


def test_a_kit_for_another_site_or_under_another_key_is_refused(home, tmp_path):
    kit = tmp_path / "kit.json"
    write_kit(kit, site="south")
    assert code_of(join_site, home, kit) == "PR009"
    write_kit(kit, named=SigningKey.generate())
    assert code_of(read_kit, kit) == "IN001"
    kit.write_text("{}")
    assert code_of(read_kit, kit) == "PR009"
    assert load_policy(home.policy_file).trusted_keys == ()


def test_a_path_too_long_for_a_socket_is_told_before_anything_starts(tmp_path):
    with pytest.raises(SystemFault, match="SY004"):
        _ = SiteHome(tmp_path / ("x" * 120)).socket


def test_a_folder_without_a_site_is_told_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="US002") as caught:
        SiteHome(tmp_path).config()
    assert "cordon site init" in caught.value.fix


def test_the_doctor_passes_a_fresh_site_and_names_what_is_wrong_with_a_sick_one(home, capsys):
    fresh = {finding.check: finding.status for finding in examine(home, clock)}
    assert fresh["ledger"] == fresh["keys"] == fresh["data"] == fresh["configuration"] == "pass"
    assert fresh["coordinator"] == fresh["policy"] == "warn"
    home.identity_key.chmod(0o644)
    home.ledger.write_bytes(b"not a database, or no longer one" * 200)
    sick = {finding.check: finding for finding in examine(home, clock)}
    assert sick["keys"].status == "fail"
    assert "chmod 600" in sick["keys"].fix
    assert sick["ledger"].status == "fail"
    assert sick["data"].status == "pass"
    console.show(findings_table(list(sick.values())))
    assert "chmod 600" in capsys.readouterr().err


def test_closing_an_unknown_study_is_told(tmp_path, cohort):
    site = make_site(tmp_path / "s", cohort)
    with Office.open(site.home, clock=clock) as office:
        assert code_of(office.close_study, "no-such-study") == "US005"


def test_a_closed_study_gives_nothing_new_but_repeats_what_it_gave(tmp_path, cohort, monkeypatch):
    site = make_site(tmp_path / "s", cohort)
    state = site.open_vault()
    airlock = Airlock(state)
    first = kept(airlock.answer("qc", site.request("qc")))
    with Office.open(site.home, clock=clock) as office:
        assert office.close_study("toy-study").digest == site.study.digest
    assert kept(airlock.answer("qc", site.request("qc"))) == first
    import numpy as np

    assert code_of(airlock.answer, "train", site.request("train", weights=np.zeros(5))) == "PO112"
    state.ledger.close()


def test_a_cohort_beyond_the_grids_room_is_refused(tmp_path, cohort, monkeypatch):
    site = make_site(tmp_path / "s", cohort)
    monkeypatch.setattr("cordon_client.vault.state.site_patients_cap", lambda _study: 50)
    state = site.open_vault()
    with pytest.raises(DataError, match="DA018"):
        Airlock(state).answer("qc", site.request("qc"))
    state.ledger.close()
    assert site.charges() == []


def test_the_terms_are_shown_and_nobody_approves_by_accident(tmp_path, cohort, capsys):
    site = make_site(tmp_path / "s", cohort, approve=False)
    _, envelope = site.sign()
    signed = tmp_path / "signed.json"
    signed.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    assert cordon(["site", "approve", str(site.home.root), str(signed)]) == 2
    told = capsys.readouterr().err
    for said in ("What will leave", "epsilon", "quality summary", "evaluation", "--yes"):
        assert said in told
    assert cordon(["site", "approve", str(site.home.root), str(signed), "--yes"]) == 0
    capsys.readouterr()
    assert cordon(["site", "budget", str(site.home.root), "--json"]) == 0
    budget = json.loads(capsys.readouterr().out)
    assert [study["name"] for study in budget["studies"]] == ["toy-study"]
    assert budget["studies"][0]["spent_epsilon"] == 0


def test_a_second_coordinator_under_the_same_name_is_refused_unless_asked_for(home, tmp_path):
    first = write_kit(tmp_path / "kit.json")
    join_site(home, tmp_path / "kit.json")
    second = write_kit(tmp_path / "other.json")
    with pytest.raises(UsageError, match="US073") as caught:
        join_site(home, tmp_path / "other.json")
    assert second.public.words in caught.value.why
    assert load_policy(home.policy_file).trusted_keys == (first.public,)
    assert read_kit(home.kit_file)[1] == first.public
    join_site(home, tmp_path / "other.json", replace=True)
    assert read_kit(home.kit_file)[1] == second.public


def test_a_rotated_key_is_used_once_the_coordinators_kit_confirms_it(home, tmp_path):
    key = write_kit(tmp_path / "kit.json")
    join_site(home, tmp_path / "kit.json")
    old = home.supernode_key.read_bytes()
    rotate_node_key(home)
    envelope = Envelope.model_validate_json(home.enrolment_request.read_bytes())
    request = EnrolmentRequest.model_validate(envelope.payload)
    assert envelope.verify(REQUEST_TYPE) == SigningKey.load(home.identity_key).public
    assert request.serial == 1
    join_site(home, tmp_path / "kit.json")  # the old kit confirms nothing
    assert home.supernode_key.read_bytes() == old
    write_kit(tmp_path / "new.json", key=key, key_serial=1)
    join_site(home, tmp_path / "new.json")
    assert home.supernode_key.read_bytes() != old
    assert home.supernode_key.with_suffix(".pub").read_text().strip() == request.supernode_key
    assert stat.S_IMODE(home.supernode_key.stat().st_mode) == 0o600
    assert not home.next_supernode_key.exists()


def test_a_site_is_made_in_a_folder_of_empty_mounts(tmp_path, cohort):
    root = tmp_path / "mounted"
    for name in ("vault", "gateway", "run"):
        (root / name).mkdir(parents=True)
    create_site(SiteHome(root), config(cohort), POLICY, clock=clock)
    assert SiteHome(root).config().name == "north"


@pytest.mark.parametrize(("command", "module"), [("vault", "torch"), ("gateway", "flwr")])
def test_a_part_that_is_not_installed_is_named_with_its_extra(
    home, monkeypatch, capsys, command, module
):
    monkeypatch.setattr(
        "cordon_client.extras.find_spec", lambda name: None if name == module else name
    )
    console.stderr.cache_clear()
    assert cordon(["site", command, str(home.root)]) == 2
    told = capsys.readouterr().err
    assert "US070" in told
    assert f"cordon-client[{command}]" in told
    assert module in told

"""The coordinator's folder and store: made once, closed to others, and never half written."""

from __future__ import annotations

import stat

import pytest
from hospitals import FakeHospital, clock
from sqlalchemy import text

from cordon_common.enrolment import KIT_TYPE, EnrolmentRequest, SiteKit
from cordon_common.errors import CordonError, IntegrityError, ProtocolError, SystemFault, UsageError
from cordon_common.ledger.entries import SiteEnrolled
from cordon_common.signing import Envelope, SigningKey
from cordon_server.coordinator import open_coordinator
from cordon_server.enrol import enrol_site, kit_file
from cordon_server.home import CoordinatorSettings, create_home, open_home
from cordon_server.journal import Journal, Note, Step
from cordon_server.runs import superlink_settings
from cordon_server.store import open_store
from cordon_server.studies import log_enrolment


@pytest.fixture
def home(tmp_path):
    settings = CoordinatorSettings(name="consortium", address="127.0.0.1:18443")
    return create_home(tmp_path / "home", settings, clock)


@pytest.fixture
def hospital(tmp_path):
    made = FakeHospital("north", tmp_path)
    yield made
    made.ledger.close()


def request_file(hospital, folder):
    path = folder / "request.json"
    path.write_bytes(hospital.enrolment())
    return path


def test_a_home_is_read_back_as_it_was_made(home):
    assert open_home(home.root) == home
    assert home.settings.port == 18443


def test_keys_and_folders_are_closed_to_other_accounts(home):
    assert stat.S_IMODE(home.signing_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.tls.ca_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.log_file.stat().st_mode) == 0o600
    for folder in (home.root, home.sites_dir, home.studies_dir):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_holds_something_is_left_alone(tmp_path, home):
    with pytest.raises(UsageError) as caught:
        create_home(home.root, home.settings)
    assert caught.value.code == "US003"


def test_a_folder_without_a_coordinator_says_so(tmp_path):
    with pytest.raises(UsageError) as caught:
        open_home(tmp_path)
    assert caught.value.code == "US020"


def test_wrong_settings_name_the_field(home):
    (home.root / "coordinator.yaml").write_text("name: x\naddress: nowhere\n")
    with pytest.raises(ProtocolError, match="PR004") as caught:
        open_home(home.root)
    assert "address" in caught.value.why


@pytest.mark.parametrize(
    ("address", "listen"),
    [
        ("127.0.0.1:9000", "127.0.0.1"),
        ("localhost:9000", "127.0.0.1"),
        ("coordinator.example.org:9000", "0.0.0.0"),  # noqa: S104
    ],
)
def test_the_superlink_listens_where_the_address_points(home, address, listen):
    settings = home.settings.model_copy(update={"address": address})
    changed = type(home)(home.root, settings)
    assert superlink_settings(changed).host == listen
    assert superlink_settings(changed).port == 9000


# -- enrolment ---------------------------------------------------------------------------------------


def test_an_enrolled_site_gets_a_kit_that_the_coordinator_signed(home, hospital, tmp_path):
    store = open_store(home.store_url)
    enrol_site(home, store, request_file(hospital, tmp_path), clock)
    envelope = Envelope.model_validate_json(kit_file(home, "north").read_bytes())
    assert envelope.verify(KIT_TYPE) == home.signing_key().public
    kit = SiteKit.model_validate(envelope.payload)
    assert (kit.site, kit.address) == ("north", "127.0.0.1:18443")
    assert kit.ca_certificate == home.tls.ca_certificate.read_text().strip()
    store.close()


def test_enrolling_twice_changes_nothing(home, hospital, tmp_path):
    path = request_file(hospital, tmp_path)
    with open_coordinator(home.root, clock) as coordinator:
        for _ in range(2):
            site = enrol_site(coordinator.home, coordinator.store, path, clock)
            log_enrolment(coordinator, site)
        assert len(coordinator.store.sites()) == 1
        logged = [b for b in coordinator.log.bodies_from(0) if b.KIND == SiteEnrolled.KIND]
        assert [body.site for body in logged] == ["north"]


def test_a_name_cannot_be_taken_over_with_other_keys(home, hospital, tmp_path):
    (tmp_path / "other").mkdir()
    impostor = FakeHospital("north", tmp_path / "other")
    store = open_store(home.store_url)
    enrol_site(home, store, request_file(hospital, tmp_path), clock)
    with pytest.raises(UsageError) as caught:
        enrol_site(home, store, request_file(impostor, tmp_path), clock)
    assert caught.value.code == "US025"
    assert store.sites()[0].identity_key == str(hospital.key.public)
    impostor.ledger.close()
    store.close()


def test_one_key_cannot_enrol_under_two_names(home, hospital):
    store = open_store(home.store_url)
    first = EnrolmentRequest(
        site="north", identity_key=str(hospital.key.public), supernode_key=hospital.node_line
    )
    store.add_site(first, clock)
    with pytest.raises(UsageError, match="US025"):
        store.add_site(first.model_copy(update={"site": "south"}), clock)
    store.close()


@pytest.mark.parametrize("damage", ["payload", "key", "not json", "html", "folder", "missing"])
def test_a_request_that_is_not_the_sites_own_word_is_refused(home, hospital, tmp_path, damage):
    path = request_file(hospital, tmp_path)
    envelope = Envelope.model_validate_json(path.read_bytes())
    if damage == "payload":
        changed = envelope.model_copy(update={"payload": envelope.payload | {"site": "south"}})
        path.write_text(changed.model_dump_json())
    elif damage == "key":
        stranger = str(SigningKey.generate().public)
        path.write_text(envelope.model_copy(update={"key": stranger}).model_dump_json())
    elif damage == "not json":
        path.write_bytes(b"\xff\xfe")
    elif damage == "html":
        path.write_text("<!doctype html><title>502 Bad Gateway</title>")
    elif damage == "folder":
        path = tmp_path
    else:
        path = tmp_path / "nothing.json"
    store = open_store(home.store_url)
    with pytest.raises(CordonError) as caught:
        enrol_site(home, store, path, clock)
    expected = {"payload": "IN001", "key": "IN001", "folder": "US002", "missing": "US002"}
    assert caught.value.code == expected.get(damage, "PR009")
    assert store.sites() == ()
    store.close()


def test_a_request_signed_by_another_key_than_it_names_is_refused(home, hospital, tmp_path):
    from cordon_common.enrolment import REQUEST_TYPE
    from cordon_common.signing import seal

    payload = Envelope.model_validate_json(hospital.enrolment()).payload
    path = tmp_path / "request.json"
    path.write_text(seal(SigningKey.generate(), REQUEST_TYPE, payload).model_dump_json())
    store = open_store(home.store_url)
    with pytest.raises(IntegrityError, match="IN001"):
        enrol_site(home, store, path, clock)
    store.close()


# -- the store ---------------------------------------------------------------------------------------


def test_what_is_stored_is_read_back(federation):
    stored = federation.store.find_study("tiny")
    assert stored.envelope == federation.envelope
    assert federation.store.find_study(stored.digest) == stored
    state = federation.open().journal.state
    assert (state.phase, state.round, state.status) == ("enrol", 0, "ready")


def test_a_study_number_is_never_signed_twice_with_different_content(federation):
    from cordon_common.protocol.parse import STUDY_TYPE
    from cordon_common.signing import seal

    value = federation.study.as_json() | {"purpose": "Something else than what was signed."}
    changed = type(federation.study).model_validate(value, strict=False)
    envelope = seal(federation.home.signing_key(), STUDY_TYPE, changed.as_json())
    with pytest.raises(UsageError, match="US026"):
        federation.store.add_study(changed, envelope, clock)


def test_a_second_campaign_has_to_be_asked_for(federation):
    stored = federation.store.find_study("tiny")
    with pytest.raises(UsageError, match="US022"):
        federation.store.add_campaign(stored, clock)
    assert federation.store.add_campaign(stored, clock, again=True) == "tiny-v1-2"


def test_a_step_is_written_whole_or_not_at_all(federation, monkeypatch):
    journal = federation.open().journal
    journal.take_over()
    step = Step(phase="qc", facts={"members": ["north"]}, notes=(Note("phase.finished"),))
    monkeypatch.setattr(Journal, "_add_notes", lambda *_: (_ for _ in ()).throw(RuntimeError))
    with pytest.raises(RuntimeError):
        journal.commit(step)
    assert journal.state.phase == "enrol"
    assert journal.facts() == {}


def test_a_full_disk_is_said_so_and_the_step_is_not_half_written(federation):
    journal = federation.open().journal
    journal.take_over()
    with federation.store.transaction() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()
        session.execute(text(f"PRAGMA max_page_count = {pages + 1}"))
    note = Note("site.online", detail={"x": "y" * 4000})
    with pytest.raises(SystemFault) as caught:
        journal.note(*[note] * 200)
    assert caught.value.code == "SY001"
    assert journal.state.phase == "enrol"


@pytest.mark.parametrize("url", ["sqlite:////nonexistent/folder/store.db", "nodatabase://x"])
def test_a_store_that_cannot_be_opened_is_a_coded_error(url):
    with pytest.raises(SystemFault, match="SY021"):
        open_store(url)


def test_a_file_that_is_no_database_is_a_coded_error(tmp_path):
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to be read as one" * 50)
    with pytest.raises(SystemFault, match="SY021"):
        open_store(f"sqlite:///{tmp_path / 'store.db'}")

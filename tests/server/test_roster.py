"""Keys that count, keys that were replaced, sites that were revoked."""

import socket
import urllib.request

import pytest
from hospitals import FakeHospital, clock

from cordon_common.enrolment import EnrolmentRequest
from cordon_common.errors import SystemFault, UsageError
from cordon_common.ledger.entries import SiteKeyRotated, SiteRevoked
from cordon_common.signing import SigningKey
from cordon_server.coordinator import open_coordinator
from cordon_server.home import CoordinatorSettings, create_home
from cordon_server.metrics import CoordinatorCollector, serve_metrics
from cordon_server.studies import log_enrolment, log_revocation, with_roster

IDENTITY = str(SigningKey.generate().public)


def request(node, *, serial=0, identity=IDENTITY, site="north"):
    line = f"ecdsa-sha2-nistp384 {node}"
    return EnrolmentRequest(site=site, identity_key=identity, supernode_key=line, serial=serial)


@pytest.fixture
def coordinator(tmp_path):
    settings = CoordinatorSettings(name="consortium", address="127.0.0.1:18443")
    home = create_home(tmp_path / "home", settings, clock)
    with open_coordinator(home.root, clock) as opened:
        yield opened


def refused(code, action):
    with pytest.raises(UsageError) as caught:
        action()
    assert caught.value.code == code


def test_a_known_identity_replaces_its_supernode_key_and_the_old_one_is_withdrawn(coordinator):
    store = coordinator.store
    store.add_site(request("old"), clock)
    rotated = store.add_site(request("new", serial=1), clock)
    assert rotated.supernode_key.endswith("new")
    assert store.withdrawn_keys() == {"ecdsa-sha2-nistp384 old"}
    log_enrolment(coordinator, rotated)
    logged = [b for b in coordinator.log.bodies_from(0) if isinstance(b, SiteKeyRotated)]
    assert [(b.site, b.serial) for b in logged] == [("north", 1)]


def test_an_old_request_cannot_bring_an_old_key_back(coordinator):
    store = coordinator.store
    store.add_site(request("first"), clock)
    store.add_site(request("second", serial=1), clock)
    refused("US072", lambda: store.add_site(request("third", serial=1), clock))
    refused("US071", lambda: store.add_site(request("first", serial=2), clock))
    assert store.sites()[0].supernode_key.endswith("second")


def test_a_revoked_site_is_gone_from_the_roster_for_ever(coordinator):
    store = coordinator.store
    store.add_site(request("node"), clock)
    for _ in range(2):
        log_revocation(coordinator, store.revoke_site("north", clock))
    assert store.sites() == ()
    assert store.withdrawn_keys() == {"ecdsa-sha2-nistp384 node"}
    refused("US071", lambda: store.add_site(request("node"), clock))
    refused("US071", lambda: store.add_site(request("fresh", serial=5), clock))
    logged = [b for b in coordinator.log.bodies_from(0) if isinstance(b, SiteRevoked)]
    assert [body.identity_key for body in logged] == [IDENTITY]


def test_a_revoked_name_may_come_back_with_keys_of_its_own_only(coordinator):
    store = coordinator.store
    store.add_site(request("node"), clock)
    store.revoke_site("north", clock)
    newcomer = str(SigningKey.generate().public)
    refused("US071", lambda: store.add_site(request("node", identity=newcomer), clock))
    again = store.add_site(request("other", identity=newcomer), clock)
    assert (again.revoked_at, again.identity_key) == ("", newcomer)
    assert store.withdrawn_keys() == {"ecdsa-sha2-nistp384 node"}


def test_revoking_nobody_says_so(coordinator):
    refused("US024", lambda: coordinator.store.revoke_site("nowhere", clock))


def test_no_study_is_signed_for_a_revoked_site(coordinator, tmp_path):
    hospital = FakeHospital("north", tmp_path)
    site = EnrolmentRequest(
        site="north", identity_key=str(hospital.key.public), supernode_key=hospital.node_line
    )
    coordinator.store.add_site(site, clock)
    coordinator.store.revoke_site("north", clock)
    from hospitals import study_value

    from cordon_common.protocol.parse import parse_model
    from cordon_common.protocol.study import Study

    roster = [{"site": "north", "key": site.identity_key, "expected_patients": 100}]
    value = study_value(roster, min_sites=1)
    draft = parse_model(Study, value, code="PR001", what="test study")
    refused("US024", lambda: with_roster(draft, coordinator.store.sites()))
    hospital.ledger.close()


def test_metrics_count_sites_and_log_and_name_no_site(coordinator):
    store = coordinator.store
    store.add_site(request("a"), clock)
    store.add_site(
        request("b", identity=str(SigningKey.generate().public), site="canary-clinic"), clock
    )
    store.revoke_site("north", clock)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in CoordinatorCollector(coordinator).collect()
        for sample in family.samples
    }
    assert samples["cordon_up",] == 1
    assert samples["cordon_sites", "enrolled"] == 1
    assert samples["cordon_sites", "revoked"] == 1
    assert samples["cordon_sites", "online"] == 0
    assert samples["cordon_log_entries",] == 1
    assert "canary-clinic" not in str(samples)


def test_metrics_are_served_and_a_port_in_use_says_so(coordinator):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemFault, match="SY071"):
            serve_metrics(CoordinatorCollector(coordinator), port)
    server = serve_metrics(CoordinatorCollector(coordinator), port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"\ncordon_up 1.0\n" in answer.read()
    finally:
        server.shutdown()
        server.server_close()

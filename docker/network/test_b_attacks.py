"""Attacks on a running consortium: each is refused and logged, and costs no data and no budget."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from attacks import (
    CONTROL,
    RUNTIME,
    TALLY,
    TRICKS,
    calls,
    hostile_requests,
    ledger_of,
    refusal,
    tally,
    variations,
)
from firewalled import OPERATORS, PORT, SERVER, SITES, sh


@pytest.mark.parametrize(
    ("what", "paths"),
    [
        ("submit a FAB and other control calls from a hospital", CONTROL),
        ("runtime calls from a hospital", RUNTIME),
        ("paths that wind into the control API", TRICKS),
        ("descriptions of the APIs", ["/docs", "/openapi.json", "/redoc", "/", "/metrics"]),
    ],
)
def test_a_hospitals_address_opens_the_fleet_api_alone(consortium, what, paths):
    before = consortium.log("proxy").count('"status":"4')
    requests = [(method, path, 64) for path in paths for method in ("POST", "GET")]
    answers = calls(consortium, "north", PORT, requests)
    refused = sum(isinstance(a, int) and 400 <= a < 500 for a in answers)
    logged = consortium.log("proxy").count('"status":"4') >= before + len(answers)
    tally(what, len(answers), refused, logged)


def test_the_control_port_wants_a_certificate_of_this_ca_and_the_token(consortium):
    from cordon_server.transport.tls import TlsFiles, create_ca, create_client_certificate

    before = consortium.log("proxy").count('"status":"400"')
    listing = [("POST", path, 0) for path in CONTROL]
    own = {"cert": consortium.folder / "ops.crt", "key": consortium.folder / "ops.key"}
    stranger = TlsFiles.at(consortium.folder / "stranger")
    create_ca(stranger, name="stranger")
    create_client_certificate(
        stranger,
        "ops",
        stranger.ca_certificate.with_name("x.crt"),
        stranger.ca_key.with_name("x.key"),
    )
    foreign = {
        "cert": consortium.folder / "stranger" / "x.crt",
        "key": consortium.folder / "stranger" / "x.key",
    }
    answers = calls(consortium, "hub", OPERATORS, listing)
    answers += calls(consortium, "hub", OPERATORS, listing, **foreign)
    answers += calls(consortium, "hub", OPERATORS, listing, **own, token="wrong")
    token = (consortium.coordinator / "control-token").read_text().strip()
    right = calls(
        consortium, "hub", OPERATORS, [("POST", "/v1/control/list-nodes", 0)], **own, token=token
    )
    assert right == [200]  # the door does open for whom it should
    refused = sum(answer in {400, 401} for answer in answers)
    logged = consortium.log("proxy").count('"status":"400"') >= before + 2 * len(listing)
    tally(
        "control port without certificate, with a foreign one, without the token",
        len(answers),
        refused,
        logged,
    )


def test_the_fleet_api_wants_an_enrolled_key(consortium):
    fleet = [
        f"/v1/fleet/{call}"
        for call in (
            "activate-node",
            "pull-messages",
            "push-messages",
            "get-run",
            "get-fab",
            "pull-object",
            "push-object",
        )
    ]
    before = consortium.log("proxy").count('"status":"4')
    answers = calls(consortium, "north", PORT, [("POST", path, 32) for path in fleet])
    refused = sum(isinstance(a, int) and 400 <= a < 500 for a in answers)
    tally(
        "fleet calls without a key",
        len(answers),
        refused,
        consortium.log("proxy").count('"status":"4') >= before + len(answers),
    )


def test_an_unregistered_key_is_refused(consortium):
    impostor = consortium.folder / "impostor"
    shutil.copytree(
        consortium.site("north") / "gateway",
        impostor / "gateway",
        ignore=shutil.ignore_patterns("flwr", "node-id", "supernode*", "*.lock"),
    )
    (impostor / "run").mkdir()
    from cordon_client.gateway.node_key import create_node_key

    create_node_key(impostor / "gateway" / "supernode")
    done = sh(
        *consortium.net.inside(
            "south", sys.executable, "-m", "cordon_common.cli.main", "site", "gateway", impostor
        ),
        check=False,
        timeout=120,
    )
    tally(
        "a gateway with a key that nobody enrolled",
        1,
        int(done.returncode == 4),
        "NE005" in done.stderr,
    )


# -- a gateway replaced by hostile code, on the vault's own socket ---------------------------------


@pytest.fixture
def vault(consortium):
    from cordon_client.gateway.vault_client import VaultClient

    client = VaultClient(consortium.site("north") / "run" / "vault.sock", timeout_s=60)
    yield client
    client.close()


def test_a_hostile_gateway_gets_a_code_and_nothing_else(consortium, vault):
    digest = consortium.study("clean")["digest"]
    before = ledger_of(consortium, "north")
    requests = list(hostile_requests(digest))
    codes = [refusal(vault, rpc, data) for rpc, data in requests]
    after = ledger_of(consortium, "north")
    charged = [e for e in after[len(before) :] if b"release.reserved" in e]
    assert charged == []
    assert "SY999" not in codes, [requests[i] for i, c in enumerate(codes) if c == "SY999"][:3]
    refused = sum(code is not None for code in codes)
    logged = any(b"request.refused" in entry for entry in after[len(before) :])
    tally("hostile arguments to every call of the vault", len(codes), refused, logged)


def test_a_replayed_request_gets_the_stored_answer_and_no_new_draw(consortium, vault):
    from cordon_common.wire import ReleaseReply, ReleaseRequest, Slot, decode, encode, with_witness
    from cordon_server.coordinator import open_coordinator

    study = consortium.study("clean")
    digest, run = study["digest"], study["campaign"]
    with open_coordinator(consortium.coordinator) as coordinator:
        offer = coordinator.log.offers.make(digest, run, ["north"])["north"]
        other = coordinator.log.offers.make(digest, "another-run", ["north"])["north"]
    before = ledger_of(consortium, "north")
    slot = Slot(study=digest, run=run, phase="qc", round=0)
    replies = [
        decode(vault.call("qc", with_witness(ReleaseRequest(slot=slot), offer)))[0]
        for _ in range(20)
    ]
    assert all(isinstance(reply, ReleaseReply) for reply in replies)
    assert len({reply.release_digest for reply in replies}) == 1
    fresh = slot.model_copy(update={"run": "another-run"})
    code = refusal(vault, "qc", with_witness(ReleaseRequest(slot=fresh), other))
    bare = refusal(vault, "qc", encode(ReleaseRequest(slot=fresh), {}))
    charged = [e for e in ledger_of(consortium, "north")[len(before) :] if b"release.reserved" in e]
    assert charged == []
    tally(
        "20 replays of a paid request, and the same under another run",
        22,
        20 + (code is not None) + (bare is not None),
        f"code={code}" in consortium.log("north-vault"),
    )


def test_an_oversized_request_is_refused_before_it_is_read(consortium, vault):
    from cordon_client.gateway import vault_client
    from cordon_common.rpc.vault_pb2 import Chunk

    def flood():
        yield Chunk(data=b"x" * (1 << 20), total_bytes=1 << 40)
        while True:
            yield Chunk(data=b"x" * (1 << 20))

    import grpc

    codes = []
    for rpc in ("Describe", "Qc", "Train", "Evaluate", "Receipts"):
        with pytest.raises(grpc.RpcError) as caught:
            list(getattr(vault._vault, rpc)(flood(), timeout=30))
        codes.append(caught.value.details())
    assert vault_client.RPCS
    tally(
        "streams that announce a terabyte",
        len(codes),
        codes.count("PR006"),
        "PR006" in consortium.log("north-vault"),
    )


def test_ten_thousand_requests_change_neither_budget_nor_readiness(consortium, vault):
    from cordon_common.wire import ReleaseRequest, Slot, encode

    digest = consortium.study("clean")["digest"]
    before = ledger_of(consortium, "north")

    def one(number):
        slot = Slot(study=digest, run=f"flood-{number}", phase="train", round=number)
        return refusal(vault, "train", encode(ReleaseRequest(slot=slot), {})) is not None

    with ThreadPoolExecutor(8) as pool:
        refused = sum(pool.map(one, range(10_000)))
    grown = ledger_of(consortium, "north")[len(before) :]
    assert len(grown) <= 40, len(grown)
    assert not [entry for entry in grown if b"release.reserved" in entry]
    assert vault.ready()
    logged = any(b"request.refused" in entry or b"checkpoint.refused" in entry for entry in grown)
    tally("10,000 requests for slots that nobody planned", 10_000, refused, logged)


# -- a coordinator that wants more than was agreed -------------------------------------------------


def test_a_coordinator_that_weakens_a_study_is_refused_at_the_desk_and_by_the_vault(
    consortium, vault
):
    from cordon_common.canonical import canonical_bytes
    from cordon_common.protocol.parse import STUDY_TYPE
    from cordon_common.signing import SigningKey, seal
    from cordon_common.wire import DescribeRequest, encode

    signed = json.loads((consortium.folder / "clean.signed.json").read_bytes())
    key = SigningKey.load(consortium.coordinator / "keys" / "signing.pem")
    before = ledger_of(consortium, "north")
    tried = refused = 0
    for what, payload in variations(signed["payload"]):
        envelope = seal(key, STUDY_TYPE, payload)
        file = consortium.folder / "worse.json"
        file.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
        desk = consortium.cordon(
            "site", "approve", consortium.site("north"), file, "--yes", check=False
        )
        code = refusal(
            vault, "describe", encode(DescribeRequest(study=envelope.digest, run="x"), {})
        )
        tried, refused = tried + 2, refused + (desk.returncode != 0) + (code is not None)
        assert desk.returncode in {1, 2, 3}, (what, desk.stderr)
    renamed = json.loads(json.dumps(signed["payload"]))  # same name and version, another protocol
    renamed["training"]["rounds"] = 3
    envelope = seal(key, STUDY_TYPE, renamed)
    code = refusal(vault, "describe", encode(DescribeRequest(study=envelope.digest, run="x"), {}))
    tried, refused = tried + 1, refused + (code is not None)
    grown = ledger_of(consortium, "north")[len(before) :]
    assert not [entry for entry in grown if b"study.approved" in entry]
    tally(
        "a coordinator raises epsilon, lowers sigma, outlives its permit, changes the protocol",
        tried,
        refused,
        any(b"request.refused" in e for e in grown),
    )


def test_a_second_coordinator_of_the_same_name_is_refused(consortium):
    twin = consortium.folder / "twin"
    consortium.cordon(
        "coordinator", "init", twin, "--name", "consortium", "--address", f"{SERVER}:{PORT}"
    )
    request = consortium.site("north") / "enrolment-request.json"
    kit = consortium.folder / "twin.kit.json"
    consortium.cordon("coordinator", "enrol", request, "-o", kit, "--home", twin)
    joined = consortium.cordon("site", "join", consortium.site("north"), kit, check=False)
    study = json.loads((consortium.folder / "clean.signed.json").read_bytes())["payload"]
    from cordon_common.canonical import canonical_bytes
    from cordon_common.protocol.parse import STUDY_TYPE
    from cordon_common.signing import SigningKey, seal

    envelope = seal(SigningKey.load(twin / "keys" / "signing.pem"), STUDY_TYPE, study)
    file = consortium.folder / "twin.signed.json"
    file.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    approved = consortium.cordon(
        "site", "approve", consortium.site("north"), file, "--yes", check=False
    )
    refused = ("US073" in joined.stderr) + ("PR003" in approved.stderr)
    tally(
        "another coordinator under the same name: its kit and its study",
        2,
        refused,
        bool(joined.stderr and approved.stderr),
    )


def test_a_revoked_hospital_is_refused_at_its_next_message(consortium):
    consortium.cordon(
        "coordinator", "revoke", "south", "--yes", "--home", consortium.coordinator, at="hub"
    )
    consortium.running["south-gateway"].wait(90)
    told = consortium.log("south-gateway")
    del consortium.running["south-gateway"]
    seen = '"from":"10.77.0.13"' in consortium.log("proxy")
    tally("a revoked hospital's next message", 1, int("NE005" in told), seen)
    again = sh(
        *consortium.net.inside(
            "south",
            sys.executable,
            "-m",
            "cordon_common.cli.main",
            "site",
            "gateway",
            consortium.site("south"),
        ),
        check=False,
        timeout=120,
    )
    tally(
        "a revoked hospital that starts again",
        1,
        int(again.returncode == 4),
        "NE005" in again.stderr,
    )
    request = consortium.site("south") / "enrolment-request.json"
    done = consortium.cordon(
        "coordinator", "enrol", request, "--home", consortium.coordinator, at="hub", check=False
    )
    tally("a revoked hospital that enrols again", 1, int("US071" in done.stderr), bool(done.stderr))


def test_no_record_left_in_all_of_this_and_the_table(consortium):
    """Lines of the cohorts, and long values in them, searched for in everything outside the sites."""
    canaries = set()
    for site in SITES:
        for line in (consortium.folder / "data" / f"{site}.csv").read_text().splitlines()[1:]:
            canaries |= {line.encode(), line.split(",")[0].encode() + b","}
    outside = [p for p in consortium.coordinator.rglob("*") if p.is_file()]
    outside += list(consortium.folder.glob("*.log")) + list(consortium.folder.glob("*.zip"))
    lost = sum(canary in text for text in (p.read_bytes() for p in outside) for canary in canaries)
    print(
        "\n\n  attack                                                                              tried refused logged"
    )
    for what, tried, refused, logged in TALLY:
        print(f"  {what:<82} {tried:>6} {refused:>7} {'yes' if logged else 'NO':>6}")
    total = sum(row[1] for row in TALLY)
    print(f"  {'all':<82} {total:>6} {sum(row[2] for row in TALLY):>7}")
    print(f"  attacks tried {total}, refused {sum(row[2] for row in TALLY)}, data lost {lost}")
    assert len(TALLY) >= 15
    assert lost == 0

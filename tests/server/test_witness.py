"""A whole campaign under witnesses: every step is cosigned, a bad cosignature or log is refused."""

import pytest

from cordon_common.errors import CheckFailed
from cordon_common.ledger.checkpoint import Checkpoint, cosigner_name, open_cosignature
from cordon_common.ledger.coordinator import CoordinatorLog, coordinator_origin
from cordon_common.ledger.entries import (
    SITE_KINDS,
    CampaignStarted,
    CheckpointRefused,
    parse_entry,
)
from cordon_common.ledger.merkle import leaf_hash, root
from cordon_common.wire import decode_head, encode, split
from cordon_server.campaign import drive


def cosigned(federation):
    return federation.log_bodies("checkpoint.cosigned.v1")


def test_every_site_cosigns_the_log_before_every_step(federation):
    federation.run()
    entries = federation.log.log.entries()
    leaves = [leaf_hash(data) for data in entries]
    bodies = cosigned(federation)
    steps = len(federation.network.asked)
    assert steps == 8  # the cosignatures cost no message of their own
    for site, hospital in federation.hospitals.items():
        own = [body for body in bodies if body.site == site]
        assert len(own) == steps
        assert [body.size for body in own] == sorted({body.size for body in own})
        for body in own:
            point = Checkpoint(
                coordinator_origin("consortium"), body.size, root(leaves[: body.size])
            )
            open_cosignature(body.cosignature, point, cosigner_name(site), hospital.key.public)
        (standing,) = hospital.ledger.witness.standings()
        assert standing.alarm is None
        assert standing.sight.checkpoint.size == own[-1].size


def without(message):
    return None


def forged(message):
    return message.cosignature[:-8] + "AAAAAA=\n"


@pytest.mark.parametrize("line", [without, forged])
def test_an_answer_without_the_sites_cosignature_is_not_used(federation, line):
    def fault(rpc, request, reply):
        message = decode_head(reply)
        changed = message.model_copy(update={"cosignature": line(message)})
        return encode(changed) + split(reply)[1]

    federation.network.faults["south"] = fault
    federation.run()
    codes = {event.code for event in federation.events("site.failed") if event.site == "south"}
    assert codes == {"IN117"}
    assert all(body.site != "south" for body in cosigned(federation))


def test_a_coordinator_that_rewrites_its_log_is_refused_by_every_site(federation, tmp_path):
    """The log is lost and begun anew under the same key: nobody trains for it any more."""
    running = federation.open()
    anew = CoordinatorLog.open(
        tmp_path / "anew.db",
        key=federation.home.signing_key(),
        name="consortium",
        clock=federation.coordinator.clock,
        create=True,
    )

    for number in range(2):
        anew.append(CampaignStarted(study=running.digest, run=f"anew-{number}", software={}))

    def swap(number, rpc):
        if number == 3:
            object.__setattr__(running, "offers", anew.offers)

    federation.network.before = swap
    with pytest.raises(CheckFailed, match="CK020") as caught:
        drive(running)
    assert "IN112" in caught.value.why
    for hospital in federation.hospitals.values():
        bodies = [parse_entry(data, SITE_KINDS).body for data in hospital.ledger.log.entries()]
        refusals = [body for body in bodies if isinstance(body, CheckpointRefused)]
        assert {body.code for body in refusals} == {"IN112"}
        assert hospital.ledger.witness.standings()[0].alarm.code == "IN112"
    anew.close()

"""What the hospitals witnessed: forks, rewrites and split views are caught by the bundles alone."""

from __future__ import annotations

import pytest

from cordon_common.errors import IntegrityError
from cordon_common.ledger.checkpoint import Checkpoint, sign_checkpoint
from cordon_common.ledger.coordinator import CoordinatorLog, coordinator_origin
from cordon_common.ledger.entries import CampaignStarted
from cordon_common.ledger.offer import WitnessOffer


def start(consortium, name):
    return CampaignStarted(study=consortium.study.digest, run=name, software={})


@pytest.fixture
def shadow(consortium):
    """Another log under the coordinator's key, for the eyes of one hospital."""
    log = CoordinatorLog.open(
        consortium.folder / "shadow.db",
        key=consortium.coordinator_key,
        name="consortium",
        clock=consortium.log.log.clock,
        create=True,
    )
    yield log
    log.close()


def test_every_hospital_saw_the_coordinators_log_before_every_step(finished):
    result = finished.audit(*sorted(finished.folder.glob("*.zip")))
    rows = {row.check: row for part in result.result.parts for row in part.rows}
    assert result.verdict == "PASS"
    assert rows["witness"].evidence == "6 heads of 1 logs"
    assert rows["cosignatures"].evidence == "18 cosignatures by 3 hospitals"
    assert rows["heads"].evidence.startswith("18 heads")
    assert rows["cosigned"].evidence == "18 cosignatures found"


def test_a_hospital_that_was_shown_another_log_finds_out_by_the_bundles(consortium, shadow):
    """A split view from the first message on: no single site can see it, the auditor does."""
    shadow.append(start(consortium, "shadow"))
    honest = consortium.log
    consortium.log = shadow
    consortium.look("north", consortium.slot("qc"))
    consortium.log = honest
    honest.append(start(consortium, "honest"))
    consortium.campaign(sites=("east", "west"))
    result = consortium.audit(consortium.export())
    assert ("all together", "heads") in result.failed
    assert "forked" in result.together("heads").evidence


def test_two_signed_heads_in_a_ledger_prove_a_fork_without_the_coordinator(consortium, shadow):
    honest = consortium.log
    honest.append(start(consortium, "honest"))
    consortium.look("north", consortium.slot("qc"))
    shadow.append(start(consortium, "shadow"))
    consortium.log = shadow
    with pytest.raises(IntegrityError, match="IN111"):
        consortium.look("north", consortium.slot("qc"))
    consortium.log = honest
    result = consortium.audit(consortium.export()["north"])
    assert ("site north", "witness") in result.failed
    (row,) = [row for row in result.result.parts[0].rows if row.check == "witness"]
    assert "signed two different logs of 2 entries" in row.evidence


def test_a_log_that_could_not_be_followed_is_not_proven_until_it_can(consortium):
    consortium.look("north", consortium.slot("qc"))
    point = Checkpoint(coordinator_origin("consortium"), 99, bytes(32))
    offer = WitnessOffer(checkpoint=sign_checkpoint(point, consortium.coordinator_key))
    slot = consortium.slot("qc")
    witness = consortium.ledgers["north"].witness
    with pytest.raises(IntegrityError, match="IN112"):
        witness.see(slot.study, slot.run, offer, slot)
    assert ("site north", "witness") in consortium.audit(consortium.export()["north"]).unproven
    consortium.look("north", slot)
    assert ("site north", "witness") not in consortium.audit(consortium.export()["north"]).unproven


def test_a_log_that_was_rewritten_is_caught_by_its_cosignatures(bundles, consortium):
    """The owner changes an old entry and signs everything again; the cosignatures remember."""

    def rewrite(entries):
        at = consortium.of_kind(entries, "gate.decided.v1")[0]
        entries[at]["body"]["excluded"] = {"north": ["CK022"]}
        return entries

    consortium.forge("coordinator", rewrite)
    caught = consortium.audit(bundles).failed
    assert ("coordinator consortium", "cosignatures") in caught
    assert ("all together", "heads") in caught


def test_a_cosignature_by_nobody_is_caught(bundles, consortium):
    def forge(entries):
        at = consortium.of_kind(entries, "checkpoint.cosigned.v1")[-1]
        entries[at]["body"]["site"] = "north" if entries[at]["body"]["site"] != "north" else "east"
        return entries

    consortium.forge("coordinator", forge)
    assert ("coordinator consortium", "cosignatures") in consortium.audit(bundles).failed


def test_a_coordinator_that_drops_the_cosignatures_proves_nothing(bundles, consortium):
    def drop(entries):
        return [entry for entry in entries if entry["kind"] != "checkpoint.cosigned.v1"]

    consortium.forge("coordinator", drop)
    result = consortium.audit(bundles["coordinator"])
    assert ("coordinator consortium", "cosignatures") in result.unproven


def test_a_hospital_that_forgets_what_it_cosigned_is_caught(bundles, consortium):
    def forget(entries):
        at = consortium.of_kind(entries, "checkpoint.witnessed.v1")[-1]
        return entries[:at]

    consortium.forge("north", forget)
    assert ("all together", "cosigned") in consortium.audit(bundles).failed


def test_a_release_without_a_look_at_the_log_is_caught(bundles, consortium):
    def blind(entries):
        at = consortium.of_kind(entries, "checkpoint.witnessed.v1")[2]
        return [*entries[:at], *entries[at + 1 :]]

    consortium.forge("north", blind)
    assert ("site north", "witness") in consortium.audit(bundles["north"]).failed


def test_a_bundle_older_than_what_a_hospital_saw_proves_nothing(bundles, consortium):
    def older(entries):
        return entries[: consortium.of_kind(entries, "round.aggregated.v1")[0]]

    consortium.forge("coordinator", older)
    assert ("all together", "heads") in consortium.audit(bundles).unproven

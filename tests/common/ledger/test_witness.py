"""A site as witness: an honest log is followed for ever, any other is refused and noted."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pair import Pair

from cordon_common.canonical import digest
from cordon_common.errors import PolicyRefused
from cordon_common.ledger import merkle
from cordon_common.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    sign_checkpoint,
)
from cordon_common.ledger.coordinator import coordinator_origin
from cordon_common.ledger.entries import (
    CheckpointRefused,
    CheckpointWitnessed,
)
from cordon_common.ledger.offer import Growth, WitnessOffer, hash_texts
from cordon_common.ledger.offers import cosigned_entry
from cordon_common.signing import SigningKey, seal


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


# -- an honest log is followed ---------------------------------------------------------------------


class Step:
    GROW, LOST_BEFORE, LOST_AFTER, ANSWERED, RESTART = range(5)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.integers(0, 4), max_size=12))
def test_an_honest_coordinator_is_never_refused_whatever_is_lost_on_the_way(
    steps, tmp_path_factory
):
    """Requests and answers are lost, both sides restart: the next offer still connects."""
    pair = Pair(tmp_path_factory.mktemp("honest"))
    for number, step in enumerate(steps):
        slot = pair.slot(number)
        if step == Step.GROW:
            pair.grow(3)
        elif step == Step.RESTART:
            pair.ledger.close()
            pair.log.close()
            pair.ledger, pair.log = pair.open_site(), pair.open_log("log.db")
        else:
            offer = pair.offer()
            if step == Step.LOST_BEFORE:
                pair.log.append(pair.failed(slot))
                continue
            line = pair.see(offer, slot)
            receipt = pair.release(slot)
            if step == Step.ANSWERED:
                pair.log.append_all(
                    [
                        pair.received(receipt),
                        cosigned_entry("north", pair.site_key.public, offer, line),
                    ]
                )
            else:
                pair.log.append(pair.failed(slot))
    assert pair.exchange() > 0
    assert pair.noted(CheckpointRefused) == []
    (standing,) = pair.ledger.witness.standings()
    assert standing.alarm is None
    assert standing.coordinator == pair.coordinator.public
    pair.ledger.close()
    pair.log.close()


def test_what_was_seen_survives_a_restart_and_is_noted_once(pair):
    size = pair.exchange()
    offer = pair.offer()
    first, again = pair.see(offer), pair.see(offer)
    assert first == again
    notes = [body.checkpoint for body in pair.noted(CheckpointWitnessed)]
    assert len(notes) == 2
    pair.ledger.close()
    pair.ledger = pair.open_site()
    (standing,) = pair.ledger.witness.standings()
    assert standing.sight.note == notes[-1]
    assert standing.sight.checkpoint.size == size + 1


def test_an_older_message_that_arrives_late_is_answered_and_noted_no_more(pair):
    old = pair.offer()
    line = pair.see(old)
    pair.grow(2)
    pair.exchange()
    assert pair.see(old) == line
    assert pair.ledger.witness.standings()[0].sight.checkpoint.size > 1


def test_a_second_study_of_the_coordinator_is_the_same_log(pair):
    pair.exchange()
    other = seal(pair.coordinator, "cordon.study.v1", {"name": "heart"})
    pair.ledger.approve(other, {})
    offer = pair.log.offers.make(other.digest, "run-9", ["north"])["north"]
    pair.ledger.witness.see(other.digest, "run-9", offer, None)
    assert len(pair.ledger.witness.standings()) == 1


# -- any other is refused --------------------------------------------------------------------------


def test_a_rolled_back_log_is_refused(pair):
    old = pair.offer()
    pair.grow(5)
    pair.exchange()
    pair.grow(1)
    pair.exchange()
    rolled_back = pair.open_log("other.db")
    pair.grow(3, rolled_back)
    assert pair.refused(pair.offer(rolled_back)) == "IN112"
    assert old.growths == ()


def test_a_rewritten_log_is_refused_however_long_it_grew(pair):
    pair.grow(3)
    pair.exchange()
    rewritten = pair.open_log("other.db")
    pair.grow(60, rewritten)
    offer = pair.offer(rewritten)
    assert pair.refused(offer) == "IN112"
    size = pair.ledger.witness.standings()[0].sight.checkpoint.size
    tree = merkle.HashTree()
    for data in rewritten.log.entries():
        tree.append(merkle.leaf_hash(data))
    proof = hash_texts(tree.consistency(size, tree.size))
    grown = offer.model_copy(update={"growths": (Growth(since=size, proof=proof),)})
    assert pair.refused(grown) == "IN112"


def test_two_heads_of_one_size_are_a_fork_for_ever(pair):
    pair.grow(3)
    pair.exchange()
    fork = pair.open_log("other.db")
    pair.grow(3, fork)
    assert pair.refused(pair.offer(fork)) == "IN111"
    assert pair.refused(pair.offer()) == "IN111"  # the honest branch too: it signed both
    pair.ledger.close()
    pair.ledger = pair.open_site()
    assert pair.refused(pair.offer()) == "IN111"
    assert pair.ledger.witness.standings()[0].alarm.code == "IN111"
    (seen,) = pair.noted(CheckpointWitnessed)
    evidence = next(body for body in pair.noted(CheckpointRefused) if body.code == "IN111")
    origin = coordinator_origin("consortium")
    heads = [
        open_checkpoint(note, origin, pair.coordinator.public)
        for note in (seen.checkpoint, evidence.offered)
    ]
    assert heads[0].size == heads[1].size
    assert heads[0].root != heads[1].root  # two genuine signatures: a proof for anybody


def test_another_log_under_the_same_key_is_a_fork(pair):
    pair.exchange()
    point = Checkpoint("cordon/coordinator/shadow", 9, bytes(32))
    offer = WitnessOffer(checkpoint=sign_checkpoint(point, pair.coordinator))
    assert pair.refused(offer) == "IN111"


def test_a_good_head_lifts_an_alarm_that_was_no_fork(pair):
    pair.grow(2)
    pair.exchange()
    pair.grow(2)
    without_proof = pair.offer().model_copy(update={"growths": ()})
    assert pair.refused(without_proof) == "IN112"
    assert pair.ledger.witness.standings()[0].alarm.code == "IN112"
    pair.exchange()
    assert pair.ledger.witness.standings()[0].alarm is None


def test_a_release_that_the_log_leaves_out_is_refused(pair):
    slot = pair.slot(0)
    pair.exchange(slot)
    receipt = pair.release(slot)
    assert pair.refused(pair.offer(), pair.slot(1)) == "IN113"
    assert pair.exchange(slot) > 0  # asked for the same release again: its answer was lost
    pair.log.append(pair.received(receipt))
    assert pair.exchange(pair.slot(1)) > 0


def test_a_release_that_is_reported_lost_needs_no_receipt(pair):
    slot = pair.slot(0)
    pair.exchange(slot)
    pair.release(slot)
    pair.log.append(pair.failed(pair.slot(1)))
    assert pair.refused(pair.offer(), pair.slot(2)) == "IN113"
    pair.log.append(pair.failed(slot))
    assert pair.exchange(pair.slot(2)) > 0


def test_a_release_of_a_campaign_that_was_given_up_does_not_stop_the_next(pair):
    pair.exchange(pair.slot(0))
    pair.release(pair.slot(0))
    assert pair.exchange(pair.slot(0, run="run-2"), run="run-2") > 0


def test_an_entry_that_is_not_in_the_tree_proves_nothing(pair):
    slot = pair.slot(0)
    pair.exchange(slot)
    pair.log.append(pair.received(pair.release(slot)))
    offer = pair.offer()
    (told,) = offer.logged
    for change in ({"seq": told.seq - 1}, {"entry": told.entry.replace("train", "qc")}):
        forged = told.model_copy(update=change)
        refused = pair.refused(offer.model_copy(update={"logged": (forged,)}), pair.slot(1))
        assert refused == "IN113"
    assert pair.refused(offer.model_copy(update={"logged": ()}), pair.slot(1)) == "IN113"


def test_a_receipt_forged_in_this_sites_name_is_refused(pair):
    pair.exchange()
    honest = pair.received(pair.release(pair.slot(0)))
    forged = seal(SigningKey.generate(), honest.receipt.type, honest.receipt.payload)
    pair.log.append(honest.model_copy(update={"receipt": forged}))
    assert pair.refused(pair.offer(), pair.slot(1)) == "IN113"


def test_a_site_notices_that_its_own_ledger_was_rolled_back(pair):
    pair.exchange(pair.slot(0))
    backup = (pair.folder / "site.db").read_bytes()
    pair.log.append(pair.received(pair.release(pair.slot(0))))
    pair.exchange(pair.slot(1))
    pair.ledger.close()
    (pair.folder / "site.db").write_bytes(backup)
    pair.ledger = pair.open_site()
    assert pair.refused(pair.offer(), pair.slot(1)) == "IN115"
    assert pair.refused(pair.offer(run="run-2"), pair.slot(1, run="run-2"), "run-2") == "IN115"


@pytest.mark.parametrize(
    "change",
    [
        lambda pair, offer: None,
        lambda pair, offer: offer.model_copy(update={"checkpoint": "no note"}),
        lambda pair, offer: offer.model_copy(
            update={"checkpoint": offer.checkpoint.replace("\n1\n", "\n2\n")}
        ),
        lambda pair, offer: pair.offer(pair.open_log("o.db", SigningKey.generate())),
    ],
)
def test_a_request_without_a_head_signed_by_the_studys_signer_is_refused(pair, change):
    assert pair.refused(change(pair, pair.offer())) == "IN114"


def test_a_study_that_was_not_approved_is_not_witnessed(pair):
    with pytest.raises(PolicyRefused, match="PO111"):
        pair.ledger.witness.see(digest(b"unknown"), "run-1", pair.offer(), None)
    assert pair.noted(CheckpointRefused) == []


def test_refusals_are_noted_and_cannot_fill_the_ledger(pair):
    for _ in range(100):
        assert pair.refused(None) == "IN114"
    counts = [body.count for body in pair.noted(CheckpointRefused)]
    assert counts == [1, 2, 4, 8, 16, 32, 64]


def test_the_offers_that_wait_for_an_answer_are_bounded(pair):
    for _ in range(100):
        pair.grow(1)
        offer = pair.offer()
    assert len(offer.growths) <= 32
    assert pair.see(offer)
    pair.exchange()
    assert len(pair.offer().growths) == 1

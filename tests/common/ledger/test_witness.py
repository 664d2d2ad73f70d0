"""A site as witness: an honest log is followed for ever, any other is refused and noted."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordon_common.canonical import digest
from cordon_common.errors import CordonError, IntegrityError, PolicyRefused
from cordon_common.ledger import merkle
from cordon_common.ledger.checkpoint import (
    Checkpoint,
    cosignature_time,
    cosigner_name,
    key_id,
    open_checkpoint,
    open_cosignature,
    sign_checkpoint,
)
from cordon_common.ledger.coordinator import CoordinatorLog, coordinator_origin
from cordon_common.ledger.entries import (
    SITE_KINDS,
    CampaignStarted,
    CheckpointRefused,
    CheckpointWitnessed,
    ReleaseReceived,
    SiteFailed,
    parse_entry,
)
from cordon_common.ledger.offer import Growth, WitnessOffer, hash_texts
from cordon_common.ledger.offers import cosigned_entry
from cordon_common.ledger.receipt import Receipt
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.events import GaussianRelease
from cordon_common.signing import PublicKey, SigningKey, seal
from cordon_common.wire import Slot

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
RUN = "run-1"
EVENT = GaussianRelease(
    purpose="training",
    population="train",
    noise_multiplier=15.0,
    sensitivity_grid=2.0**32,
    stability=1,
    dimension=31,
)


def ticking():
    seconds = itertools.count()
    return lambda: START + timedelta(seconds=next(seconds))


class Pair:
    """One site's ledger and the coordinator's log, both real, and the messages between them."""

    def __init__(self, folder, key=None):
        self.folder = folder
        self.coordinator = key or SigningKey.generate()
        self.site_key = SigningKey.generate()
        self.study = seal(self.coordinator, "cordon.study.v1", {"name": "breast-cancer"})
        self.ledger = self.open_site(create=True)
        self.ledger.approve(self.study, {})
        self.log = self.open_log("log.db")
        self.filler = itertools.count()

    def open_site(self, create=False):
        return SiteLedger.open(
            self.folder / "site.db",
            key=self.site_key,
            site="north",
            dataset="breast",
            clock=ticking(),
            create=create,
        )

    def open_log(self, name, key=None):
        return CoordinatorLog.open(
            self.folder / name,
            key=key or self.coordinator,
            name="consortium",
            clock=ticking(),
            create=True,
        )

    def slot(self, number=0, phase="train", run=RUN):
        return Slot(study=self.study.digest, run=run, phase=phase, round=number)

    def grow(self, count=1, log=None):
        for _ in range(count):
            body = CampaignStarted(
                study=digest(b"other"), run=f"other-{next(self.filler)}", software={}
            )
            (log or self.log).append(body)

    def offer(self, log=None, run=RUN):
        return (log or self.log).offers.make(self.study.digest, run, ["north"])["north"]

    def see(self, offer, slot=None, run=RUN):
        return self.ledger.witness.see(self.study.digest, run, offer, slot)

    def exchange(self, slot=None, log=None, run=RUN):
        """Show the log, take the cosignature back into it; return the size that was cosigned."""
        log = log or self.log
        offer = self.offer(log, run)
        line = self.see(offer, slot, run)
        entry = cosigned_entry("north", self.site_key.public, offer, line)
        log.append(entry)
        return entry.size

    def release(self, slot):
        """A release at the site; returns its receipt."""
        ticket = self.ledger.reserve(slot, digest(b"request"), EVENT, lambda _charges: None)
        self.ledger.settle(ticket, digest(b"release"), lambda _position: b"reply")
        return self.ledger.receipts(self.study.digest)[-1]

    def received(self, receipt):
        facts = Receipt.model_validate(receipt.payload)
        return ReleaseReceived(
            site="north", slot=facts.slot, release=facts.release_digest, receipt=receipt
        )

    def failed(self, slot, code="TR002"):
        number = slot.round if slot.phase == "train" else 7
        return SiteFailed(
            study=slot.study, run=slot.run, site="north", code=code, phase=slot.phase, round=number
        )

    def refused(self, offer, slot=None, run=RUN):
        with pytest.raises(CordonError) as caught:
            self.see(offer, slot, run)
        return caught.value.code

    def noted(self, kind):
        bodies = [parse_entry(data, SITE_KINDS).body for data in self.ledger.log.entries()]
        return [body for body in bodies if isinstance(body, kind)]


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


# -- formats ---------------------------------------------------------------------------------------


def test_the_cosignature_key_id_is_the_published_one():
    """The key of a public witness, as the tests of transparency.dev's note library give it."""
    raw = base64.b64decode("BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
    assert raw[0] == 4
    assert key_id("remora.n621.de", PublicKey(raw[1:]), b"\x04").hex() == "da77ade7"


@pytest.mark.parametrize(
    ("line", "name", "time_s"),
    [
        (
            "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJ"
            "sX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
            "witness.example.com/w1",
            1679315147,
        ),
        (
            "— TEST ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWW"
            "OworDcFiEBYJXORmnFBOBA==\n",
            "TEST",
            1727964367,
        ),
    ],
)
def test_the_time_of_published_cosignatures_is_read(line, name, time_s):
    """The example of the C2SP tlog-cosignature page, and one of transparency.dev's test vectors."""
    assert cosignature_time(line) == time_s
    point = Checkpoint("example.com/behind-the-sofa", 20852163, bytes(32))
    with pytest.raises(IntegrityError, match="IN001"):
        open_cosignature(line, point, name, SigningKey.generate().public)


def test_a_cosignature_is_over_the_time_and_the_whole_checkpoint(pair):
    """The message of the specification, signed by hand a second time."""
    offer = pair.offer()
    line = pair.see(offer)
    text = offer.checkpoint.rpartition("\n\n")[0] + "\n"
    signed = base64.b64decode(line.rstrip("\n").split(" ")[2])
    time_s = int.from_bytes(signed[4:12])
    message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
    assert signed[12:] == pair.site_key.sign(message)
    assert START.timestamp() <= time_s < START.timestamp() + 60
    point = open_checkpoint(
        offer.checkpoint, coordinator_origin("consortium"), pair.coordinator.public
    )
    name = cosigner_name("north")
    assert open_cosignature(line, point, name, pair.site_key.public) == time_s
    for other in (
        Checkpoint(point.origin, point.size + 1, point.root),
        Checkpoint(point.origin, point.size, bytes(32)),
        Checkpoint("cordon/coordinator/other", point.size, point.root),
    ):
        with pytest.raises(IntegrityError, match="IN001"):
            open_cosignature(line, other, name, pair.site_key.public)
    with pytest.raises(IntegrityError, match="IN001"):
        open_cosignature(line, point, cosigner_name("south"), pair.site_key.public)


@given(st.integers(1, 70), st.data())
def test_the_kept_tree_gives_the_proofs_of_the_definition(count, data):
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(count)]
    tree = merkle.HashTree()
    for leaf in leaves:
        tree.append(leaf)
    size = data.draw(st.integers(1, count))
    old, index = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    assert tree.size == count
    assert tree.root(size) == merkle.root(leaves[:size])
    assert tree.inclusion(index, size) == merkle.inclusion_proof(leaves[:size], index)
    assert tree.consistency(old, size) == merkle.consistency_proof(leaves[:size], old)


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
        pair.ledger.witness.see(digest(b"unknown"), RUN, pair.offer(), None)
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

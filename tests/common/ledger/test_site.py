"""The site's ledger: reserve, settle, repeat, refuse."""

import threading

import pytest

from cordon_common.canonical import digest
from cordon_common.errors import BudgetExhausted, IntegrityError, PolicyRefused
from cordon_common.ledger.entries import (
    SITE_KINDS,
    DataRegistered,
    PolicySet,
    RequestRefused,
    SiteOpened,
    parse_entry,
)
from cordon_common.ledger.receipt import make_receipt, open_receipt
from cordon_common.ledger.site import StoredReply
from cordon_common.signing import SigningKey, seal


def kinds(ledger):
    return [parse_entry(data, SITE_KINDS).kind for data in ledger.log.entries()]


def test_a_repeated_request_gets_the_stored_answer(bench, ledger):
    reply = bench.settle(ledger, bench.reserve(ledger))
    assert bench.reserve(ledger) == StoredReply(reply, digest(b"release"))
    assert ledger.stored_reply(bench.slot(), digest(b"request")) == reply
    assert len(ledger.charges()) == 1


def test_a_reservation_that_never_settled_gives_the_same_ticket_and_no_second_charge(bench, ledger):
    ticket = bench.reserve(ledger)
    ledger.close()
    again = bench.open()
    assert bench.reserve(again) == ticket
    assert [charge.seq for charge in again.charges()] == [ticket.seq]
    assert bench.settle(again, ticket) == b"release|3"


def test_a_slot_answers_one_request_only(bench, ledger):
    ticket = bench.reserve(ledger)
    with pytest.raises(PolicyRefused, match="PO110"):
        bench.reserve(ledger, request=b"other weights")
    bench.settle(ledger, ticket)
    with pytest.raises(PolicyRefused, match="PO110"):
        bench.reserve(ledger, request=b"other weights")
    assert ledger.stored_reply(bench.slot(), digest(b"other weights")) is None
    assert len(ledger.charges()) == 1


def test_an_unapproved_study_gets_nothing(bench, ledger):
    slot = bench.slot(study=digest(b"unknown"))
    with pytest.raises(PolicyRefused, match="PO111"):
        ledger.reserve(slot, digest(b""), bench_event(), lambda _charges: None)
    assert ledger.charges() == []


def test_a_closed_study_gets_nothing_new_but_its_old_answers(bench, ledger):
    bench.settle(ledger, bench.reserve(ledger))
    ledger.close_study(bench.study.digest, "withdrawn")
    ledger.close_study(bench.study.digest, "withdrawn")
    assert ledger.is_closed(bench.study.digest)
    with pytest.raises(PolicyRefused, match="PO112"):
        bench.reserve(ledger, 1)
    assert isinstance(bench.reserve(ledger, 0), StoredReply)
    assert kinds(ledger).count("study.closed.v1") == 1
    with pytest.raises(PolicyRefused, match="PO111"):
        ledger.close_study(digest(b"unknown"), "finished")


def test_a_release_that_was_reserved_before_the_study_closed_is_not_made_after(bench, ledger):
    bench.reserve(ledger)
    ledger.close_study(bench.study.digest, "withdrawn")
    with pytest.raises(PolicyRefused, match="PO112"):
        bench.reserve(ledger)
    assert len(ledger.charges()) == 1


def test_what_admit_refuses_is_not_charged(bench, ledger):
    def admit(charges):
        if len(charges) >= 2:
            raise BudgetExhausted("PO110")

    for round_ in range(2):
        bench.reserve(ledger, round_, admit=admit)
    with pytest.raises(BudgetExhausted):
        bench.reserve(ledger, 2, admit=admit)
    assert len(ledger.charges()) == 2


def test_of_two_racing_for_the_last_of_the_budget_exactly_one_wins(bench, ledger):
    others = [bench.open() for _ in range(4)]
    gate, won, lost = threading.Barrier(len(others)), [], []

    def admit(charges):
        if charges:
            raise BudgetExhausted("PO110")

    def race(index):
        gate.wait()
        try:
            won.append(bench.reserve(others[index], index, admit=admit))
        except BudgetExhausted:
            lost.append(index)

    threads = [threading.Thread(target=race, args=(i,)) for i in range(len(others))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 3)
    assert [charge.seq for charge in ledger.charges()] == [won[0].seq]


def test_settling_twice_returns_the_first_answer(bench, ledger):
    ticket = bench.reserve(ledger)
    first = bench.settle(ledger, ticket, b"first draw")
    assert bench.settle(ledger, ticket, b"second draw") == first
    assert kinds(ledger).count("release.settled.v1") == 1


def test_a_ticket_of_another_ledger_cannot_be_settled(bench, ledger):
    ticket = bench.reserve(ledger)
    forged = type(ticket)(ticket.seq, bench.slot(5), ticket.request_digest, ticket.event)
    with pytest.raises(IntegrityError, match="IN109"):
        bench.settle(ledger, forged)


def test_when_the_reply_cannot_be_made_the_slot_stays_reserved(bench, ledger):
    ticket = bench.reserve(ledger)

    def fail(_position):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ledger.settle(ticket, digest(b"x"), fail)
    assert bench.reserve(ledger) == ticket
    assert kinds(ledger)[-1] == "release.reserved.v1"


def test_receipts_are_the_same_every_time_and_name_the_position(bench, ledger):
    receipts = []
    for round_ in range(3):
        ticket = bench.reserve(ledger, round_)

        def make(position, ticket=ticket):
            receipts.append(
                make_receipt(
                    bench.key,
                    site="north",
                    ticket=ticket,
                    release_digest=digest(b"r"),
                    position=position,
                )
            )
            return b"reply"

        ledger.settle(ticket, digest(b"r"), make)
    bench.reserve(ledger, 9)
    ledger.close()
    assert bench.open().receipts(bench.study.digest) == receipts
    facts = [open_receipt(receipt, bench.key.public) for receipt in receipts]
    assert [(f.seq, f.tree_size) for f in facts] == [(3, 4), (5, 6), (7, 8)]
    assert [f.slot.round for f in facts] == [0, 1, 2]


def test_a_receipt_by_another_key_or_of_another_form_is_refused(bench, ledger):
    ticket = bench.reserve(ledger)
    bench.settle(ledger, ticket)
    (receipt,) = ledger.receipts(bench.study.digest)
    with pytest.raises(IntegrityError, match="IN001"):
        open_receipt(receipt, SigningKey.generate().public)
    with pytest.raises(IntegrityError, match="IN108"):
        open_receipt(seal(bench.key, "cordon.receipt.v1", {"site": "north"}), bench.key.public)


def test_approvals_are_kept_with_the_signed_study(bench, ledger):
    ledger.approve(bench.study, {"epsilon": 99})
    (approval,) = ledger.approvals()
    assert approval.plan == {"epsilon": 2}
    assert ledger.approved(bench.study.digest) == bench.study
    assert ledger.approved(digest(b"unknown")) is None


def test_of_two_approvals_for_the_last_of_the_budget_the_second_sees_the_first(bench, ledger):
    other = seal(bench.key, "cordon.study.v1", {"name": "second"})

    def admit():
        if ledger.approvals():
            raise BudgetExhausted("PO110")

    with pytest.raises(BudgetExhausted):
        ledger.approve(other, {}, admit=admit)
    assert ledger.approved(other.digest) is None


def test_refusals_cannot_fill_the_log(bench, ledger):
    before = len(ledger.log.entries())
    for i in range(1000):
        ledger.refuse(digest(b"unknown %d" % i), "PO111", digest(b"%d" % i))
    bodies = [parse_entry(data, SITE_KINDS).body for data in ledger.log.entries()[before:]]
    assert all(isinstance(body, RequestRefused) and body.study is None for body in bodies)
    assert [body.count for body in bodies] == [2**i for i in range(10)]


def test_refusals_are_counted_on_after_a_restart(bench, ledger):
    for _ in range(5):
        ledger.refuse(bench.study.digest, "BU001", digest(b""))
    ledger.close()
    again = bench.open()
    for _ in range(4):
        again.refuse(bench.study.digest, "BU001", digest(b""))
    bodies = [parse_entry(data, SITE_KINDS).body for data in again.log.entries()[2:]]
    assert [body.count for body in bodies] == [1, 2, 4, 8]


def test_a_policy_is_noted_when_it_changes(bench, ledger):
    policy = PolicySet(
        policy=digest(b"p"),
        lifetime_epsilon=8,
        lifetime_delta=1e-4,
        lifetime_trust_model="local",
        trusted_coordinators=(),
    )
    data = DataRegistered(dataset="breast", fingerprint="hmac-sha256:" + "0" * 64)
    for _ in range(2):
        ledger.record(policy)
        ledger.record(data)
        ledger.record(SiteOpened(software={"cordon-common": "0.1.0"}))
    ledger.record(policy.model_copy(update={"lifetime_epsilon": 9.0}))
    assert kinds(ledger)[2:] == [
        "policy.set.v2",
        "data.registered.v1",
        "site.opened.v1",
        "site.opened.v1",
        "policy.set.v2",
    ]


def bench_event():
    from cordon_common.privacy.events import GaussianRelease

    return GaussianRelease(
        purpose="qc",
        population="all",
        noise_multiplier=1,
        sensitivity_grid=1,
        stability=1,
        dimension=1,
    )

"""Killed at any step, a resumed campaign ends as an undisturbed one: same weights, same charges."""

from __future__ import annotations

import pytest

from cordon_common.errors import SystemFault
from cordon_server import campaign
from cordon_server.journal import Journal


class Killed(BaseException):
    """What SIGKILL looks like from inside: nothing catches it, nothing is tidied up."""


class Fuse:
    """Lets a number of calls of a method through, then kills before or after the next one."""

    def __init__(self, monkeypatch, owner, name, *, after, calls):
        self.left = calls
        honest = getattr(owner, name)

        def method(*arguments, **options):
            if self.left == 0 and not after:
                self.left = -1
                raise Killed
            result = honest(*arguments, **options)
            self.left -= 1
            if self.left == -1 and after:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, method)


def outcome(federation):
    """All that must not depend on when the process died."""
    weights = (
        federation.home.results_dir(federation.campaign_id) / "model.safetensors"
    ).read_bytes()
    charges = {
        site: [charge.slot_key.split("|", 1)[1] for charge in hospital.ledger.charges()]
        for site, hospital in federation.hospitals.items()
    }
    entries = [
        (body.KIND, getattr(body, "site", ""), getattr(body, "round", ""))
        for body in federation.log.bodies_from(0)
        if body.KIND != "campaign.resumed.v1"
    ]
    return weights, charges, entries


@pytest.fixture(scope="module")
def undisturbed(one_federation):
    one_federation.run()
    return outcome(one_federation)


# enrol, qc, gate, four rounds, evaluate, close
STEPS = 9
# describe, qc, four rounds, evaluate, receipts
EXCHANGES = 8
# at the start, behind each of the six phases, and behind each of the four rounds
SETTLEMENTS = 11


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(STEPS))
def test_killed_around_any_commit(make_federation, undisturbed, monkeypatch, step, after):
    two = make_federation("killed")
    Fuse(monkeypatch, Journal, "commit", after=after, calls=step)
    with pytest.raises(Killed):
        two.run()
    two.run()
    assert outcome(two) == undisturbed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("exchange", range(EXCHANGES))
def test_killed_around_any_exchange(make_federation, undisturbed, monkeypatch, exchange, after):
    two = make_federation("killed")
    Fuse(monkeypatch, two.network, "ask", after=after, calls=exchange)
    with pytest.raises(Killed):
        two.run()
    two.run()
    assert outcome(two) == undisturbed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("append", range(STEPS))
def test_killed_around_any_append_to_the_log(
    make_federation, undisturbed, monkeypatch, append, after
):
    two = make_federation("killed")
    Fuse(monkeypatch, two.log, "append_all", after=after, calls=append)
    with pytest.raises(Killed):
        two.run()
    two.run()
    assert outcome(two) == undisturbed


def test_killed_again_and_again(make_federation, undisturbed, monkeypatch):
    two = make_federation("killed")
    kills = 0
    while True:
        with monkeypatch.context() as patch:
            Fuse(patch, Journal, "commit", after=True, calls=1)
            try:
                two.run()
            except Killed:
                kills += 1
                continue
            break
    assert kills >= STEPS - 1
    assert outcome(two) == undisturbed


def test_running_a_finished_campaign_again_changes_nothing(make_federation, undisturbed):
    two = make_federation("again")
    two.run()
    asked = len(two.network.asked)
    running = two.run()
    assert len(two.network.asked) == asked
    assert running.journal.state.status == "finished"
    assert outcome(two) == undisturbed


@pytest.mark.parametrize("last", ["write_results", "settle_log"])
def test_killed_after_the_last_step_it_is_not_called_finished(
    make_federation, undisturbed, monkeypatch, last
):
    two = make_federation("killed")
    with monkeypatch.context() as patch:
        if last == "write_results":
            Fuse(patch, campaign, "write_results", after=False, calls=0)
        else:
            Fuse(patch, Journal, "settle_log", after=False, calls=SETTLEMENTS - 1)
        with pytest.raises(Killed):
            two.run()
    assert two.open().journal.state.phase == "done"
    assert two.open().journal.state.status == "running"
    two.run()
    assert two.open().journal.state.status == "finished"
    assert outcome(two) == undisturbed


def test_a_process_that_was_replaced_can_no_longer_write(federation):
    old = federation.open()
    old.journal.take_over()
    federation.open().journal.take_over()
    with pytest.raises(SystemFault) as caught:
        old.journal.note()
    assert caught.value.code == "SY020"


def test_a_stopped_campaign_goes_on_where_it_stood_once_the_sites_are_back(make_federation):
    trio = make_federation("trio", names=("north", "south", "east"))

    def drop(number, rpc):
        if number == 4:
            trio.network.offline.add("east")

    trio.network.before = drop
    with pytest.raises(Exception, match="CK020"):
        trio.run()
    trio.network.before = None
    trio.network.offline.clear()
    running = trio.run()
    assert running.journal.state.status == "finished"
    assert [b.phase for b in trio.log_bodies("campaign.resumed.v1")] == ["train"]
    assert [b.outcome for b in trio.log_bodies("campaign.closed.v1")] == ["stopped", "finished"]

"""Watching: the store is read, nobody is disturbed, and the end is told."""

from __future__ import annotations

import pytest
from hospitals import FakeTime

from cordon_server.cli.render import campaign_view
from cordon_server.journal import Step
from cordon_server.view import event_line, view_campaign
from cordon_server.watching import QUIET_S, abandoned, follow


def view_of(federation):
    (state,) = federation.store.campaigns()
    return view_campaign(federation.coordinator, state)


def test_before_it_starts_everybody_is_waited_for(federation):
    view = view_of(federation)
    assert (view.status, view.round, view.rounds) == ("ready", 0, 4)
    assert {site.status for site in view.sites} == {"waiting"}
    assert {site.epsilon_pld for site in view.sites} == {0.0}


def test_the_view_follows_sites_rounds_and_cost(federation):
    costs = []
    federation.network.before = lambda number, rpc: costs.append(
        max(site.epsilon_pld for site in view_of(federation).sites)
    )
    federation.network.faults["west"] = lambda rpc, request, reply: (
        "PO101" if rpc == "train" else reply
    )
    federation.run()
    assert costs == sorted(costs)
    assert costs[0] == 0 < costs[2] < costs[-1]
    view = view_of(federation)
    found = {site.site: site for site in view.sites}
    assert found["west"].rounds == 0
    assert found["west"].epsilon_pld < found["east"].epsilon_pld <= 3.0
    assert found["east"].rounds == 4
    assert len(view.seconds) == 4
    assert view.status == "finished"


def test_every_event_has_a_line_for_people(federation):
    federation.network.offline.add("west")
    federation.run()
    events = federation.store.progress_after(federation.campaign_id, 0)
    lines = [event_line(event, 4) for event in events]
    assert "west gave no usable answer in enrol (TR003)" in lines
    assert "round 4 of 4 in 0.0 s with east, north, south" in lines
    assert all("." not in line.split()[0] for line in lines)


def test_following_ends_with_the_campaign(federation):
    federation.run()
    seen = list(follow(federation.coordinator, federation.campaign_id, FakeTime().waiting(), bool))
    ((events, view),) = seen
    assert view.status == "finished"
    assert events[-1].event == "campaign.finished"


def test_following_tells_when_nobody_carries_the_campaign(federation):
    journal = federation.open().journal
    journal.take_over()
    journal.commit(Step(phase="qc"))
    asked = []

    def is_abandoned(state):
        asked.append(state.phase)
        return len(asked) == 2

    time = FakeTime()
    news = list(
        follow(federation.coordinator, federation.campaign_id, time.waiting(), is_abandoned)
    )
    assert news[-1][1].status == "running"
    assert asked == ["qc", "qc"]
    assert time.now >= 2 * QUIET_S


def test_a_campaign_without_a_flower_run_is_carried_by_nobody(federation):
    (state,) = federation.store.campaigns()
    assert abandoned(federation.coordinator, state)
    federation.store.set_flower_run(state.campaign, "77")
    (state,) = federation.store.campaigns()
    assert abandoned(federation.coordinator, state), "its SuperLink does not run"


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_fits_the_terminal(federation, width):
    from rich.console import Console

    federation.run()
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(campaign_view(view_of(federation)))
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "round 4 of 4" in text
    assert all(name in text for name in ("east", "north", "south", "west"))
    console.file.close()

"""An exchange gives every site one reply: an answer, or a code that says why there is none."""

import time

import pytest

from cordon_server.transport import grid as grid_module
from cordon_server.transport.grid import (
    MESSAGE_TYPES,
    SHARED_APART_FROM_BYTES,
    Answer,
    Failure,
    exchange,
    online_nodes,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(grid_module, "POLL_MIN_S", 0.001)
    monkeypatch.setattr(grid_module, "POLL_MAX_S", 0.002)
    monkeypatch.setattr(grid_module, "_NODES_EVERY_S", 0.01)
    monkeypatch.setattr(grid_module, "REJOIN_S", 0.2)


def codes(replies):
    return {node: r.code if isinstance(r, Failure) else "ok" for node, r in replies.items()}


def test_every_site_gets_its_own_request_and_its_reply_comes_back(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(), n3=site())
    requests = {1: b"one", 2: b"two", 3: b"three"}
    replies = exchange(grid, requests, rpc="train", timeout_s=5)
    assert {node: reply.data for node, reply in replies.items()} == requests
    assert all(isinstance(reply, Answer) and reply.elapsed_s < 5 for reply in replies.values())


@pytest.mark.parametrize(("rpc", "message_type"), MESSAGE_TYPES.items())
def test_each_call_has_its_flower_message_type_and_one_message_per_site(
    rpc, message_type, fake_grid, site
):
    grid = fake_grid(n1=site(), n2=site())
    exchange(grid, {1: b"x", 2: b"x"}, rpc=rpc, timeout_s=5)
    assert [m.metadata.message_type for m in grid.received] == [message_type] * 2
    assert [dict(m.content["cordon"]) for m in grid.received] == [{"rpc": rpc, "request": b"x"}] * 2


def test_a_small_shared_end_travels_inside_each_message(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site())
    exchange(grid, {1: b"x", 2: b"y"}, shared=b"weights", rpc="train", timeout_s=5)
    sent = sorted(m.content["cordon"]["request"] for m in grid.received)
    assert sent == [b"xweights", b"yweights"]


def test_a_large_shared_end_is_one_and_the_same_record_in_every_message(fake_grid, site):
    """Flower stores a record by its content: the weights go to the SuperLink once."""
    grid = fake_grid(n1=site(), n2=site())
    weights = bytes(SHARED_APART_FROM_BYTES)
    exchange(grid, {1: b"x", 2: b"y"}, shared=weights, rpc="train", timeout_s=5)
    assert sorted(m.content["cordon"]["request"] for m in grid.received) == [b"x", b"y"]
    records = [m.content["cordon.shared"] for m in grid.received]
    assert [record["shared"] for record in records] == [weights] * 2
    assert len({record.object_id for record in records}) == 1


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ({"refusal": "PO003"}, "PO003"),
        ({"refusal": "patient 42 is odd"}, "TR006"),
        ({"reply": "text"}, "TR006"),
        ({"reply": b"x", "refusal": "no code"}, "TR006"),
        ({}, "TR006"),
        (1, "TR004"),
        (2, "TR004"),
        (3, "TR009"),
        (4, "TR009"),
        (7, "TR004"),
        (8, "TR004"),
    ],
)
def test_each_way_to_fail_has_its_code_and_the_others_go_on(outcome, code, fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(lambda _: outcome))
    replies = exchange(grid, {1: b"x", 2: b"x"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "ok", 2: code}


def test_a_silent_site_times_out_by_itself(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(lambda _: None))
    replies = exchange(grid, {1: b"x", 2: b"x"}, rpc="train", timeout_s=0.1)
    assert codes(replies) == {1: "ok", 2: "TR002"}
    assert replies[2].elapsed_s >= 0.1


def test_a_node_that_is_not_enrolled_is_told_apart(fake_grid, site):
    replies = exchange(fake_grid(n1=site()), {1: b"x", 9: b"x"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "ok", 9: "TR005"}


def test_a_payload_that_flower_refuses_fails_every_site(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site())
    grid.push_messages = lambda _: []
    replies = exchange(grid, {1: b"x", 2: b"x"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "TR005", 2: "TR005"}


def test_a_site_that_stays_offline_fails_after_the_rejoin_time_not_the_whole_timeout(
    fake_grid, site
):
    grid = fake_grid(n1=site(), n2=site(online=False))
    started = time.monotonic()
    replies = exchange(grid, {1: b"x", 2: b"x"}, rpc="train", timeout_s=30)
    assert codes(replies) == {1: "ok", 2: "TR003"}
    assert time.monotonic() - started < 5


def test_a_site_that_comes_back_is_asked_again(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(online=False))

    def rejoin(looks):
        if looks == 3:
            grid.sites[2].online = True
            grid.sites[2].activation += 1

    grid.on_look = rejoin
    replies = exchange(grid, {1: b"x", 2: b"y"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "ok", 2: "ok"}
    assert replies[2].data == b"y"


def test_a_gateway_that_restarted_with_the_message_is_asked_again(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(lambda _: None))

    def restart(polls):
        if polls == 5:
            grid.sites[2].behave = lambda m: {"reply": m.content["cordon"]["request"]}
            grid.sites[2].activation += 1

    grid.on_poll = restart
    replies = exchange(grid, {1: b"x", 2: b"y"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "ok", 2: "ok"}
    assert [m.metadata.dst_node_id for m in grid.received] == [1, 2, 2]


def test_everybody_awaited_is_asked_again_after_the_superlink_was_away(fake_grid, site):
    """It may have died after it had counted a message as delivered and before the node had it."""
    grid = fake_grid(n1=site(), n2=site(lambda _: None))
    grid.interruptions = 4

    def interrupt(polls):
        if polls == 5:
            grid.sites[2].behave = lambda m: {"reply": m.content["cordon"]["request"]}
            grid.interruptions += 2

    grid.on_poll = interrupt
    replies = exchange(grid, {1: b"x", 2: b"y"}, rpc="train", timeout_s=5)
    assert codes(replies) == {1: "ok", 2: "ok"}
    assert [m.metadata.dst_node_id for m in grid.received] == [1, 2, 2]


def test_a_site_that_is_only_slow_is_not_asked_twice(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(lambda _: None))
    exchange(grid, {1: b"x", 2: b"y"}, rpc="train", timeout_s=0.2)
    assert len(grid.received) == 2


def test_it_ends_early_when_the_minimum_can_no_longer_be_reached(fake_grid, site):
    refuse = site(lambda _: {"refusal": "PO003"})
    grid = fake_grid(n1=refuse, n2=refuse, n3=site(lambda _: None))
    started = time.monotonic()
    replies = exchange(grid, {1: b"x", 2: b"x", 3: b"x"}, rpc="train", timeout_s=30, minimum=2)
    assert codes(replies) == {1: "PO003", 2: "PO003", 3: "TR014"}
    assert time.monotonic() - started < 5


def test_a_minimum_that_is_reached_does_not_cut_off_the_others(fake_grid, site):
    grid = fake_grid(n1=site(), n2=site(), n3=site())
    replies = exchange(grid, {1: b"x", 2: b"x", 3: b"x"}, rpc="train", timeout_s=5, minimum=1)
    assert codes(replies) == {1: "ok", 2: "ok", 3: "ok"}


def test_no_requests_give_no_replies(fake_grid):
    assert exchange(fake_grid(), {}, rpc="train", timeout_s=5) == {}


def test_no_text_of_a_failure_is_kept(fake_grid, site):
    replies = exchange(fake_grid(n1=site(lambda _: 2)), {1: b"x"}, rpc="train", timeout_s=5)
    assert "secret" not in repr(replies)


def test_only_connected_sites_are_online(fake_grid, site):
    assert online_nodes(fake_grid(n1=site(), n2=site(online=False), n3=site())) == {1, 3}


def test_polls_slow_down_but_a_held_poll_is_repeated_at_once(fake_grid, site, monkeypatch):
    monkeypatch.setattr(grid_module, "HELD_S", 0.01)
    monkeypatch.setattr(grid_module, "POLL_MIN_S", 0.05)
    monkeypatch.setattr(grid_module, "POLL_MAX_S", 0.1)
    quick_grid = fake_grid(n1=site(lambda _: None))
    exchange(quick_grid, {1: b"x"}, rpc="train", timeout_s=0.5)
    held_grid = fake_grid(n1=site(lambda _: None))
    held_grid.on_poll = lambda _: time.sleep(0.02)
    exchange(held_grid, {1: b"x"}, rpc="train", timeout_s=0.5)
    assert quick_grid.polls <= 10
    assert held_grid.polls >= 15

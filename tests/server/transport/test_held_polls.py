"""A poll waits for news and no longer; nobody's message is taken for a poller that hung up."""

import asyncio
import time

import pytest

from cordon_server.transport import held_polls
from cordon_server.transport.held_polls import HeldPolls

FLEET_POLL, FLEET_HEADER = "/v1/fleet/pull-messages", b"flwr-public-key"
RUNTIME_POLL, RUNTIME_HEADER = "/v1/runtime/pull-messages", b"flwr-task-token"


@pytest.fixture(autouse=True)
def short_hold(monkeypatch):
    monkeypatch.setattr(held_polls, "HOLD_S", 0.5)


class Client:
    """Sends requests to the middleware as uvicorn would; `hang_up` closes the connection."""

    def __init__(self):
        self.served = []
        self.app = HeldPolls(self._serve)
        self._hung_up = asyncio.Event()

    async def _serve(self, scope, receive, send):
        message = await receive()
        self.served.append((scope["path"], message["body"]))

    def hang_up(self):
        self._hung_up.set()

    async def ask(self, path, *, poller=b"a", body=b"request"):
        header = FLEET_HEADER if "fleet" in path else RUNTIME_HEADER
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if unread:
                return unread.pop()
            await self._hung_up.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        started = time.monotonic()
        scope = {"type": "http", "path": path, "headers": [(header, poller)]}
        await self.app(scope, receive, send)
        return time.monotonic() - started


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(Client()), 20))


def test_the_first_poll_is_served_at_once_with_its_body():
    async def scenario(client):
        assert await client.ask(FLEET_POLL, body=b"my request") < 0.2
        assert client.served == [(FLEET_POLL, b"my request")]

    run(scenario)


def test_a_poll_without_news_is_held_for_the_hold_time():
    async def scenario(client):
        await client.ask(FLEET_POLL)
        assert 0.4 < await client.ask(FLEET_POLL) < 1.5

    run(scenario)


@pytest.mark.parametrize(
    ("poll", "push"),
    [
        (FLEET_POLL, "/v1/runtime/push-object"),
        (RUNTIME_POLL, "/v1/fleet/push-object"),
        ("/v1/runtime/acquire-task", "/v1/control/start-run"),
    ],
)
def test_news_end_the_hold_soon(poll, push, monkeypatch):
    monkeypatch.setattr(held_polls, "HOLD_S", 10.0)

    async def scenario(client):
        await client.ask(poll)
        held = asyncio.create_task(client.ask(poll))
        await asyncio.sleep(0.1)
        assert not held.done()
        await client.ask(push)
        assert await held < 1.5

    run(scenario)


def test_news_that_came_between_two_polls_are_not_missed(monkeypatch):
    monkeypatch.setattr(held_polls, "HOLD_S", 10.0)

    async def scenario(client):
        await client.ask(FLEET_POLL, poller=b"a")
        await client.ask(FLEET_POLL, poller=b"b")
        await client.ask("/v1/runtime/push-object")
        assert await client.ask(FLEET_POLL, poller=b"a") < 0.5
        assert await client.ask(FLEET_POLL, poller=b"b") < 0.5

    run(scenario)


def test_news_for_sites_do_not_wake_the_serverapp_and_the_other_way_round():
    async def scenario(client):
        await client.ask(FLEET_POLL)
        await client.ask(RUNTIME_POLL)
        await client.ask("/v1/fleet/push-object")
        assert await client.ask(FLEET_POLL) > 0.4
        assert await client.ask(RUNTIME_POLL) < 0.4

    run(scenario)


def test_a_poller_that_hangs_up_is_not_served(monkeypatch):
    """Otherwise Flower would count its message as delivered, and nobody would ever have it."""
    monkeypatch.setattr(held_polls, "HOLD_S", 10.0)

    async def scenario(client):
        await client.ask(FLEET_POLL)
        held = asyncio.create_task(client.ask(FLEET_POLL))
        await asyncio.sleep(0.1)
        client.hang_up()
        assert await held < 1.5
        await client.ask("/v1/runtime/push-object")
        await asyncio.sleep(0.1)
        assert [path for path, _ in client.served].count(FLEET_POLL) == 1

    run(scenario)


def test_a_burst_of_objects_is_one_piece_of_news(monkeypatch):
    monkeypatch.setattr(held_polls, "HOLD_S", 10.0)

    async def scenario(client):
        await client.ask(FLEET_POLL)
        held = asyncio.create_task(client.ask(FLEET_POLL))
        await asyncio.sleep(0.1)
        for _ in range(5):
            await client.ask("/v1/runtime/push-object")
            await asyncio.sleep(0.005)
        await held
        served_last = [path for path, _ in client.served][-1]
        assert served_last == FLEET_POLL

    run(scenario)


def test_strangers_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(held_polls, "_MAX_POLLERS", 10)

    async def scenario(client):
        for number in range(50):
            await client.ask(FLEET_POLL, poller=str(number).encode())
        assert len(client.app._news[FLEET_POLL]._seen) <= 10

    run(scenario)


def test_other_requests_pass_untouched():
    async def scenario(client):
        assert await client.ask("/v1/fleet/activate-node") < 0.2
        assert await client.ask("/v1/fleet/activate-node") < 0.2

    run(scenario)

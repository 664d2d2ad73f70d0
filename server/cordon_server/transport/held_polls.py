"""Polls that wait at the SuperLink until there is something to fetch, instead of asking in vain.

Flower's nodes and its ServerApp poll for messages, executors poll for runs. Holding a poll back for a moment keeps the protocol as it is
and removes both the waiting between polls and the load of the empty ones.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOLD_S = 2.0
_SETTLE_S = 0.02  # objects of a message follow one another: wake when the burst is over
_SETTLE_LIMIT_S = 0.25
_MAX_POLLERS = 4096
_MAX_BODY_BYTES = 4 << 20

_FLEET_POLL: Final = "/v1/fleet/pull-messages"
_RUNTIME_POLL: Final = "/v1/runtime/pull-messages"
_RUN_POLL: Final = "/v1/runtime/acquire-task"
# Which header tells pollers apart; the ServerApp's process is the only one that asks for runs.
_POLLER_HEADERS: Final = {
    _FLEET_POLL: b"flwr-public-key",
    _RUNTIME_POLL: b"flwr-task-token",
    _RUN_POLL: b"",
}
_NEWS_FOR: Final = {
    "/v1/runtime/push-object": _FLEET_POLL,
    "/v1/fleet/push-object": _RUNTIME_POLL,
    "/v1/control/start-run": _RUN_POLL,
}


class News:
    """Counts arrivals of one kind and lets pollers wait for one that they have not seen."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = asyncio.Event()
        self._seen: dict[bytes, int] = {}

    def announce(self) -> None:
        """Wake everybody who waits."""
        self._count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, poller: bytes, timeout_s: float) -> None:
        """Return once something arrived since this poller's last call, or after `timeout_s`."""
        if self._seen.get(poller, -1) == self._count and await self._arrives(timeout_s):
            settled_at = asyncio.get_running_loop().time() + _SETTLE_LIMIT_S
            while await self._arrives(_SETTLE_S) and self._now() < settled_at:
                pass
        if len(self._seen) >= _MAX_POLLERS:
            self._seen.clear()
        self._seen[poller] = self._count

    async def _arrives(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class HeldPolls:
    """ASGI middleware: holds the three polls for up to `HOLD_S` while there is nothing new.

    A poller that hangs up meanwhile is not served: otherwise its message would count as delivered.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._news = {path: News() for path in _POLLER_HEADERS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a poll, announce an arrival, or just pass the request on."""
        path = scope.get("path", "")
        if path in self._news:
            await self._hold(scope, receive, send)
            return
        await self._app(scope, receive, send)
        if path in _NEWS_FOR:
            self._news[_NEWS_FOR[path]].announce()

    async def _hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        poller = dict(scope["headers"]).get(_POLLER_HEADERS[path], b"")
        body = await _read_body(receive)
        hung_up = asyncio.ensure_future(receive())
        waiting = asyncio.ensure_future(self._news[path].wait(poller, HOLD_S))
        try:
            await asyncio.wait({hung_up, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not hung_up.done():
                await self._app(scope, _replay(body, hung_up), send)
        finally:
            hung_up.cancel()
            waiting.cancel()


async def _read_body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more and len(body) < _MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, afterwards: Awaitable[Message]) -> Callable[[], Awaitable[Message]]:
    unread = [body]

    async def receive() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await asyncio.shield(asyncio.ensure_future(afterwards))

    return receive

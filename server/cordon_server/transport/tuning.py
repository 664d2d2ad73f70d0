"""Less work per request in the SuperLink, with the same answers; measured, see docs/decisions.

Touches Flower's internals (flwr 1.41.0, pinned exactly): `check` fails loudly when they move.
"""

import time
from collections.abc import Callable
from typing import Final

import anyio.to_thread
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from flwr.supercore.routers.runtime.tracing import RuntimeTracingMiddleware
from flwr.superlink.routers.control import middlewares as control
from flwr.superlink.routers.fleet.middlewares import FleetEventLogMiddleware
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from cordon_common.errors import CordonError

CLEANUP_EVERY_S = 1.0
_NOWHERE = "\0"  # no path starts with it: event log and tracing are never switched on here
_PATHS: Final[dict[type[BaseHTTPMiddleware], str]] = {
    control.ControlSensitiveResponseMiddleware: "/v1/control/",
    control.ControlAuthenticationMiddleware: "/v1/control/",
    control.ControlLicenseMiddleware: "/v1/control/",
    control.ControlEventLogMiddleware: "/v1/control/",
    NodeAuthMiddleware: "/v1/fleet/",
    FleetEventLogMiddleware: _NOWHERE,
    RuntimeTracingMiddleware: _NOWHERE,
}
_CLEANUP = "_cleanup_expired_task_tokens"


class OneWorker:
    """ASGI middleware: one thread serves the requests, so that SQLite's writers do not collide.

    With more, each write waits in SQLite's busy handler for those of the others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the limit when the application starts; otherwise pass everything on."""
        if scope["type"] == "lifespan":
            anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        await self._app(scope, receive, send)


def tune() -> None:
    """Let middleware see only the paths that it acts on, and clean up once a second.

    Raises:
        CordonError: TR001 when Flower's state has no such clean-up any more.
    """
    for middleware, path in _PATHS.items():
        _enter_only_for(middleware, path)
    cleanup = getattr(SqlCoreState, _CLEANUP, None)
    if cleanup is None:
        raise CordonError("TR001", why=f"SqlCoreState.{_CLEANUP} is gone")
    setattr(SqlCoreState, _CLEANUP, _at_most_every(CLEANUP_EVERY_S, cleanup))


def _enter_only_for(middleware: type[BaseHTTPMiddleware], path: str) -> None:
    enter = middleware.__call__

    async def call(self: BaseHTTPMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(path):
            await enter(self, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    setattr(middleware, "__call__", call)  # noqa: B010 - a type checker forbids the assignment


def _at_most_every(
    interval_s: float, cleanup: Callable[[SqlCoreState], None]
) -> Callable[[SqlCoreState], None]:
    last_s = -interval_s

    def thinned(self: SqlCoreState) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= interval_s:
            last_s = time.monotonic()
            cleanup(self)

    return thinned

"""What may reach the SuperLink's one port: a guard in front of all its APIs.

Flower's open-source Control API has no authentication of its own, and shares the port with the
API that sites use. Here it wants a token that only the coordinator's own folder holds. The Runtime
API serves processes of this machine alone.
"""

import ipaddress
import logging
import secrets
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

CONTROL_HEADER: Final = "x-cordon-control"
_CONTROL_PREFIX = "/v1/control/"
_RUNTIME_PREFIX = "/v1/runtime/"
_HIDDEN = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json"})

_LOG = logging.getLogger("cordon.guard")


class Guard:
    """ASGI middleware that refuses and logs what a site has no business with.

    Control calls need the token (401), runtime calls must come from this machine (403), and the
    descriptions of the APIs are hidden (404).
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "http" and (status := self._refusal(scope)):
            _LOG.warning("refused", extra={"status": status, "client": _host(scope, "client")})
            await _answer(send, status)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> int | None:
        path = scope["path"]
        if path in _HIDDEN:
            return 404
        if path.startswith(_CONTROL_PREFIX):
            shown = dict(scope["headers"]).get(CONTROL_HEADER.encode(), b"")
            if not secrets.compare_digest(shown, self._token):
                return 401
        if path.startswith(_RUNTIME_PREFIX) and not _from_this_machine(scope):
            return 403
        return None


def _from_this_machine(scope: Scope) -> bool:
    """Tell whether a connection came over loopback, or from the very address that it reached."""
    client = _host(scope, "client")
    try:
        loopback = ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False
    return loopback or client == _host(scope, "server")


def _host(scope: Scope, side: str) -> str:
    return str((scope.get(side) or ("",))[0])


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})

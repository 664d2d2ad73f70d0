"""What may reach the SuperLink's one port: a guard in front of all its APIs.

Flower's open-source Control API has no authentication of its own, and shares the port with the
API that sites use. Here it wants a token that only the coordinator's own folder holds.
"""

import secrets
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

CONTROL_HEADER: Final = "x-cordon-control"
_CONTROL_PREFIX = "/v1/control/"
_HIDDEN = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json"})


class Guard:
    """ASGI middleware: control calls need the token (401), API descriptions are hidden (404)."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "http" and (status := self._refusal(scope)):
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
        return None


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})

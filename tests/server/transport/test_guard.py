"""Only who holds the token controls the SuperLink; sites need none."""

import asyncio

import pytest

from cordon_server.transport.guard import CONTROL_HEADER, Guard


def ask(path, token=None, kind="http"):
    """Send one request through the guard; gives its status, and whether it was passed on."""
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    headers = [(CONTROL_HEADER.encode(), token.encode())] if token is not None else []
    scope = {"type": kind, "path": path, "headers": headers}
    asyncio.run(Guard(app, "the-token")(scope, None, send))
    return sent[0]["status"], bool(passed)


@pytest.mark.parametrize("token", [None, "", "wrong", "the-token "])
def test_a_control_call_without_the_token_is_refused(token):
    assert ask("/v1/control/start-run", token) == (401, False)


def test_a_control_call_with_the_token_passes():
    assert ask("/v1/control/start-run", "the-token") == (200, True)


@pytest.mark.parametrize("path", ["/v1/fleet/pull-messages", "/v1/runtime/acquire-task", "/health"])
def test_the_other_apis_have_their_own_authentication(path):
    assert ask(path) == (200, True)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_descriptions_of_the_apis_are_hidden(path):
    assert ask(path, "the-token") == (404, False)

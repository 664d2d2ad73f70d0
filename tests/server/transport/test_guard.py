"""Only who holds the token controls the SuperLink; sites need none."""

import asyncio

import pytest

from cordon_server.transport.guard import CONTROL_HEADER, Guard

LOCAL, SITE, SERVER = ("127.0.0.1", 5000), ("10.77.0.11", 5000), ("10.77.0.1", 8443)


def ask(path, token=None, kind="http", client=LOCAL):
    """Send one request through the guard; gives its status, and whether it was passed on."""
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    headers = [(CONTROL_HEADER.encode(), token.encode())] if token is not None else []
    scope = {"type": kind, "path": path, "headers": headers, "client": client, "server": SERVER}
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


@pytest.mark.parametrize("client", [SITE, None, ("unix", 0)])
def test_a_runtime_call_from_elsewhere_is_refused(client, caplog):
    assert ask("/v1/runtime/acquire-task", client=client) == (403, False)
    assert [record.status for record in caplog.records] == [403]


@pytest.mark.parametrize("client", [LOCAL, ("::1", 5000), ("10.77.0.1", 5000)])
def test_a_runtime_call_from_the_coordinators_own_machine_passes(client):
    assert ask("/v1/runtime/acquire-task", client=client) == (200, True)


def test_a_site_keeps_its_own_api():
    assert ask("/v1/fleet/pull-messages", client=SITE) == (200, True)

"""What is left out of the SuperLink's work changes none of its answers."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from flwr.superlink import main as superlink_main
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
from starlette.middleware.base import BaseHTTPMiddleware

from cordon_common.errors import CordonError
from cordon_server.transport import tuning
from cordon_server.transport.tuning import tune


@pytest.fixture
def restored(monkeypatch):
    """Undoes what `tune` replaces."""
    for middleware in tuning._PATHS:
        monkeypatch.setattr(middleware, "__call__", middleware.__call__)
    monkeypatch.setattr(SqlCoreState, tuning._CLEANUP, getattr(SqlCoreState, tuning._CLEANUP))
    return monkeypatch


def visit(middleware, path):
    """Send a request through one middleware; tells whether its own code was entered."""
    entered = []

    class Probe(middleware):
        async def dispatch(self, request, call_next):
            entered.append(request.url.path)
            return await call_next(request)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [],
        "query_string": b"",
        "server": ("127.0.0.1", 1),
        "scheme": "https",
    }
    asyncio.run(Probe(app)(scope, receive, send))
    return bool(entered)


@pytest.mark.parametrize("middleware", tuning._PATHS, ids=lambda m: m.__name__)
def test_a_middleware_is_entered_only_for_the_paths_that_it_acts_on(middleware, restored):
    tune()
    own = tuning._PATHS[middleware]
    for path in ("/v1/control/start-run", "/v1/fleet/pull-object", "/v1/runtime/push-object"):
        assert visit(middleware, path) == path.startswith(own)


def test_node_authentication_still_sees_every_fleet_call(restored):
    tune()
    assert visit(NodeAuthMiddleware, "/v1/fleet/pull-messages")


def test_every_tuned_middleware_is_one_that_the_superlink_uses():
    used = {middleware.cls for middleware in superlink_main._get_middleware()}
    assert set(tuning._PATHS) <= used
    assert all(issubclass(middleware, BaseHTTPMiddleware) for middleware in tuning._PATHS)


def test_the_clean_up_runs_at_most_once_a_second(restored):
    runs = []
    restored.setattr(SqlCoreState, tuning._CLEANUP, lambda _: runs.append(1))
    clock = SimpleNamespace(now=100.0)
    restored.setattr(tuning, "time", SimpleNamespace(monotonic=lambda: clock.now))
    tune()
    for _ in range(50):
        getattr(SqlCoreState, tuning._CLEANUP)(None)
        clock.now += 0.1
    assert 5 <= len(runs) <= 6


def test_a_clean_up_that_has_moved_is_a_coded_error(restored):
    restored.delattr(SqlCoreState, tuning._CLEANUP)
    with pytest.raises(CordonError, match="TR001"):
        tune()


def test_one_worker_serves_the_application():
    program = (
        "import asyncio, anyio.to_thread\n"
        "from cordon_server.transport.tuning import OneWorker\n"
        "async def app(scope, receive, send): pass\n"
        "async def main():\n"
        "    await OneWorker(app)({'type': 'lifespan'}, None, None)\n"
        "    print(anyio.to_thread.current_default_thread_limiter().total_tokens)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1"

"""The ServerApp's process: waits warm for one run, executes the installed ServerApp, and ends.

The bundle (FAB) of a run supplies its settings only; its code is never unpacked nor imported.
Flower's internals used here are those that `flwr.superlink.runtime.run_serverapp` uses.
"""

import importlib
import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.app import Context
from flwr.common.config import get_fused_config_from_fab
from flwr.common.constant import SubStatus
from flwr.common.serde import context_from_proto, context_to_proto, fab_from_proto, run_from_proto
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, PushTaskOutputRequest
from flwr.serverapp import ServerApp
from flwr.supercore.constant import TaskType
from flwr.supercore.exit import register_signal_handlers
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import http_retry
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.supercore.telemetry import EventType

from cordon_common.logs import configure
from cordon_common.processes import end_with_parent
from cordon_server.transport.steady_grid import SteadyGrid

POLL_S = 0.5
RECONNECT_MAX_DELAY_S = 2

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerAppSettings:
    """Where the SuperLink is, how to show that runs may be taken, and which app runs them all."""

    address: str
    ca_certificate: str
    executor_secret_file: str
    server_app: str


def main() -> int:
    """Take one run and execute it; the supervisor starts the next process."""
    configure(sys.stderr)
    logging.getLogger("flwr").handlers.clear()  # the root handler serves
    logging.getLogger("flwr").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = ServerAppSettings(**json.loads(end_with_parent()))
    certificate = Path(settings.ca_certificate).read_bytes()
    setattr(http_retry, "MAX_RETRY_DELAY", RECONNECT_MAX_DELAY_S)  # noqa: B010 - not exported
    app = _load(settings.server_app)
    token = _wait_for_run(settings, certificate)
    return _Execution(settings.address, certificate, token).run(app)


def _load(reference: str) -> ServerApp:
    module, _, attribute = reference.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    if not isinstance(app, ServerApp):
        message = f"{reference} is not a ServerApp"
        raise TypeError(message)
    return app


def _wait_for_run(settings: ServerAppSettings, certificate: bytes) -> str:
    secret = Path(settings.executor_secret_file).read_bytes()
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    with RuntimeHttpClient.from_server_address(
        settings.address,
        insecure=False,
        root_certificates=certificate,
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            SuperExecAuthHttpInterceptor(
                master_secret=secret, protected_methods={"/flwr.proto.Runtime/AcquireTask"}
            ),
        ],
    ) as client:
        while True:
            asked_s = time.monotonic()
            try:
                response = client.AcquireTask(request)
            except httpx.TransportError:
                pass  # the SuperLink is starting
            else:
                if response.HasField("task"):
                    return str(response.token)
            # A poll that the SuperLink held has done its waiting there.
            time.sleep(max(0.0, POLL_S - (time.monotonic() - asked_s)))


class _Execution:
    """One run from taking to finishing; its outcome reaches the SuperLink however it ends."""

    def __init__(self, address: str, certificate: bytes, token: str) -> None:
        self._grid = SteadyGrid(address, root_certificates=certificate, token=token)
        self._client: RuntimeHttpClient = self._grid._runtime_client  # noqa: SLF001 - as Flower does
        self._heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(self._client))
        self._context: Context | None = None
        self._outcome, self._details = SubStatus.FAILED, "the ServerApp was stopped"

    def run(self, app: ServerApp) -> int:
        register_signal_handlers(
            event_type=EventType.FLWR_SERVERAPP_RUN_LEAVE,
            exit_message="The run was stopped.",
            exit_handlers=[self._finish],
        )
        self._heartbeat.start()
        try:
            context = self._pull_input()
            app(grid=self._grid, context=context)
            self._outcome, self._details = SubStatus.COMPLETED, ""
        except Exception as error:  # noqa: BLE001 - the process's edge; the log keeps the trace
            _LOG.exception("the ServerApp failed")
            self._details = getattr(error, "code", type(error).__name__)
        self._finish()
        return 0 if self._outcome == SubStatus.COMPLETED else 1

    def _pull_input(self) -> Context:
        response = self._client.PullTaskInput(PullTaskInputRequest())
        run = run_from_proto(response.run)
        self._context = context_from_proto(response.context)
        TaskIdentity.task_id = response.task_id
        TaskIdentity.run_id = run.run_id
        TaskIdentity.node_id = response.context.node_id
        self._grid.set_run(run)
        bundle = fab_from_proto(response.fab).content
        self._context.run_config = get_fused_config_from_fab(bundle, run)
        return self._context

    def _finish(self) -> None:
        self._grid._retry_invoker.max_tries = 1  # noqa: SLF001 - as Flower does when it ends
        try:
            self._client.PushTaskOutput(
                PushTaskOutputRequest(
                    context=context_to_proto(self._context) if self._context else None,
                    sub_status=self._outcome,
                    details=self._details,
                )
            )
        except httpx.HTTPError as error:
            _LOG.warning("the run's outcome did not reach the SuperLink: %s", type(error).__name__)
        if self._heartbeat.is_running:
            self._heartbeat.stop()
        self._grid.close()


if __name__ == "__main__":
    sys.exit(main())

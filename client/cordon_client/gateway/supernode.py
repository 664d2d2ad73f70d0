"""The one module of the gateway that touches Flower's internals (flwr 1.41.0, pinned exactly).

It runs Flower's SuperNode loop in process isolation, in this very process, with its fixed sleeps
replaced by a handover to the pinned executor; the Runtime API's handlers are called directly, so
that no port is opened and nobody but the executor can take a task.
"""

import importlib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import SimpleNamespace
from typing import NoReturn, cast

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Context, Error, Message
from flwr.common.constant import ISOLATION_MODE_PROCESS, ErrorCode, Status, SubStatus
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore import heartbeat
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.retry import http_retry
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from flwr.supernode.nodestate import NodeState, NodeStateFactory
from flwr.supernode.runtime import run_clientapp
from flwr.supernode.servicer.runtime import runtime_handlers

from cordon_client.gateway.executor import Handover, Task
from cordon_common.errors import CordonError

FLOWER_VERSION = "1.41.0"
HEARTBEAT_INTERVAL_S = 10  # Flower's minimum: a dead site is noticed within twice this
RECONNECT_MAX_DELAY_S = 2
OBJECT_BACKOFF_S = 0.02
OBJECT_BACKOFF_CAP_S = 0.5
OBJECT_WAIT_S = 20  # the executor finds its message complete; if not, the process starts anew

# Every internal name that is replaced below; those only called are checked by importing them.
_REPLACED = {
    "flwr.supernode.start_client_internal": ("time",),
    "flwr.supernode.fleet_http_connection": ("HEARTBEAT_DEFAULT_INTERVAL", "flwr_exit"),
    "flwr.supercore.heartbeat": ("HEARTBEAT_DEFAULT_INTERVAL", "HEARTBEAT_CALL_TIMEOUT"),
    "flwr.supercore.retry.http_retry": ("MAX_RETRY_DELAY",),
}
_BACKING_OFF = (
    inflatable_utils.pull_objects,
    inflatable_utils.pull_and_inflate_object_from_tree,
)
_RUNTIME_CALLS = {
    "PullTaskInput": "pull_task_input",
    "PullMessages": "pull_messages",
    "PullObject": "pull_object",
    "ConfirmMessageReceived": "confirm_message_received",
    "PushMessages": "push_messages",
    "PushObject": "push_object",
    "PushTaskOutput": "push_task_output",
}


_LOG = logging.getLogger(__name__)


class ConnectionLostError(Exception):
    """The SuperNode gave up; `status` is the SuperLink's HTTP answer, if it gave one."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        super().__init__("the SuperNode gave up its connection")


@dataclass(frozen=True)
class Connection:
    """Where the SuperLink is and who this node is."""

    address: str
    ca_certificate: bytes
    key: ec.EllipticCurvePrivateKey


def check_flower() -> None:
    """Make sure that every internal name that this module replaces is still there.

    Raises:
        CordonError: TR001, naming what is missing.
    """
    if version("flwr") != FLOWER_VERSION:
        raise CordonError("TR001", why=f"flwr {version('flwr')} instead of {FLOWER_VERSION}")
    for module_name, names in _REPLACED.items():
        module = importlib.import_module(module_name)
        for name in names:
            if not hasattr(module, name):
                raise CordonError("TR001", why=f"{module_name}.{name} is gone")
    for function in _BACKING_OFF:
        needed = {"initial_backoff", "backoff_cap", "max_time"}
        if not needed <= set(function.__kwdefaults__ or {}):
            raise CordonError("TR001", why=f"{function.__name__} has no back-off arguments")


class Runtime:
    """The SuperNode's state, and the Runtime API's handlers called in process."""

    def __init__(self) -> None:
        self.factory = NodeStateFactory(ObjectStoreFactory())
        self._state: NodeState = self.factory.state()
        self._running_id: int | None = None

    @property
    def node_id(self) -> int:
        """The id that the SuperLink gave to this node."""
        return int(self._state.get_node_id())

    def acquire(self) -> Task | None:
        """Take the oldest message that waits for an answer, if there is one."""
        request = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
        response = runtime_handlers.acquire_task(request, self._state)
        if not response.HasField("task"):
            return None
        self._running_id = response.task.task_id
        calls = {
            rpc: partial(getattr(runtime_handlers, handler), state=self._state, task=response.task)
            for rpc, handler in _RUNTIME_CALLS.items()
        }
        return _RunningTask(cast("RuntimeHttpClient", SimpleNamespace(**calls)))

    def forget_incomplete(self) -> None:
        """Drop the messages that never came whole; call while no message is being answered.

        When a run ends in the middle of sending, Flower leaves the message's task pending and
        would hand it out before that of the next message.
        """
        store = self._state.object_store
        for task in self._state.get_tasks(statuses=[Status.PENDING]):
            _LOG.warning("a message was dropped: its run ended before it had come whole")
            self._state.finish_task(task.task_id, SubStatus.STOPPED, "incomplete")
            lost = self._state.get_messages_legacy(run_ids=[task.run_id], is_reply=False)
            for message in lost:
                self._state.delete_messages(message_ids=[message.metadata.message_id])
                store.delete(message.metadata.message_id)

    def keep_alive(self) -> None:
        """Keep the running task from expiring; call more often than every 30 s."""
        if self._running_id is not None:
            self._state.acknowledge_task_heartbeat(self._running_id)


class _RunningTask:
    """A task that the executor has acquired; see `executor.Task`."""

    def __init__(self, client: RuntimeHttpClient) -> None:
        self._client = client
        self.message: Message
        self.context: Context
        self.message, self.context, _run, _fab = run_clientapp.pull_task_input(client)

    def answer(self, reply: Message) -> None:
        run_clientapp.push_message(self._client, reply, self.context)
        self._finish(SubStatus.COMPLETED)

    def fail(self) -> None:
        error = Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason="SY999")
        run_clientapp.push_message(
            self._client, Message(error, reply_to=self.message), self.context
        )
        self._finish(SubStatus.FAILED)

    def _finish(self, sub_status: str) -> None:
        run_clientapp.push_task_output(
            client=self._client, context=self.context, sub_status=sub_status, details=""
        )


class _Sleep:
    """Stands in for the `time` module in the SuperNode's loop, which only calls `sleep`."""

    _POLL_PAUSE_S = 3  # the loop's pause when there is no message; its other waits are for a reply

    def __init__(
        self, handover: Handover, runtime: Runtime, on_connected: Callable[[int], None]
    ) -> None:
        self._handover = handover
        self._runtime = runtime
        self._on_connected: Callable[[int], None] | None = on_connected

    def sleep(self, seconds: float) -> None:
        """Wait for the next message or for the reply, whichever the loop is at."""
        if self._on_connected is not None:
            self._on_connected(self._runtime.node_id)
            self._on_connected = None
        if seconds >= self._POLL_PAUSE_S:
            self._runtime.forget_incomplete()
            self._handover.wait_for_message()
        else:
            self._runtime.keep_alive()
            self._handover.wait_for_reply(seconds)


def run_supernode(
    connection: Connection,
    node_config: dict[str, bool | float | int | str],
    runtime: Runtime,
    handover: Handover,
    on_connected: Callable[[int], None],
) -> NoReturn:
    """Run Flower's SuperNode until its connection is lost for good or a signal ends the process.

    Must be called in the main thread, once per process. `on_connected` gets the node id.

    Raises:
        ConnectionLostError: the SuperNode could not connect or gave up.
    """
    _replace_waits(_Sleep(handover, runtime, on_connected))
    start_client_internal.start_client_internal(
        state_factory=runtime.factory,
        server_address=connection.address,
        node_config=node_config,
        root_certificates=connection.ca_certificate,
        insecure=False,
        authentication_keys=(connection.key, connection.key.public_key()),
        isolation=ISOLATION_MODE_PROCESS,
    )
    raise ConnectionLostError(None)


def _replace_waits(sleep: _Sleep) -> None:
    for module, name, value in (
        (start_client_internal, "time", sleep),
        (fleet_http_connection, "HEARTBEAT_DEFAULT_INTERVAL", HEARTBEAT_INTERVAL_S),
        (heartbeat, "HEARTBEAT_DEFAULT_INTERVAL", HEARTBEAT_INTERVAL_S),
        (http_retry, "MAX_RETRY_DELAY", RECONNECT_MAX_DELAY_S),
        (fleet_http_connection, "flwr_exit", _give_up),
    ):
        setattr(module, name, value)
    for function in _BACKING_OFF:
        function.__kwdefaults__ = (function.__kwdefaults__ or {}) | {
            "initial_backoff": OBJECT_BACKOFF_S,
            "backoff_cap": OBJECT_BACKOFF_CAP_S,
        }
    of_executor = inflatable_utils.pull_and_inflate_object_from_tree
    of_executor.__kwdefaults__ = (of_executor.__kwdefaults__ or {}) | {"max_time": OBJECT_WAIT_S}


def quieten_flower() -> None:
    """Let Flower's warnings, and nothing below, go to the root logger."""
    flower = logging.getLogger("flwr")
    flower.handlers.clear()  # it writes to stdout, in colour; the root handler serves
    flower.setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _give_up(*_: object, **__: object) -> NoReturn:
    """Stand in for `flwr_exit`, which would end the process with one code for every cause."""
    cause = sys.exception()
    status = cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None
    raise ConnectionLostError(status)


def release_node(connection: Connection, node_id: int) -> None:
    """Tell the SuperLink that an earlier process of this node is gone, so that this one may join.

    Without it a restart after a crash would be refused until the old heartbeats have run out.

    Raises:
        ConnectionLostError: the SuperLink does not answer.
    """
    with FleetHttpClient.from_server_address(
        connection.address,
        insecure=False,
        root_certificates=connection.ca_certificate,
        interceptors=[NodeAuthHttpInterceptor(connection.key, connection.key.public_key())],
    ) as client:
        try:
            client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
        except httpx.HTTPStatusError:
            pass  # it was offline already, or has another id since; activation will tell
        except httpx.TransportError as error:
            raise ConnectionLostError(None) from error

"""One connected life of the gateway: SuperNode in the main thread, executor beside it."""

import logging
import os
import threading
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from cordon_client.gateway.app import app
from cordon_client.gateway.executor import Handover
from cordon_client.gateway.heartbeat import Heartbeat
from cordon_client.gateway.metrics import serve_metrics
from cordon_client.gateway.node_key import load_node_key
from cordon_client.gateway.settings import GatewaySettings
from cordon_client.gateway.supernode import (
    Connection,
    ConnectionLostError,
    Runtime,
    check_flower,
    quieten_flower,
    release_node,
    run_supernode,
)
from cordon_common.errors import CordonError

_LOG = logging.getLogger(__name__)
_UNKNOWN_KEY_STATUSES = frozenset({401, 412})


class Outcome(IntEnum):
    """Exit statuses that the supervisor tells apart (sysexits.h); any other is a crash."""

    STOPPED = 0
    LOST = 75
    UNKNOWN_KEY = 77
    WRONG_FLOWER = 78


def serve(settings: GatewaySettings) -> int:
    """Connect, answer messages until the connection is lost, and say why as an `Outcome`."""
    quieten_flower()
    try:
        check_flower()
    except CordonError as error:
        _LOG.error("%s: %s: %s", error.code, error.what, error.why)
        return Outcome.WRONG_FLOWER
    connection = Connection(
        address=settings.coordinator,
        ca_certificate=settings.ca_certificate.read_bytes(),
        key=load_node_key(settings.node_key),
    )
    runtime, handover = Runtime(), Handover(Heartbeat(settings.home).beat)
    if settings.metrics_port:
        serve_metrics(settings)
    _start_vital_thread(lambda: handover.serve(runtime.acquire, app))
    node_id_file = settings.home / "node-id"

    def on_connected(node_id: int) -> None:
        node_id_file.write_text(f"{node_id}\n")
        _LOG.info("%s is connected to %s", settings.site, settings.coordinator)

    node_config: dict[str, bool | float | int | str] = {
        "vault-socket": str(settings.vault_socket),
        "vault-timeout-s": settings.vault_timeout_s,
    }
    try:
        _release_earlier_process(connection, node_id_file)
        run_supernode(connection, node_config, runtime, handover, on_connected)
    except ConnectionLostError as error:
        return Outcome.UNKNOWN_KEY if error.status in _UNKNOWN_KEY_STATUSES else Outcome.LOST


def _release_earlier_process(connection: Connection, node_id_file: Path) -> None:
    try:
        node_id = int(node_id_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    release_node(connection, node_id)


def _start_vital_thread(work: Callable[[], None]) -> None:
    def run() -> None:
        try:
            work()
        except BaseException:  # noqa: BLE001 - without this thread the gateway would be deaf
            _LOG.exception("the executor stopped; the gateway starts again")
        os._exit(1)

    threading.Thread(target=run, name="executor", daemon=True).start()

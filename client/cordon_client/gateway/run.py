"""The gateway's supervisor: waits for the coordinator, keeps the working process alive, cleans up.

It imports neither Flower nor gRPC, so that it costs little beside the process that it watches.
"""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cordon_client.gateway.node_key import load_node_key
from cordon_client.gateway.settings import GatewaySettings
from cordon_common.clock import Clock, utc_now
from cordon_common.errors import SystemFault, UnreachableError, error_for
from cordon_common.probe import check_coordinator
from cordon_common.processes import child_environment, end_child, start_child, stop_signals

MAX_CRASHES = 5
CRASH_WINDOW_S = 60.0

_LOG = logging.getLogger(__name__)
_LOST, _UNKNOWN_KEY, _WRONG_FLOWER = 75, 77, 78  # session.Outcome, whose import would cost Flower
_NO_CRASH = frozenset({_LOST, _UNKNOWN_KEY})
_WAIT_MIN_S, _WAIT_MAX_S = 0.25, 5.0


def run_gateway(
    settings: GatewaySettings, *, clock: Clock = utc_now, stop: threading.Event | None = None
) -> None:
    """Run the site's gateway until SIGTERM, SIGINT or `stop`; then nothing of it is left.

    Waits for a coordinator that is not up yet, reconnects after it restarted, and starts the
    working process again when it dies.

    Raises:
        CordonError: NE003 untrusted certificate, NE004 clocks too far apart, NE005 key not
            enrolled, IN002 unreadable key, TR001 wrong Flower, TR012 crashing again and again,
            TR013 another gateway already runs in this folder.
    """
    load_node_key(settings.node_key)
    settings.home.mkdir(parents=True, exist_ok=True)
    crashes: deque[float] = deque(maxlen=MAX_CRASHES)
    enrolled_by = time.monotonic() + settings.enrolment_wait_s
    with _only_gateway(settings.home), stop_signals(stop) as stopping:
        while not stopping.is_set():
            _wait_for_coordinator(settings, clock, stopping)
            if stopping.is_set():
                return
            status = _run_node(settings, stopping)
            if stopping.is_set():
                return
            _raise_if_final(status, may_wait=time.monotonic() < enrolled_by)
            if status not in _NO_CRASH:
                _count_crash(crashes, status)
            stopping.wait(_WAIT_MIN_S * max(1, len(crashes)))


def gateway_environment(home: Path) -> dict[str, str]:
    """Return the working process's environment: own Flower home, nothing sent, nothing fetched."""
    no_proxy = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    loopback = ",".join(filter(None, [no_proxy, "127.0.0.1", "localhost", "::1"]))
    return child_environment(
        {
            "FLWR_HOME": str(home / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_LOG_LEVEL": "WARNING",
            "MALLOC_ARENA_MAX": "2",
            "NO_PROXY": loopback,
            "no_proxy": loopback,
        }
    )


def _wait_for_coordinator(
    settings: GatewaySettings, clock: Clock, stopping: threading.Event
) -> None:
    wait_s = _WAIT_MIN_S
    while not stopping.is_set():
        try:
            check_coordinator(settings.coordinator, settings.ca_certificate, clock=clock)
        except UnreachableError as error:
            if error.code != "NE001":
                raise
            if wait_s == _WAIT_MIN_S:
                _LOG.warning("waiting for the coordinator at %s", settings.coordinator)
            stopping.wait(wait_s)
            wait_s = min(wait_s * 1.5, _WAIT_MAX_S)
        else:
            return


def _run_node(settings: GatewaySettings, stopping: threading.Event) -> int:
    process = start_child(
        "cordon_client.gateway.node",
        settings.model_dump_json().encode(),
        gateway_environment(settings.home),
    )
    try:
        while process.poll() is None and not stopping.wait(0.2):
            pass
    finally:
        status = end_child(process)
    return status


def _raise_if_final(status: int, *, may_wait: bool) -> None:
    if status == _UNKNOWN_KEY:
        if not may_wait:
            raise error_for("NE005")
        _LOG.warning("waiting to be enrolled by the coordinator")
    if status == _WRONG_FLOWER:
        raise error_for("TR001")


def _count_crash(crashes: deque[float], status: int) -> None:
    _LOG.warning("the gateway's process ended with status %d; starting it again", status)
    crashes.append(time.monotonic())
    if len(crashes) == MAX_CRASHES and crashes[-1] - crashes[0] < CRASH_WINDOW_S:
        raise error_for("TR012")


@contextmanager
def _only_gateway(home: Path) -> Iterator[None]:
    with (home / "gateway.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemFault("TR013") from None
        yield

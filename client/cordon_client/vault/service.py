"""The vault as a process: gRPC on a unix socket (mode 0600), health that means something."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cordon_common.errors import CordonError, SystemFault
from cordon_common.logs import place_of
from cordon_common.rpc.chunks import join, split
from cordon_common.rpc.vault_pb2_grpc import VaultServicer, add_VaultServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cordon_client.vault.airlock import Airlock
    from cordon_common.rpc.vault_pb2 import Chunk
    from cordon_common.wire import Rpc

_LOG = logging.getLogger("cordon.vault")
STOP_GRACE_S = 8.0
HEALTH_WATCH_S = 1.0

_STATUS = {
    1: grpc.StatusCode.FAILED_PRECONDITION,
    2: grpc.StatusCode.INVALID_ARGUMENT,
    3: grpc.StatusCode.PERMISSION_DENIED,
    4: grpc.StatusCode.UNAVAILABLE,
}


class VaultService(VaultServicer):
    """Moves bytes between the socket and the airlock; failures become a code, nothing else."""

    def __init__(self, airlock: Airlock, *, cap_bytes: int) -> None:
        self._airlock = airlock
        self._cap_bytes = cap_bytes

    def Describe(
        self, request_iterator: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        """Answer `describe`."""
        return self._answer("describe", request_iterator, context)

    def Qc(
        self, request_iterator: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        """Answer `qc`."""
        return self._answer("qc", request_iterator, context)

    def Train(
        self, request_iterator: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        """Answer `train`."""
        return self._answer("train", request_iterator, context)

    def Evaluate(
        self, request_iterator: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        """Answer `evaluate`."""
        return self._answer("evaluate", request_iterator, context)

    def Receipts(
        self, request_iterator: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        """Answer `receipts`."""
        return self._answer("receipts", request_iterator, context)

    def _answer(
        self, rpc: Rpc, chunks: Iterator[Chunk], context: grpc.ServicerContext
    ) -> Iterator[Chunk]:
        started = time.perf_counter()
        try:
            reply = self._airlock.answer(rpc, join(chunks, cap_bytes=self._cap_bytes))
        except CordonError as error:
            _LOG.info("rpc=%s code=%s", rpc, error.code)
            context.abort(_STATUS[error.exit_code], error.code)
        except Exception as error:  # noqa: BLE001 - process edge: no text of it may leave or be logged
            _LOG.error("rpc=%s code=SY999 at=%s", rpc, place_of(error))
            context.abort(grpc.StatusCode.INTERNAL, "SY999")
        _LOG.info("rpc=%s ok seconds=%.3f", rpc, time.perf_counter() - started)
        return split(reply)


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """`grpc.health.v1`: SERVING only while data, ledger and budget are really there."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Report readiness now."""
        return self._response()

    def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Report readiness now and at every change."""
        last = None
        while context.is_active():
            response = self._response()
            if response.status != last:
                last = response.status
                yield response
            time.sleep(HEALTH_WATCH_S)

    def _response(self) -> health_pb2.HealthCheckResponse:
        kinds = health_pb2.HealthCheckResponse
        return kinds(status=kinds.SERVING if self._ready() else kinds.NOT_SERVING)


def start_server(
    socket: Path, airlock: Airlock, ready: Callable[[], bool], *, cap_bytes: int
) -> grpc.Server:
    """Bind the socket (mode 0600 from its first moment) and start answering.

    Raises:
        SystemFault: SY003 when another vault answers on the socket.
    """
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear_stale(socket)
    server = grpc.server(ThreadPoolExecutor(max_workers=8, thread_name_prefix="vault"))
    add_VaultServicer_to_server(VaultService(airlock, cap_bytes=cap_bytes), server)  # type: ignore[no-untyped-call]
    health_pb2_grpc.add_HealthServicer_to_server(HealthService(ready), server)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(before)
    server.start()
    return server


def serve_until_stopped(server: grpc.Server, socket: Path) -> None:
    """Run until SIGTERM or SIGINT; requests in flight get a few seconds to settle."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    server.stop(STOP_GRACE_S).wait()
    socket.unlink(missing_ok=True)


def _clear_stale(socket: Path) -> None:
    """Remove the socket file of a vault that was killed; refuse while one is alive."""
    if not socket.exists():
        return
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=0.5)
        except grpc.FutureTimeoutError:
            socket.unlink(missing_ok=True)
            return
    raise SystemFault("SY003")

"""The gateway's only view of the vault: five calls over a unix socket, errors as codes."""

import logging
import time
from pathlib import Path
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cordon_common.error_codes import CODES
from cordon_common.errors import CordonError, ProtocolError, error_for
from cordon_common.rpc.chunks import DEFAULT_CAP_BYTES, join, split
from cordon_common.rpc.vault_pb2_grpc import VaultStub

RPCS = frozenset({"describe", "qc", "train", "evaluate", "receipts"})

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 3
_RECONNECT_PAUSE_S = 0.05
_NOT_CONNECTED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class VaultClient:
    """Calls the vault; a vault that restarts in between is asked again.

    Guarantee: asking again is safe because the vault answers a repeated request from its ledger.
    """

    def __init__(
        self,
        socket_path: Path,
        timeout_s: float,
        *,
        connect_timeout_s: float = 60.0,
        cap_bytes: int = DEFAULT_CAP_BYTES,
    ) -> None:
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._cap_bytes = cap_bytes
        self._channel = grpc.insecure_channel(f"unix:{socket_path}", options=_CHANNEL_OPTIONS)
        self._vault = VaultStub(self._channel)  # type: ignore[no-untyped-call]
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def call(self, rpc: str, request: bytes) -> bytes:
        """Send a request to one of the five calls and return the reply's bytes.

        Raises:
            CordonError: the vault's own code; TR007 when it does not answer, TR008 when it does
                not finish within `timeout_s`, PR005 for an unknown call, PR006 over the size cap.
        """
        if rpc not in RPCS:
            raise ProtocolError("PR005", why="there is no such call")
        if len(request) > self._cap_bytes:
            raise ProtocolError("PR006", why=f"{len(request)} bytes; the cap is {self._cap_bytes}")
        deadline = time.monotonic() + self._timeout_s
        for attempt in range(1, _ATTEMPTS + 1):
            self._wait_until_connected()
            try:
                return self._call_once(rpc, request, deadline - time.monotonic())
            except grpc.RpcError as error:
                status = cast("grpc.Call", error)
                if status.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise _coded(status) from None
                _LOG.warning("vault connection lost", extra={"rpc": rpc, "attempt": attempt})
        raise error_for("TR007")

    def ready(self) -> bool:
        """Tell whether the vault says it can serve: data readable, ledger consistent, budget."""
        request = health_pb2.HealthCheckRequest()
        try:
            status = self._health.Check(request, timeout=5.0).status
        except grpc.RpcError:
            return False
        return bool(status == health_pb2.HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def _wait_until_connected(self) -> None:
        request = health_pb2.HealthCheckRequest()
        deadline = time.monotonic() + self._connect_timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            try:
                self._health.Check(request, timeout=left_s, wait_for_ready=True)
            except grpc.RpcError as error:
                code = cast("grpc.Call", error).code()
                if code is grpc.StatusCode.UNAVAILABLE and left_s:  # it ended while it answered
                    time.sleep(_RECONNECT_PAUSE_S)
                    continue
                if code in _NOT_CONNECTED:
                    raise error_for("TR007") from None
            return

    def _call_once(self, rpc: str, request: bytes, timeout_s: float) -> bytes:
        method = getattr(self._vault, rpc.capitalize())
        replies = method(split(request), timeout=max(timeout_s, 0.0))
        try:
            return join(replies, cap_bytes=self._cap_bytes)
        finally:
            replies.cancel()


def _coded(status: grpc.Call) -> CordonError:
    if status.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return error_for("TR008")
    details = status.details() or ""
    if details not in CODES:
        _LOG.error("vault failed without a code", extra={"status": status.code().name})
    return error_for(details)

"""A real vault server over a unix socket, with an answer function that a test chooses."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cordon_common.rpc.chunks import join, split
from cordon_common.rpc.vault_pb2_grpc import VaultServicer, add_VaultServicer_to_server


class _Checks(health.HealthServicer):
    """Health that lets a test do something at every check."""

    def __init__(self, vault: "FakeVault") -> None:
        super().__init__()
        self._vault = vault

    def Check(self, request, context):  # noqa: N802 - gRPC's name
        self._vault.on_check()
        return super().Check(request, context)


@dataclass
class FakeVault(VaultServicer):
    """Answers every call with `answer(rpc, request)`; a str answer becomes a status with it."""

    socket_path: Path
    answer: Callable[[str, bytes], bytes | str] = lambda _rpc, request: request
    calls: list[str] = field(default_factory=list)
    on_check: Callable[[], None] = lambda: None
    server: grpc.Server | None = None

    def start(self) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        add_VaultServicer_to_server(self, self.server)
        checks = _Checks(self)
        checks.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(checks, self.server)
        self.server.add_insecure_port(f"unix:{self.socket_path}")
        self.server.start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop(grace=None).wait()

    def _serve(self, rpc, chunks, context):
        self.calls.append(rpc)
        answer = self.answer(rpc, join(chunks))
        if isinstance(answer, str):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, answer)
        yield from split(answer)

    def Describe(self, request_iterator, context):  # noqa: N802 - gRPC's name
        yield from self._serve("describe", request_iterator, context)

    def Qc(self, request_iterator, context):  # noqa: N802
        yield from self._serve("qc", request_iterator, context)

    def Train(self, request_iterator, context):  # noqa: N802
        yield from self._serve("train", request_iterator, context)

    def Evaluate(self, request_iterator, context):  # noqa: N802
        yield from self._serve("evaluate", request_iterator, context)

    def Receipts(self, request_iterator, context):  # noqa: N802
        yield from self._serve("receipts", request_iterator, context)


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own paths are too long for a socket
        fake = FakeVault(Path(folder) / "vault.sock")
        fake.start()
        yield fake
        fake.stop()

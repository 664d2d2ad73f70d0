"""The SuperLink and the ServerApp's process: started, kept alive and ended together.

Imports no Flower, so that the process that watches costs little beside those it watches.
"""

import json
import logging
import os
import secrets
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

from cordon_common.errors import IntegrityError, SystemFault, UnreachableError, error_for
from cordon_common.probe import check_coordinator
from cordon_common.processes import child_environment, end_child, start_child, stop_signals
from cordon_server.transport.tls import TlsFiles

FLOWER_VERSION = "1.41.0"
INSTALLED_SERVER_APP = "cordon_server.app:app"
START_TIMEOUT_S = 60.0
_RESTART_PAUSE_S = 0.5
_WATCH_S = 0.2

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SuperLinkSettings:
    """Where the SuperLink listens and keeps its state; `home` is the coordinator's folder.

    `server_app` is the installed ServerApp that every run executes, whatever its bundle names.
    """

    home: Path
    tls: TlsFiles
    port: int
    host: str = "127.0.0.1"
    server_app: str = INSTALLED_SERVER_APP
    health_address: str | None = None

    @property
    def local_address(self) -> str:
        """The address for processes on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"{host}:{self.port}"

    @property
    def control_token_file(self) -> Path:
        """The token for control calls, made at the first start, mode 0600."""
        return self.home / "control-token"

    @property
    def executor_secret_file(self) -> Path:
        """The secret that lets the ServerApp's process take runs, made at the first start."""
        return self.home / "executor-secret"

    def control_token(self) -> str:
        """Read the control token.

        Raises:
            IntegrityError: IN002 when it cannot be read.
        """
        try:
            return self.control_token_file.read_text().strip()
        except OSError as error:
            raise IntegrityError("IN002", why=type(error).__name__) from None

    def arguments(self) -> list[str]:
        """Return the arguments of `flower-superlink`."""
        health = ["--health-server-address", self.health_address] if self.health_address else []
        return [
            f"--ssl-ca-certfile={self.tls.ca_certificate}",
            f"--ssl-certfile={self.tls.server_certificate}",
            f"--ssl-keyfile={self.tls.server_key}",
            f"--database={self.home / 'superlink.db'}",
            "--enable-supernode-auth",
            "--isolation=process",
            f"--superexec-auth-secret-file={self.executor_secret_file}",
            "--disable-runtime-dependency-installation",
            f"--host={self.host}",
            f"--port={self.port}",
            *health,
        ]

    def environment(self) -> dict[str, str]:
        """Return the children's environment: own Flower home, nothing sent, nothing fetched."""
        return child_environment(
            {
                "CORDON_COORDINATOR_HOME": str(self.home),
                "FLWR_HOME": str(self.home / "flwr"),
                "FLWR_TELEMETRY_ENABLED": "0",
                "FLWR_DISABLE_UPDATE_CHECK": "1",
                "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
                "FLWR_LOG_LEVEL": "WARNING",
                "MALLOC_ARENA_MAX": "2",
                "NO_PROXY": "127.0.0.1,localhost,::1",
                "no_proxy": "127.0.0.1,localhost,::1",
            }
        )


class SuperLink:
    """The coordinator's two Flower processes; a context manager that leaves nothing behind."""

    def __init__(self, settings: SuperLinkSettings) -> None:
        self.settings = settings
        self._superlink: subprocess.Popen[bytes] | None = None
        self._server_app: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start both processes and wait until the SuperLink answers.

        Raises:
            UnreachableError: NE002 when the port is in use.
            CordonError: TR001 when another Flower is installed, TR010 when the SuperLink ends or does not answer in time.
        """
        if version("flwr") != FLOWER_VERSION:
            raise SystemFault("TR001", why=f"flwr {version('flwr')} instead of {FLOWER_VERSION}")
        self._prepare()
        _require_free_port(self.settings.host, self.settings.port)
        self._superlink = self._start_superlink()
        self._server_app = self._start_server_app()
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if self._superlink.poll() is not None or time.monotonic() > deadline:
                raise error_for("TR010")
            time.sleep(0.1)

    def supervise(self, stopping: threading.Event) -> None:
        """Start whichever process ends again, until `stopping` is set."""
        while not stopping.wait(_WATCH_S):
            if self._superlink is not None and self._superlink.poll() is not None:
                _LOG.warning(
                    "the SuperLink ended (%d); starting it again", end_child(self._superlink)
                )
                self._superlink = self._start_superlink()
                stopping.wait(_RESTART_PAUSE_S)
            if self._server_app is not None and self._server_app.poll() is not None:
                end_child(self._server_app)
                self._server_app = self._start_server_app()
                stopping.wait(_RESTART_PAUSE_S)

    def stop(self) -> None:
        """End both processes; a run that was active is recorded as failed and can be resumed."""
        for process in (self._server_app, self._superlink):
            if process is not None:
                end_child(process)
        self._server_app = self._superlink = None

    def _answers(self) -> bool:
        try:
            check_coordinator(self.settings.local_address, self.settings.tls.ca_certificate)
        except UnreachableError as error:
            if error.code != "NE001":
                raise
            return False
        return True

    def _prepare(self) -> None:
        (self.settings.home / "logs").mkdir(parents=True, exist_ok=True)
        _create_secret(self.settings.control_token_file)
        _create_secret(self.settings.executor_secret_file)

    def _start_superlink(self) -> subprocess.Popen[bytes]:
        return self._start(
            "superlink",
            "cordon_server.transport.superlink_process",
            {
                "arguments": self.settings.arguments(),
                "control_token": self.settings.control_token(),
            },
        )

    def _start_server_app(self) -> subprocess.Popen[bytes]:
        return self._start(
            "serverapp",
            "cordon_server.transport.serverapp_process",
            {
                "address": self.settings.local_address,
                "ca_certificate": str(self.settings.tls.ca_certificate),
                "executor_secret_file": str(self.settings.executor_secret_file),
                "server_app": self.settings.server_app,
            },
        )

    def _start(self, name: str, module: str, settings: object) -> subprocess.Popen[bytes]:
        with (self.settings.home / "logs" / f"{name}.log").open("ab") as log:
            return start_child(
                module, json.dumps(settings).encode(), self.settings.environment(), log=log
            )


def run_superlink(settings: SuperLinkSettings, *, stop: threading.Event | None = None) -> None:
    """Run the SuperLink and the ServerApp's process until SIGTERM, SIGINT or `stop`.

    Raises:
        CordonError: NE002 the port is in use, TR010 it does not start.
    """
    with stop_signals(stop) as stopping, SuperLink(settings) as superlink:
        _LOG.info("the SuperLink answers at %s", settings.local_address)
        superlink.supervise(stopping)


def _require_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnreachableError("NE002", why=f"{host}:{port}: {error.strerror}") from None


def _create_secret(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))

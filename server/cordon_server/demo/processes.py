"""Starting real processes, each in its own group with its own log, and leaving none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from cordon_common.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STOP_GRACE_S = 10.0


@dataclass
class Processes:
    """The processes that the demo started; use as a context manager, so that all are stopped."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> None:
        """Start `cordon <arguments>` in the background; its output goes to a log of its name."""
        environment = {
            key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
        }
        environment |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "cordon_common.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float) -> None:
        """Wait for something to become true while every started process stays alive.

        Raises:
            CheckFailed: CK901 naming what did not come up, or which process ended.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise CheckFailed("CK901", f"{what} was not ready after {timeout_s:.0f} s")
            time.sleep(0.1)

    def check_alive(self) -> None:
        """Fail when a process has ended by itself.

        Raises:
            CheckFailed: CK901.
        """
        for name, process in self.running.items():
            if process.poll() is not None:
                raise CheckFailed(
                    "CK901",
                    f"the process {name} ended with status {process.returncode}",
                    why=_tail(self.logs / f"{name}.log"),
                )

    def stop(self) -> None:
        """Ask every process group to end, wait, then end what is left."""
        for process in self.running.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self.running.values():
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self.running.clear()


def free_port() -> int:
    """Ask the system for a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-5:])

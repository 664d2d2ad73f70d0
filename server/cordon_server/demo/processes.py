"""Starting real processes, each in its own group with its own log, and leaving none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cordon_common.errors import CheckFailed
from cordon_common.processes import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

STOP_GRACE_S = 15.0  # the coordinator ends two children of its own, 6 s for each at most


@dataclass
class Processes:
    """The processes that the demo started; use as a context manager, so that all are stopped.

    They end at the end of the context, on Ctrl-C, on SIGTERM, and, by their leash, even when this
    process is killed.
    """

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _earlier: dict[int, Any] = field(default_factory=dict, init=False, repr=False)
    _interrupted: bool = field(default=False, init=False, repr=False)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        if threading.current_thread() is threading.main_thread():
            self._earlier = {
                signal.SIGTERM: signal.signal(signal.SIGTERM, _end_by_exception),
                signal.SIGINT: signal.signal(signal.SIGINT, self._interrupt),
            }
        return self

    def _interrupt(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self._interrupted = True
        raise KeyboardInterrupt

    def raise_if_interrupted(self) -> None:
        """End at the next step when Ctrl-C came where Python drops exceptions (a finaliser, say).

        Raises:
            KeyboardInterrupt: when it was pressed at any time before.
        """
        if self._interrupted:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._earlier.items():
                signal.signal(number, handler)

    def start(self, name: str, *arguments: str) -> None:
        """Start `cordon <arguments>` in the background; its output goes to a log of its name.

        A process of the same name must have ended; its place is taken.
        """
        environment = child_environment({"OMP_NUM_THREADS": "1", "NO_COLOR": "1"})
        if (ended := self.running.pop(name, None)) is not None:
            _let_go(ended)
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "cordon_server.demo.leashed", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        _write_line(self.running[name])

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float) -> None:
        """Wait for something to become true while every started process stays alive.

        Raises:
            CheckFailed: CK901 naming what did not come up, or which process ended.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.raise_if_interrupted()
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
        """Ask every process group to end, wait, then end what is left; Ctrl-C ends the waiting."""
        for process in self.running.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        try:
            for process in self.running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            for process in self.running.values():
                _signal_group(process, signal.SIGKILL)
                _let_go(process)
            self.running.clear()


def free_port() -> int:
    """Ask the system for a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_by_exception(_number: int, _frame: FrameType | None) -> NoReturn:
    """Let SIGTERM unwind the stack, so that whoever started processes ends them."""
    raise SystemExit(128 + signal.SIGTERM)


def _write_line(process: subprocess.Popen[bytes]) -> None:
    """Give a leashed process the line that it waits for; the open pipe is its leash."""
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    with contextlib.suppress(BrokenPipeError):  # it ended at once; its log says why
        process.stdin.write(b"\n")
        process.stdin.flush()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-5:])

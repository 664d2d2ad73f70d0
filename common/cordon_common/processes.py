"""Parent and child processes that never leave one another behind.

A child gets its settings as one line on stdin, which then stays open as a lifeline: when the
parent is gone, however it ended, stdin closes and the child ends too.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

END_GRACE_S = 6.0


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment plus `extra`; children may cache their bytecode."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | dict(extra)


def start_child(
    module: str,
    settings: bytes,
    environment: Mapping[str, str],
    *,
    log: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m module` in its own session, with `settings` (one line) on its stdin.

    Its output goes to `log`, or to this process's own stdout and stderr.
    """
    process = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=dict(environment),
        start_new_session=True,
    )
    with suppress(BrokenPipeError):  # it ended at once; its exit status says why
        _pipe(process).write(settings.rstrip(b"\n") + b"\n")
        _pipe(process).flush()
    return process


def end_child(process: subprocess.Popen[bytes], grace_s: float = END_GRACE_S) -> int:
    """End a child started by `start_child`: SIGTERM, then SIGKILL; return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    status = process.wait()
    with suppress(BrokenPipeError):  # settings that it never read
        _pipe(process).close()
    return status


def end_with_parent(grace_s: float = END_GRACE_S) -> bytes:
    """In the child: return the settings line, and end this process when the parent is gone.

    The process then gets SIGTERM, and is ended by force if it still lives `grace_s` later.
    """
    settings = sys.stdin.buffer.readline()
    threading.Thread(target=_wait_for_parent, args=(grace_s,), daemon=True).start()
    return settings


@contextmanager
def stop_signals(stop: threading.Event | None = None) -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; the earlier handlers return afterwards.

    Outside the main thread, where Python allows no handlers, the caller sets the event.
    """
    stopping = stop or threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _wait_for_parent(grace_s: float) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(1)


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101 - start_child always makes a pipe
    return process.stdin

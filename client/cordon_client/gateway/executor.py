"""The warm, pinned executor: every task runs the ClientApp that is installed here.

The bundle (FAB) that a run brings is never unpacked and never imported; it only names the run.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

_LOG = logging.getLogger(__name__)


class Task(Protocol):
    """One message to answer, with the context of its run."""

    message: Message
    context: Context

    def answer(self, reply: Message) -> None:
        """Store the reply and mark the task completed."""

    def fail(self) -> None:
        """Reply with an error that carries a code only, and mark the task failed."""


class Handover:
    """Where the SuperNode's waits meet the executor.

    The SuperNode calls `wait_for_reply` when it holds a message and `wait_for_message` when it has
    none. The latter's pause is short while messages come and grows with the silence. `on_turn` is
    called at each wait: the loop is alive.
    """

    BUSY_S = 0.1
    IDLE_S = 2.0
    SILENCE_SHARE = 1 / 30  # a pause never adds more than this share to a wait
    HELD_S = 0.4  # a poll that took this long was held by the SuperLink: ask again at once

    def __init__(self, on_turn: Callable[[], None] = lambda: None) -> None:
        self._on_turn = on_turn
        self._message = threading.Event()
        self._reply = threading.Event()
        self._last_message = time.monotonic()
        self._last_pause = time.monotonic()

    def wait_for_reply(self, timeout_s: float) -> None:
        """Wake the executor and wait until it has answered, at most `timeout_s`."""
        self._on_turn()
        self._message.set()
        self._reply.wait(timeout_s)
        self._reply.clear()
        self._last_message = self._last_pause = time.monotonic()

    def wait_for_message(self) -> None:
        """Pause between two polls of the SuperLink."""
        self._on_turn()
        now = time.monotonic()
        if now - self._last_pause < self.HELD_S:
            silence_s = now - self._last_message
            time.sleep(min(max(self.BUSY_S, silence_s * self.SILENCE_SHARE), self.IDLE_S))
        self._last_pause = time.monotonic()

    def serve(self, acquire: Callable[[], Task | None], app: ClientApp) -> None:
        """Answer messages as they come, for ever.

        One for each wait of the SuperNode: only then is a message there with all its parts.
        """
        while True:
            self._message.wait()
            if (task := acquire()) is not None:
                execute(task, app)
            self._message.clear()
            self._reply.set()


def execute(task: Task, app: ClientApp) -> None:
    """Answer one task with the installed ClientApp."""
    try:
        task.answer(app(message=task.message, context=task.context))
    except Exception:  # noqa: BLE001 - an error's text must not reach the coordinator
        _LOG.exception("a %s task failed", task.message.metadata.message_type)
        task.fail()

"""The executor runs the installed app, and the SuperNode's waits adapt to what happens."""

import threading
import time
from types import SimpleNamespace

import pytest

from cordon_client.gateway import executor
from cordon_client.gateway.executor import Handover, execute


class FakeTask:
    def __init__(self):
        self.message = SimpleNamespace(metadata=SimpleNamespace(message_type="train"))
        self.context = SimpleNamespace()
        self.replies = []
        self.failed = False

    def answer(self, reply):
        self.replies.append(reply)

    def fail(self):
        self.failed = True


def test_the_reply_is_the_installed_apps():
    task = FakeTask()
    execute(task, lambda message, context: ("answered", message, context))
    assert task.replies == [("answered", task.message, task.context)]
    assert not task.failed


def test_an_app_that_raises_fails_the_task_without_passing_its_text():
    def explode(message, context):
        raise RuntimeError("SECRET")

    task = FakeTask()
    execute(task, explode)
    assert task.failed
    assert task.replies == []


def test_a_waiting_message_is_answered_while_the_supernode_waits():
    handover = Handover()
    tasks = [FakeTask(), FakeTask()]
    queue = list(tasks)
    threading.Thread(
        target=handover.serve,
        args=(lambda: queue.pop(0) if queue else None, lambda message, context: "ok"),
        daemon=True,
    ).start()
    started = time.monotonic()
    handover.wait_for_reply(5.0)
    assert [task.replies for task in tasks] == [["ok"], []]  # the next one may not be whole yet
    handover.wait_for_reply(5.0)
    assert [task.replies for task in tasks] == [["ok"], ["ok"]]
    assert time.monotonic() - started < 2.0


def test_the_wait_for_a_reply_ends_in_time_when_the_app_is_slow():
    handover = Handover()
    started = time.monotonic()
    handover.wait_for_reply(0.05)
    assert 0.04 < time.monotonic() - started < 1.0


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""
    clock = SimpleNamespace(now=1000.0, sleeps=[])

    def sleep(seconds):
        clock.sleeps.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(executor, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    return clock


def test_polls_are_close_while_messages_come_and_grow_rare_in_silence(clock):
    handover = Handover()
    handover.wait_for_message()
    assert clock.sleeps == [Handover.BUSY_S]
    for _ in range(2000):
        handover.wait_for_message()
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[-1] == Handover.IDLE_S
    handover.wait_for_reply(0.0)
    handover.wait_for_message()
    assert clock.sleeps[-1] == Handover.BUSY_S


def test_a_pause_never_adds_more_than_its_share_to_a_wait(clock):
    handover = Handover()
    start = clock.now
    for _ in range(200):
        silence = clock.now - start
        handover.wait_for_message()
        assert clock.sleeps[-1] <= max(Handover.BUSY_S, silence * Handover.SILENCE_SHARE)


def test_a_poll_that_the_superlink_held_is_repeated_at_once(clock):
    handover = Handover()
    handover.wait_for_message()
    clock.sleeps.clear()
    clock.now += 2.0  # the poll took two seconds
    handover.wait_for_message()
    assert clock.sleeps == []
    clock.now += 0.01  # a SuperLink that does not hold polls
    handover.wait_for_message()
    assert len(clock.sleeps) == 1

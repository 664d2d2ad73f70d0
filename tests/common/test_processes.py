"""No parent leaves a child behind, no child outlives its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cordon_common.processes import child_environment, end_child, start_child, stop_signals

CHILD = """
import signal, sys, time
from pathlib import Path
from cordon_common.processes import end_with_parent
settings = end_with_parent(grace_s={grace})
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(settings.decode().strip()).write_text("up")
time.sleep(60)
"""


@pytest.fixture
def module(tmp_path):
    """Writes a child module and gives the environment in which `python -m` finds it."""

    def write(*, stubborn=False, grace=0.3):
        name = f"child_{'stubborn' if stubborn else 'polite'}"
        (tmp_path / f"{name}.py").write_text(CHILD.format(stubborn=stubborn, grace=grace))
        return name, child_environment({"PYTHONPATH": str(tmp_path)})

    return write


def wait_until(condition, timeout_s=15.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_gets_its_settings_and_ends_when_asked(module, tmp_path):
    name, environment = module()
    child = start_child(name, str(tmp_path / "up").encode(), environment)
    wait_until((tmp_path / "up").exists)
    assert end_child(child) == -signal.SIGTERM


def test_a_child_that_ignores_the_request_is_killed(module, tmp_path):
    name, environment = module(stubborn=True)
    child = start_child(name, str(tmp_path / "up").encode(), environment)
    wait_until((tmp_path / "up").exists)
    assert end_child(child, grace_s=0.3) == -signal.SIGKILL


def test_ending_a_child_that_has_ended_gives_its_status(module):
    child = start_child("no_such_module_at_all", b"{}", child_environment({}))
    child.wait()
    assert end_child(child) == 1


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_child_ends_when_its_parent_is_killed(stubborn, module, tmp_path):
    name, environment = module(stubborn=stubborn)
    program = (
        "import sys, time\n"
        "from cordon_common.processes import child_environment, start_child\n"
        "child = start_child(sys.argv[1], sys.argv[2].encode(), child_environment({}))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, name, str(tmp_path / "up")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    wait_until((tmp_path / "up").exists)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not _runs(pid))


def _runs(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"  # an orphan may wait for a reaper


def test_children_may_cache_their_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = child_environment({"A": "b"})
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["A"] == "b"


def test_signals_set_the_event_and_the_earlier_handlers_return():
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(1.0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_the_callers_event_serves():
    event, seen = threading.Event(), []

    def work():
        with stop_signals(event) as stopping:
            seen.append(stopping)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [event]

"""However the demo ends before its time, no process of it is left behind."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOMENTS = {
    "during set-up": r"cordon site init",
    "while the processes start": r"cordon site approve",
    "during training": r"round 2 of",
    "at the audit": r"cordon audit verify",
}

# A shell shows 130 for both: CPython ends itself by SIGINT when the interrupt came while it ran
# source text through exec(), as dataclasses do at import.
ENDED_BY_CTRL_C = {130, -signal.SIGINT}

pytestmark = [pytest.mark.federation, pytest.mark.slow]


class Demo:
    """`cordon demo` in the background, with what it says so far."""

    def __init__(self, out):
        self.out = out
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cordon_common.cli.main", "demo", "--out", str(out)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.said += line

    def wait_for(self, pattern):
        deadline = time.monotonic() + 180
        while not re.search(pattern, self.said):
            assert self.process.poll() is None, self.said[-2000:]
            assert time.monotonic() < deadline, self.said[-2000:]
            time.sleep(0.02)

    def end(self, number):
        self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join(60)
        self.process.stderr.close()
        return status


@pytest.fixture
def demo(tmp_path):
    started = Demo(tmp_path / "d")
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGKILL)
    for pid in processes_about(tmp_path):
        os.kill(pid, signal.SIGKILL)  # a failed test must not leave behind what it complains of


def processes_about(folder):
    """Pids of living processes whose command, environment or working directory names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            known += bytes((process / "cwd").readlink())
        except OSError:
            continue  # it has ended, or is another user's
        if str(folder).encode() in known and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def children_log(demo):
    return {path.name: path.read_text() for path in (demo.out / "logs").glob("*.log")}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_ends_the_demo_and_every_process_that_it_started(moment, demo):
    demo.wait_for(MOMENTS[moment])
    assert demo.end(signal.SIGINT) in ENDED_BY_CTRL_C, demo.said[-2000:]
    assert processes_about(demo.out) == []
    assert "Traceback" not in demo.said + "".join(children_log(demo).values())


def test_a_request_to_end_is_obeyed_like_ctrl_c(demo):
    demo.wait_for(MOMENTS["during training"])
    assert demo.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert processes_about(demo.out) == []


def test_processes_whose_demo_was_killed_end_by_themselves(demo):
    demo.wait_for(MOMENTS["during training"])
    assert len(processes_about(demo.out)) > 8  # or the search would find nothing whatever happens
    assert demo.end(signal.SIGKILL) == -signal.SIGKILL
    deadline = time.monotonic() + 15
    while processes_about(demo.out):
        assert time.monotonic() < deadline
        time.sleep(0.1)

"""The README's walk-through, typed as it stands: a consortium on one machine, to the verdict."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cordon_server.demo.data import write_breast_cancer_cohorts

ROOT = Path(__file__).parents[2]
WALK = "## A consortium, step by step"
TIMEOUT_S = 400

pytestmark = [pytest.mark.federation, pytest.mark.slow]


def commands():
    """The `$ ` lines of the walk-through's console blocks, with their continuation lines."""
    text = (ROOT / "README.md").read_text().split(WALK)[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def workplace(folder):
    """A folder that looks like the checkout after `make demo`."""
    write_breast_cancer_cohorts(folder / "cordon-demo" / "cohorts")
    (folder / "configs").symlink_to(ROOT / "configs")
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "cordon").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m cordon_common.cli.main "$@"\n'
    )
    (binaries / "cordon").chmod(0o755)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_the_readme_holds_every_command_of_the_three_parts():
    text = "\n".join(commands())
    for noun, verbs in {
        "coordinator": ("init", "enrol", "serve"),
        "site": ("init", "join", "doctor", "qc", "approve", "vault", "gateway", "budget", "export"),
        "study": ("new", "plan", "sign", "launch", "resume", "report", "export"),
        "audit": ("verify",),
    }.items():
        for verb in verbs:
            assert f"cordon {noun} {verb}" in text


def test_the_readme_walk_through_ends_with_a_verdict(tmp_path):
    workplace(tmp_path)
    script = "\n".join(commands()).replace("8443", free_port())
    # a person waits until the coordinator says that it serves; so does the script
    serve = "cordon coordinator serve coordinator &"
    assert serve in script
    script = script.replace(
        serve, f"{serve}\nuntil grep -q 'serving at' ../told; do sleep 0.2; done"
    )
    told = tmp_path / "told"
    with told.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        try:
            status = shell.wait(TIMEOUT_S)
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):  # everything has ended
                    os.killpg(shell.pid, number)
                    time.sleep(3)
    text = told.read_text()
    assert status == 0, text[-4000:]
    assert "has finished" in text
    assert "PASS" in text
    assert (tmp_path / "consortium" / "report.html").stat().st_size > 20_000

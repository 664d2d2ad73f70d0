"""Kill the process, fill the disk: nothing that was promised is lost, nothing is charged twice."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from cordon_common.canonical import digest
from cordon_common.errors import SystemFault
from cordon_common.ledger.entries import SITE_KINDS, ReleaseReserved, ReleaseSettled, parse_entry

WORKER = Path(__file__).with_name("worker.py")
KILLS = 20


def start(bench, first, last, run="run-1", budget=10**6):
    key = bench.path.with_suffix(".pem")
    if not key.exists():
        bench.key.save(key)
    arguments = [bench.path, key, bench.study.digest, run, first, last, budget]
    return subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def kill_at_random(bench, first):
    """Run the worker, kill it within its first 300 ms of work, return the steps it told of."""
    worker = start(bench, first, 10**6)
    assert worker.stdout.readline() == "ready\n"
    time.sleep(secrets.randbelow(300_000) / 1e6)
    worker.kill()
    rest, _ = worker.communicate()
    return [line.split() for line in rest.splitlines() if len(line.split()) == 3]


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_charge_nothing_twice(bench):
    bench.create().close()
    reserved, answers, first = {}, {}, 0
    for _ in range(KILLS):
        for verb, number, value in kill_at_random(bench, first):
            if verb == "reserved":
                assert reserved.setdefault(number, value) == value
            else:
                assert answers.setdefault(number, value) == value
        first = max(0, len(answers) - 1)
        ledger = bench.open()  # computes the whole tree again
        bodies = [parse_entry(data, SITE_KINDS).body for data in ledger.log.entries()]
        charged = Counter(b.slot.round for b in bodies if isinstance(b, ReleaseReserved))
        settled = Counter(b.slot.round for b in bodies if isinstance(b, ReleaseSettled))
        ledger.close()
        assert set(charged.values()) | set(settled.values()) <= {1}
        assert {int(n) for n in reserved} <= set(charged)
        assert {int(n) for n in answers} <= set(settled)
        assert len(charged) - len(reserved) <= 1
        assert len(charged) - len(settled) <= 1
    assert len(answers) > KILLS
    told = f"{KILLS} kills, {len(reserved)} reservations, {len(answers)} answers: none lost"
    sys.stdout.write(f"\n{told}\n")


@pytest.mark.slow
def test_three_processes_share_one_ledger(bench):
    bench.create().close()
    workers = [start(bench, 0, 40, run=f"run-{i}") for i in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    told = [worker.communicate()[0].count("settled") for worker in workers]
    assert told == [40, 40, 40]
    assert len(bench.open().charges()) == 120


@pytest.mark.parametrize("budget", [1, 7])
def test_processes_racing_for_the_last_of_the_budget_spend_exactly_that(bench, budget):
    """Four real processes on one ledger, each after five releases: nobody gets one too many."""
    bench.create().close()
    workers = [start(bench, 0, 5, run=f"run-{i}", budget=budget) for i in range(4)]
    told = "".join(worker.communicate(timeout=120)[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [0] * 4
    assert told.count("reserved") == told.count("settled") == budget
    assert told.count("refused") == 20 - budget
    assert len(bench.open().charges()) == budget


@pytest.mark.slow
def test_two_processes_asked_for_the_same_slots_give_the_same_answers(bench):
    bench.create().close()
    workers = [start(bench, 0, 40) for _ in range(2)]
    answers = []
    for worker in workers:
        lines = [line.split() for line in worker.communicate(timeout=120)[0].splitlines()]
        answers.append({line[1]: line[2] for line in lines if line[0] in {"settled", "stored"}})
    assert answers[0] == answers[1]
    assert len(bench.open().charges()) == 40


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must be able to mount a small file system")
        pytest.skip("needs the privilege to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_so_and_loses_nothing(bench, small_disk):
    bench.path = small_disk / "ledger.db"
    ledger = bench.create()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(64_000))
    answers = {}

    def fill():
        for number in range(10_000):
            ticket = bench.reserve(ledger, number)
            answers[number] = ledger.settle(
                ticket, digest(b"r"), lambda _position: secrets.token_bytes(4000)
            )

    with pytest.raises(SystemFault, match="SY001"):
        fill()
    assert len(answers) > 10
    for i, answer in answers.items():
        assert ledger.stored_reply(bench.slot(i), digest(b"request")) == answer
    ledger.close()

    ballast.unlink()
    again = bench.open()
    assert {c.slot_key for c in again.charges()} >= {bench.slot(i).key for i in answers}
    assert len(again.charges()) - len(answers) <= 1
    for i, answer in answers.items():
        assert again.stored_reply(bench.slot(i), digest(b"request")) == answer
    ticket = bench.reserve(again, len(answers))
    assert bench.settle(again, ticket, b"now it fits").startswith(b"now it fits")

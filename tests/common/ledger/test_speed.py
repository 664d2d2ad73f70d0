"""How long an append takes beside a bare SQLite commit of as many bytes."""

from __future__ import annotations

import itertools
import sqlite3
import statistics
import sys
import time

import pytest

APPENDS = 100
TRIALS = 3
MOST_MS = 5.0


@pytest.fixture
def bare(bench):
    """A bare SQLite table under the same durability."""
    connection = sqlite3.connect(bench.path.with_suffix(".bare"), isolation_level=None)
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, data BLOB) STRICT")
    yield connection
    connection.close()


def commit(connection, size):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO bare (data) VALUES (?)", (bytes(size),))
    connection.execute("COMMIT")


def medians_ms(bench, ledger, bare, trial):
    """Median milliseconds of (reserve, settle, bare commit), taken in turn."""
    times = []
    for number in range(APPENDS):
        marks = [time.perf_counter()]
        ticket = bench.reserve(ledger, trial * APPENDS + number)
        marks.append(time.perf_counter())
        bench.settle(ledger, ticket)
        marks.append(time.perf_counter())
        commit(bare, 900)
        marks.append(time.perf_counter())
        times.append([1e3 * (b - a) for a, b in itertools.pairwise(marks)])
    return [statistics.median(column) for column in zip(*times, strict=True)]


@pytest.mark.slow
def test_an_append_is_at_most_five_milliseconds_or_close_to_a_bare_commit(bench, ledger, bare):
    for trial in range(TRIALS):  # on a busy machine the first may be out of luck
        reserve, settle, commit_ = medians_ms(bench, ledger, bare, trial)
        told = f"reserve {reserve:.2f} ms, settle {settle:.2f} ms, bare commit {commit_:.2f} ms"
        sys.stdout.write(f"\n{told}\n")
        if max(reserve, settle) <= max(MOST_MS, 1.3 * commit_):
            return
    pytest.fail(told)

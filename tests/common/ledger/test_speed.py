"""How long an append takes beside a bare SQLite commit of as many bytes."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time

import pytest

APPENDS = 200
MOST_MS = 5.0


def bare_commits(path, size):
    """Median seconds of a bare commit of `size` bytes under the same durability."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, data BLOB) STRICT")
    times = []
    for seq in range(APPENDS):
        start = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare VALUES (?, ?)", (seq, bytes(size)))
        connection.execute("COMMIT")
        times.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(times)


@pytest.mark.slow
def test_an_append_is_at_most_five_milliseconds_or_close_to_a_bare_commit(bench, ledger):
    reserving, settling = [], []
    for number in range(APPENDS):
        start = time.perf_counter()
        ticket = bench.reserve(ledger, number)
        middle = time.perf_counter()
        bench.settle(ledger, ticket)
        reserving.append(middle - start)
        settling.append(time.perf_counter() - middle)
    size = max(len(data) for data in ledger.log.entries()[2:])
    bare_ms = 1e3 * bare_commits(bench.path.with_suffix(".bare"), size)
    reserve_ms, settle_ms = (1e3 * statistics.median(times) for times in (reserving, settling))
    told = f"reserve {reserve_ms:.2f} ms, settle {settle_ms:.2f} ms, bare commit {bare_ms:.2f} ms"
    sys.stdout.write(f"\n{told}\n")
    assert max(reserve_ms, settle_ms) <= max(MOST_MS, 1.3 * bare_ms)

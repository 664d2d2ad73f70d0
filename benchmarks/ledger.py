"""The ledger beside bare SQLite, and how long an auditor waits for ten thousand entries.

python -m benchmarks.ledger [--appends 300] [--json FILE] [--folder DIR]

Appends and bare commits of as many bytes are taken in turn in one run, on one disk, with the same
journal and a full fsync each. What computes and does not wait for the disk is judged by its processor
time, which a busy machine does not change. A reservation carries the tree's root and a signature besides.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.lines import Line, finish, ratio_line
from cordon_common.audit.bundle import read_bundle
from cordon_common.audit.chain import check_chain
from cordon_common.audit.verify import verify_bundles
from cordon_common.canonical import canonical_bytes, digest
from cordon_common.clock import utc_now
from cordon_common.ledger.bundle import export_site_bundle
from cordon_common.ledger.coordinator import CoordinatorLog
from cordon_common.ledger.entries import CampaignStarted, ReleaseReserved, ReleaseSettled
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.events import GaussianRelease
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = 10_000
EVENT = GaussianRelease(
    purpose="training",
    population="train",
    noise_multiplier=200.0,
    sensitivity_grid=2.0**32,
    stability=1,
    dimension=31,
)


@dataclass(frozen=True)
class Bench:
    """A ledger with one approved study, and a bare table beside it."""

    ledger: SiteLedger
    bare: sqlite3.Connection
    study: str

    def slot(self, number: int) -> Slot:
        """Return the slot of a training round."""
        return Slot(study=self.study, run="run-1", phase="train", round=number)


@contextlib.contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Make a ledger and a bare table with the same durability in one folder."""
    study = seal(SigningKey.generate(), "cordon.study.v1", {"name": "breast-cancer"})
    ledger = SiteLedger.open(
        folder / "ledger.db",
        key=SigningKey.generate(),
        site="north",
        dataset="main",
        clock=utc_now,
        create=True,
    )
    ledger.approve(study, {})
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "fullfsync = ON"):
        bare.execute(f"PRAGMA {pragma}")
    bare.execute("CREATE TABLE bare (seq INTEGER PRIMARY KEY, data BLOB) STRICT")
    yield Bench(ledger, bare, study.digest)
    ledger.close()
    bare.close()


def append_times_ms(bench: Bench, appends: int) -> np.ndarray:
    """Return milliseconds [appends, 3] of a reservation, its settlement and a bare commit."""
    times = []
    for number in range(appends):
        marks = [time.perf_counter()]
        ticket = bench.ledger.reserve(
            bench.slot(number), digest(b"request"), EVENT, lambda _charges: None
        )
        marks.append(time.perf_counter())
        bench.ledger.settle(ticket, digest(b"release"), lambda _position: bytes(600))  # type: ignore[arg-type]
        marks.append(time.perf_counter())
        bench.bare.execute("BEGIN IMMEDIATE")
        bench.bare.execute("INSERT INTO bare (data) VALUES (?)", (bytes(900),))
        bench.bare.execute("COMMIT")
        marks.append(time.perf_counter())
        times.append([1e3 * (after - before) for before, after in itertools.pairwise(marks)])
    return np.asarray(times)


def append_lines(times: np.ndarray) -> list[Line]:
    """Judge the appends: five milliseconds, or close to a bare commit, whichever is kinder."""
    bare = float(np.median(times[:, 2]))
    allowed = max(5.0, 1.3 * bare)
    lines = [
        Line(
            f"{name}, full fsync",
            *(float(q) for q in (np.median(times[:, at]),)),
            must=allowed,
            aim=5.0,
            low=float(np.quantile(times[:, at], 0.25)),
            high=float(np.quantile(times[:, at], 0.75)),
            unit=" ms",
            note=f"must: 5 ms, or 1.3 × a bare commit ({bare:.2f} ms)",
        )
        for at, name in ((0, "reserve"), (1, "settle"))
    ]
    ratio = ratio_line("reserve ÷ bare commit", times[:, 0], times[:, 2], must=None)
    return [*lines, ratio]


def grow(bench: Bench, entries: int) -> None:
    """Fill the ledger up to so many entries, many to a transaction."""
    number = 100_000
    while (missing := entries - bench.ledger.log.size) > 0:
        with bench.ledger.log.transaction() as transaction:
            for _ in range(min(500, (missing + 1) // 2)):
                slot = bench.slot(number)
                body = ReleaseReserved(slot=slot, request=digest(b"q"), event=EVENT)
                at = transaction.append(body).seq
                release = digest(b"%d" % number)
                transaction.append(ReleaseSettled(reserved=at, slot=slot, release=release))
                number += 1


def verify_line(bench: Bench, folder: Path) -> Line:
    """Time the whole verification of a bundle of ten thousand entries, ε included."""
    grow(bench, ENTRIES)
    bundle = folder / "site.zip"
    export_site_bundle(bench.ledger, bundle, policy={})
    seconds, waited = [], []
    for _ in range(3):
        started, began = time.process_time(), time.perf_counter()
        result = verify_bundles([bundle])
        seconds.append(time.process_time() - started)
        waited.append(time.perf_counter() - began)
    chain = {row.check: row.status for row in check_chain(read_bundle(bundle))}
    if set(chain.values()) != {"PASS"} or not result.parts:
        raise SystemExit(f"the bundle that was measured does not verify: {chain}")
    count = bench.ledger.log.size
    return Line(
        f"audit verify, {count} entries, processor time",
        statistics.median(seconds),
        10.0,
        5.0,
        low=min(seconds),
        high=max(seconds),
        unit=" s",
        note=f"one thread; {statistics.median(waited):.1f} s on the clock",
    )


def witness_line(folder: Path, sites: int = 10) -> Line:
    """Time the offers to ten sites from a coordinator's log of ten thousand entries."""
    log = CoordinatorLog.open(
        folder / "log.db", key=SigningKey.generate(), name="c", clock=utc_now, create=True
    )
    study = digest(b"study")
    for start in range(0, ENTRIES, 500):
        log.append_all(
            [
                CampaignStarted(study=study, run=f"run-{number}", software={})
                for number in range(start, start + 500)
            ]
        )
    names = [f"site-{number}" for number in range(sites)]
    log.offers.make(study, "run-0", names)
    times = []
    for number in range(20):
        log.append(CampaignStarted(study=study, run=f"more-{number}", software={}))
        started = time.process_time()
        offers = log.offers.make(study, "run-0", names)
        times.append(1e3 * (time.process_time() - started))
    bytes_each = len(canonical_bytes(offers[names[0]].model_dump(mode="json")))
    log.close()
    low, middle, high = (float(q) for q in np.quantile(times, [0.25, 0.5, 0.75]))
    note = f"{bytes_each} bytes a site, in messages that go anyway"
    return Line(
        f"offers to {sites} sites, {ENTRIES} entries, processor time",
        middle,
        50,
        20,
        "lower",
        low,
        high,
        " ms",
        note,
    )


def main() -> int:
    """Print the lines; 0 only if every must is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appends", type=int, default=300)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure; default: the temporary"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with bench_in(folder) as bench:
            lines = append_lines(append_times_ms(bench, options.appends))
            lines.append(verify_line(bench, folder))
        lines.append(witness_line(folder))
    return finish(lines, options.json, ("cryptography", "rfc8785"))


if __name__ == "__main__":
    sys.exit(main())

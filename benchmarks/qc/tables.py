"""A table of ten million rows and thirty columns: surveyed in memory that does not grow with rows.

Bounded means two things here: the peak of the reading process stays under a fixed number of MiB, and
ten times the rows need hardly more. One million rows are already more than any buffer, sample or
set of row hashes of the survey holds, so what is added beyond them would be growth with rows.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.lines import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.qc.part import Options

COLUMNS = 30
_CHUNK = 250_000
_MAX_MIB = 800
_READ = """
import resource, sys, time
from pathlib import Path
from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.work import Work, carry_out
from cordon_common.qc.profile import builtin_profile

told = time.monotonic()

def progress(done, total):
    global told
    if time.monotonic() - told > 5:
        told = time.monotonic()
        print(f"  {100 * done // total} %", file=sys.stderr, flush=True)

work = Work(CLINICAL, (SampleFiles("t", (Path(sys.argv[1]),)),), builtin_profile("clinical.v1"))
(found,) = carry_out(work, progress)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(found.stats["records"], usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
"""


@dataclass(frozen=True)
class _Surveyed:
    """What one process needed for one table."""

    peak_mib: float
    cpu_s: float


def lines(options: Options) -> list[Line]:
    """Survey a small and a ten times larger table, each in a process of its own, in both formats."""
    large = 1_000_000 if options.quick else 10_000_000
    return [line for suffix in ("parquet", "csv") for line in _format(options, suffix, large)]


def _format(options: Options, suffix: str, large: int) -> list[Line]:
    small = large // 10
    found = {rows: _surveyed(options.scratch, suffix, rows) for rows in (small, large)}
    growth = found[large].peak_mib / found[small].peak_mib
    bound = None if small < 1_000_000 else 1.5  # a small table does not fill the survey's sample
    name = f"{suffix} {large:,} × {COLUMNS}"
    return [
        Line(f"{name}: peak memory", found[large].peak_mib, must=_MAX_MIB, unit=" MiB"),
        Line(f"{name}: peak, of a tenth", growth, must=bound, aim=1.1, unit="×"),
        Line(f"{name}: CPU per million rows", found[large].cpu_s / large * 1e6, None, unit=" s"),
    ]


def _surveyed(scratch: Path, suffix: str, rows: int) -> _Surveyed:
    path = scratch / f"table-{rows}.{suffix}"
    print(f"{suffix}, {rows:,} rows: writing", file=sys.stderr, flush=True)
    _write(path, rows)
    size_mib = path.stat().st_size / 2**20
    started = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    counted, peak_kib, cpu_s = answer.stdout.split()
    if int(counted) != rows:
        raise RuntimeError(f"{counted} of {rows} rows were counted")
    wall_s = time.monotonic() - started
    print(
        f"{suffix}, {rows:,} rows, {size_mib:,.0f} MiB: {float(cpu_s):.1f} s CPU, {wall_s:.1f} s, "
        f"peak {int(peak_kib) / 1024:.0f} MiB",
        flush=True,
    )
    path.unlink()
    return _Surveyed(int(peak_kib) / 1024, float(cpu_s))


def _write(path: Path, rows: int) -> None:
    """Write a table of numbers, codes, categories and dates, chunk by chunk."""
    open_writer = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
    chunks = _chunks(rows)
    first = next(chunks)
    with open_writer(str(path), first.schema) as writer:
        writer.write_table(first)
        for table in chunks:
            writer.write_table(table)


def _chunks(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(1)
    for start in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - start)
        columns = {
            f"x{i}": rng.normal(100, 15, n).round(2).astype(np.float32) for i in range(COLUMNS - 6)
        }
        columns |= {f"k{i}": rng.integers(0, 5, n).astype(np.int8) for i in range(3)}
        columns["visit"] = rng.integers(15_000, 18_000, n).astype("datetime64[D]")
        columns["ward"] = np.array(["A1", "B2", "C3"])[rng.integers(0, 3, n)]
        columns["patient"] = np.arange(start, start + n) + 10**6
        yield pa.table(columns)

"""A table of ten million rows and thirty columns: surveyed in memory that does not grow with rows."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.lines import Line

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.qc.part import Options

COLUMNS = 30
_CHUNK = 250_000
_READ = """
import resource, sys
from pathlib import Path
from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.work import Work, carry_out
from cordon_common.qc.profile import builtin_profile

work = Work(CLINICAL, (SampleFiles("t", (Path(sys.argv[1]),)),), builtin_profile("clinical.v1"))
(found,) = carry_out(work, lambda done, total: None)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(found.stats["records"], usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
"""


def lines(options: Options) -> list[Line]:
    """Survey a small and a large Parquet table in processes of their own."""
    large = 1_000_000 if options.quick else 10_000_000
    small = large // 4
    found = {rows: _surveyed(options.scratch, rows) for rows in (small, large)}
    growth = found[large][0] / found[small][0]
    return [
        Line(f"table {large:,} x {COLUMNS}: peak memory", found[large][0], must=1000, unit=" MiB"),
        Line("table four times longer: peak memory", growth, must=1.6, aim=1.1, unit="x"),
        Line("table: CPU per million rows", found[large][1] / large * 1e6, must=None, unit=" s"),
    ]


def _surveyed(scratch: Path, rows: int) -> tuple[float, float]:
    path = scratch / f"table-{rows}.parquet"
    _write(path, rows)
    started = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True
    )
    counted, peak_kib, cpu_s = answer.stdout.split()
    if int(counted) != rows:
        raise RuntimeError(f"{counted} of {rows} rows were counted")
    print(f"{rows:,} rows: {float(cpu_s):.1f} s CPU, {time.monotonic() - started:.1f} s")
    path.unlink()
    return int(peak_kib) / 1024, float(cpu_s)


def _write(path: Path, rows: int) -> None:
    """Write a table of numbers, codes, categories and dates, chunk by chunk."""
    rng = np.random.default_rng(1)
    names = [f"x{i}" for i in range(COLUMNS - 6)]
    writer = None
    for start in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - start)
        columns = {name: rng.normal(100, 15, n).astype(np.float32) for name in names}
        columns |= {f"k{i}": rng.integers(0, 5, n).astype(np.int8) for i in range(3)}
        days = rng.integers(0, 3000, n).astype("datetime64[D]") + np.timedelta64(15_000, "D")
        columns["visit"] = days.astype("datetime64[D]")
        columns["ward"] = np.array(["A1", "B2", "C3"])[rng.integers(0, 3, n)]
        columns["patient"] = np.arange(start, start + n) + 10**6
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()

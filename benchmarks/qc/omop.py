"""An OMOP export of ten million measurements: judged in memory that does not grow with them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.lines import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.qc.part import Options

_PERSONS, _CHUNK = 20_000, 250_000
_MAX_MIB = 800
_FIRST, _LAST = np.datetime64("2015-01-01"), np.datetime64("2023-12-31")
_KINDS = (
    (3004249, 8876, 125.0),
    (3004501, 8840, 110.0),
    (3016723, 8840, 1.0),
    (3025315, 9529, 78.0),
)
_READ = """
import resource, sys
from pathlib import Path
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.omop.modality import MODALITY
from cordon_client.qc.work import Work, carry_out
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

files = tuple(sorted(Path(sys.argv[1]).iterdir()))
work = Work(MODALITY, (SampleFiles("north", files),), builtin_profile("omop.v1"))
(found,) = carry_out(work, lambda done, total: None)
bad = [r for r in found.results if r.severity not in {Severity.PASS, Severity.NOT_APPLICABLE}]
usage = resource.getrusage(resource.RUSAGE_SELF)
print(found.stats["measurements"], len(bad), usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
"""


def lines(options: Options) -> list[Line]:
    """Judge a small and a four times larger export without a fault, each in a process of its own.

    The small one already holds more keys than are kept of a table (two million), so that what is
    added beyond it would be growth with rows.
    """
    large = 1_000_000 if options.quick else 10_000_000
    small = large // 4
    peaks, cpu_s = {}, 0.0
    for rows in (small, large):
        peaks[rows], cpu_s = _judged(options.scratch, rows)
    bound = None if options.quick else 1.5
    name = f"OMOP, {large:,} measurements"
    return [
        Line(f"{name}: peak memory", peaks[large], must=_MAX_MIB, unit=" MiB"),
        Line(f"{name}: peak, of a quarter", peaks[large] / peaks[small], must=bound, unit="×"),
        Line(f"{name}: CPU per million rows", cpu_s / large * 1e6, None, unit=" s"),
    ]


def _judged(scratch: Path, rows: int) -> tuple[float, float]:
    """Return peak memory in MiB and CPU seconds of one export's quality control."""
    folder = scratch / f"omop-{rows}"
    folder.mkdir()
    _write(folder, rows)
    answer = subprocess.run(
        [sys.executable, "-c", _READ, str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    counted, bad, peak_kib, cpu_s = answer.stdout.split()
    if int(counted) != rows or int(bad):
        raise RuntimeError(f"{counted} of {rows} rows were counted, {bad} checks did not pass")
    print(f"OMOP, {rows:,} measurements: {float(cpu_s):.1f} s CPU, {int(peak_kib) // 1024} MiB")
    shutil.rmtree(folder)
    return int(peak_kib) / 1024, float(cpu_s)


def _write(folder: Path, rows: int) -> None:
    """Write persons, their observation periods, and their measurements chunk by chunk."""
    rng = np.random.default_rng(1)
    ids = np.arange(_PERSONS) + 1
    person = {
        "person_id": ids,
        "gender_concept_id": rng.choice([8507, 8532], _PERSONS),
        "year_of_birth": rng.integers(1935, 1985, _PERSONS),
        "race_concept_id": np.zeros(_PERSONS, np.int64),
        "ethnicity_concept_id": np.zeros(_PERSONS, np.int64),
    }
    period = {
        "observation_period_id": ids,
        "person_id": ids,
        "observation_period_start_date": np.full(_PERSONS, _FIRST),
        "observation_period_end_date": np.full(_PERSONS, _LAST),
        "period_type_concept_id": np.full(_PERSONS, 32817),
    }
    pa_csv.write_csv(pa.table(person), folder / "person.csv")
    pa_csv.write_csv(pa.table(period), folder / "observation_period.csv")
    chunks = _measurements(rows, rng)
    first = next(chunks)
    with pa_csv.CSVWriter(str(folder / "measurement.csv"), first.schema) as writer:
        writer.write_table(first)
        for table in chunks:
            writer.write_table(table)


def _measurements(rows: int, rng: np.random.Generator) -> Iterator[pa.Table]:
    concepts, units, means = (np.array(column) for column in zip(*_KINDS, strict=True))
    for start in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - start)
        kind = rng.integers(0, len(_KINDS), n)
        day = _FIRST + rng.integers(0, (_LAST - _FIRST).astype(int), n)
        yield pa.table(
            {
                "measurement_id": np.arange(start, start + n),
                "person_id": rng.integers(1, _PERSONS + 1, n),
                "measurement_concept_id": concepts[kind],
                "measurement_date": day,
                "measurement_datetime": day.astype("datetime64[s]") + rng.integers(0, 86_400, n),
                "measurement_type_concept_id": np.full(n, 32817),
                "value_as_number": (means[kind] * rng.normal(1, 0.1, n)).round(3),
                "unit_concept_id": units[kind],
                "measurement_source_value": np.array(["BP", "GLU", "CREA", "WT"])[kind],
            }
        )

"""FASTQ: all checks of 600,000 reads of 150 bases beside FastQC and fastp; broken files refused."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.lines import Line, ratio_line
from benchmarks.qc.outside import checking, interleaved
from cordon_client.qc.fastq.measure import measure_file
from cordon_client.qc.fastq.syntax import FastqFault

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.qc.part import Options

READS = 600_000
_NOT_VALID = {"empty.fastq", "format-error.fastq", "withplus.fastq"}
"""Files of the collection's mixed folder that break the format: empty, too many qualities, + text."""


def lines(options: Options) -> list[Line]:
    """Measure CPU and memory, and count what is refused and accepted."""
    return [*_cost(options), *_files(options.data / "fastq_shared")]


def _cost(options: Options) -> list[Line]:
    from tests.support.sequencing import write_reads

    path, out = options.scratch / "reads.fastq", options.scratch
    write_reads(path, READS // 10 if options.quick else READS)
    costs = interleaved(
        {
            "ours": checking("fastq", path),
            "fastqc": ["fastqc", "-q", "-t", "1", "-o", out, path],
            "fastp": ["fastp", "-w", "1", "-i", path, "-j", out / "f.json", "-h", out / "f.html"],
        },
        2 if options.quick else 3,
    )
    print(f"{'program':<10}{'CPU s':>10}{'MiB':>10}")
    for name, found in costs.items():
        cpu, peak = (median(getattr(c, field) for c in found) for field in ("cpu_s", "peak_mib"))
        print(f"{name:<10}{cpu:>10.2f}{peak:>10.0f}")
    cpu = {name: [cost.cpu_s for cost in found] for name, found in costs.items()}
    # A short file is mostly the start of the interpreter: only the full size is a promise.
    must = not options.quick
    return [
        ratio_line(
            "fastq: CPU over FastQC's", cpu["ours"], cpu["fastqc"], must=0.35 if must else None
        ),
        ratio_line(
            "fastq: CPU over fastp's", cpu["ours"], cpu["fastp"], must=0.5 if must else None
        ),
        Line("fastq: peak memory", max(c.peak_mib for c in costs["ours"]), 200, unit=" MiB"),
    ]


def _refused(path: Path) -> bool:
    try:
        measure_file(path, "R1", lambda _: None)
    except FastqFault:
        return True
    return False


def _files(folder: Path) -> list[Line]:
    bad = sorted((folder / "bad").glob("error_*"))
    valid = [
        path
        for name in ("good", "cutadapt")
        for path in sorted((folder / name).iterdir())
        if path.name not in _NOT_VALID
    ]
    accepted = sum(not _refused(path) for path in valid)
    return [
        Line(
            "fastq: broken files refused by name", sum(map(_refused, bad)), len(bad),
            better="higher", note=f"of {len(bad)}",
        ),
        Line(
            "fastq: valid files accepted", accepted, len(valid),
            better="higher", note=f"of {len(valid)}",
        ),
    ]  # fmt: skip

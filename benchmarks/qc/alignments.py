"""BAM: all checks of 300,000 reads beside samtools stats and mosdepth; reported, without a bound.

The rows do different work: samtools stats counts reads and bases, mosdepth depth alone, ours both and
library complexity. Where mosdepth does not start, samtools depth stands in for it.
"""

from __future__ import annotations

import subprocess
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.lines import Line, ratio_line
from benchmarks.qc.outside import checking, interleaved

if TYPE_CHECKING:
    from benchmarks.qc.part import Options

PAIRS = 150_000


def lines(options: Options) -> list[Line]:
    """Measure CPU and memory."""
    import pysam
    from tests.support.alignment_files import write_alignments, write_reference

    reference, path = options.scratch / "reference.fa", options.scratch / "reads.bam"
    write_reference(reference)
    write_alignments(path, PAIRS // 10 if options.quick else PAIRS, reference=reference)
    pysam.index(str(path))
    depth, command = "samtools depth", ["samtools", "depth", "-a", path]
    if _starts("mosdepth"):
        depth, command = "mosdepth", ["mosdepth", "-t", "0", options.scratch / "depth", path]
    programs = {"ours": checking("alignments", path), "samtools": ["samtools", "stats", path]}
    costs = interleaved({**programs, depth: command}, 2 if options.quick else 3)
    print(f"{'program':<16}{'CPU s':>10}{'MiB':>10}")
    for name, found in costs.items():
        cpu, peak = (median(getattr(c, field) for c in found) for field in ("cpu_s", "peak_mib"))
        print(f"{name:<16}{cpu:>10.2f}{peak:>10.0f}")
    cpu = {name: [cost.cpu_s for cost in found] for name, found in costs.items()}
    both = [a + b for a, b in zip(cpu["samtools"], cpu[depth], strict=True)]
    return [
        ratio_line("bam: CPU over samtools stats", cpu["ours"], cpu["samtools"], must=None),
        ratio_line(f"bam: CPU over samtools stats and {depth}", cpu["ours"], both, must=None),
        Line("bam: peak memory", max(c.peak_mib for c in costs["ours"]), None, unit=" MiB"),
    ]


def _starts(program: str) -> bool:
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True

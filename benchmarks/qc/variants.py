"""VCF: all checks of 200,000 records x 50 samples beside bcftools stats; conformance counted."""

from __future__ import annotations

import subprocess
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.lines import Line, ratio_line
from benchmarks.qc.outside import checking, interleaved
from cordon_client.qc.vcf.measure import VcfCounter
from cordon_client.qc.vcf.read import VcfReader
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.qc.part import Options

RECORDS, SAMPLES = 200_000, 50


def lines(options: Options) -> list[Line]:
    """Measure CPU, compare counts, and count what of the conformance collection is flagged."""
    return [*_cost(options), *_conformance(options.data / "vcf_shared")]


def _cost(options: Options) -> list[Line]:
    import pysam
    from tests.support.variant_files import write_variants

    plain, path = options.scratch / "v.vcf", options.scratch / "v.vcf.gz"
    write_variants(plain, RECORDS // 10 if options.quick else RECORDS, SAMPLES, reads=False)
    pysam.tabix_compress(str(plain), str(path), force=True)
    costs = interleaved(
        {"ours": checking("variants", path), "bcftools": ["bcftools", "stats", "-s", "-", path]},
        2 if options.quick else 5,
    )
    print(f"{'program':<10}{'CPU s':>10}{'MiB':>10}")
    for name, found in costs.items():
        cpu, peak = (median(getattr(c, field) for c in found) for field in ("cpu_s", "peak_mib"))
        print(f"{name:<10}{cpu:>10.2f}{peak:>10.0f}")
    ratio = ratio_line(
        "vcf: CPU over bcftools stats'",
        [cost.cpu_s for cost in costs["ours"]],
        [cost.cpu_s for cost in costs["bcftools"]],
        must=None if options.quick else 4,
    )
    return [ratio, Line("vcf: counts unlike bcftools'", _differences(path), 0)]


def _differences(path: Path) -> int:
    """How many of the shared counts differ."""
    text = subprocess.run(
        ["bcftools", "stats", path], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    theirs = {row[2].strip(":"): int(row[3]) for row in rows if row[0] == "SN"}
    [titv] = [row for row in rows if row[0] == "TSTV"]
    reader, counter = VcfReader(path, lambda _: None), None
    for block in reader.blocks():
        counter = counter or VcfCounter(len(reader.header.samples))
        counter.add(block)
    if counter is None:
        return len(theirs)
    ours = counter.measures.counts
    pairs = [
        (ours["records"], theirs["number of records"]),
        (ours["no_alts"], theirs["number of no-ALTs"]),
        (ours["snps"], theirs["number of SNPs"]),
        (ours["mnps"], theirs["number of MNPs"]),
        (ours["indels"], theirs["number of indels"]),
        (ours["others"], theirs["number of others"]),
        (ours["multiallelic"], theirs["number of multiallelic sites"]),
        (ours["transitions"], int(titv[2])),
        (ours["transversions"], int(titv[3])),
    ]
    return sum(a != b for a, b in pairs)


def _flagged(path: Path) -> bool:
    reader = VcfReader(path, lambda _: None)
    try:
        for _ in reader.blocks():
            pass
    except DataError:
        return True
    return reader.header.faults.total > 0


def _conformance(folder: Path) -> list[Line]:
    """Count by version; only 4.2 has bounds, the passing files of others have slips of their own."""
    lines = []
    for version in sorted(folder.glob("conformance_v*")):
        failing, passing = (sorted((version / name).iterdir()) for name in ("failed", "passed"))
        share = sum(map(_flagged, failing)) / len(failing)
        name, bound = version.name.removeprefix("conformance_"), version.name.endswith("4.2")
        lines += [
            Line(
                f"vcf: failing {name} files flagged", 100 * share, 90 if bound else None, 99,
                better="higher", unit=" %", note=f"of {len(failing)}",
            ),
            Line(f"vcf: passing {name} files flagged", sum(map(_flagged, passing)),
                 1 if bound else None, 0, note=f"of {len(passing)}"),
        ]  # fmt: skip
    return lines

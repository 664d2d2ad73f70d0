"""Plant known faults, and count which are named; show harmless data, and count the alarms."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.lines import Line
from benchmarks.qc import between_sites, clinical_faults, omics_faults

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.qc.part import Fault, Harmless, Options

FAULTS: tuple[Fault, ...] = (
    *clinical_faults.FAULTS,
    *between_sites.FAULTS,
    # reads, alignments, variants, identity
    # counts, cells, taxa, proteins, sequences, signals, images
    *omics_faults.FAULTS,
)
HARMLESS: tuple[Harmless, ...] = (
    *clinical_faults.HARMLESS,
    *between_sites.HARMLESS,
    # reads, alignments, variants, identity
    # counts, cells, taxa, proteins, sequences, signals, images
    *omics_faults.HARMLESS,
)


def lines(options: Options) -> list[Line]:
    """Print kinds × severities, then sum up: sensitivity, false alarms, false exclusions."""
    seeds = range(2 if options.quick else 5)
    found = {fault: [_found(fault, seed, options.scratch) for seed in seeds] for fault in FAULTS}
    _print(found)
    alarms = np.array(
        [[each.alarms(seed, options.scratch) for seed in seeds] for each in HARMLESS]
    ).sum(axis=1)
    print(f"\n{'harmless data':<60}{'excluded':>10}{'flagged':>10}{'shown':>8}")
    for each, (excluded, flagged, shown) in zip(HARMLESS, alarms.tolist(), strict=True):
        print(f"{each.modality + ': ' + each.kind:<60}{excluded:>10}{flagged:>10}{shown:>8}")
    print()
    expected = [hit for fault, hits in found.items() if fault.must for hit in hits]
    kinds = {(fault.modality, fault.kind) for fault in FAULTS}
    excluded, flagged, shown = alarms.sum(axis=0).tolist()
    return [
        Line("fault kinds planted", len(kinds), must=30, better="higher"),
        Line(
            "sensitivity over kinds × severities",
            float(np.mean(expected)),
            must=0.95,
            aim=1.0,
            better="higher",
            note=f"n={len(expected)}",
        ),
        Line("harmless samples or sites excluded", excluded, must=0, note=f"of {shown}"),
        Line("false alarms on harmless data", flagged / shown, must=0.1, aim=0.02),
    ]


def _found(fault: Fault, seed: int, scratch: Path) -> bool:
    folder = scratch / f"{fault.modality}-{fault.kind}-{fault.severity}-{seed}".replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return fault.found(seed, folder)


def _print(found: dict[Fault, list[bool]]) -> None:
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fault, hits in found.items():
        mark = "" if fault.must else " (invisible, not counted)"
        words = f"{fault.severity} {sum(hits)}/{len(hits)}{mark}"
        rows[fault.modality, fault.kind].append(words)
    for (modality, kind), counts in rows.items():
        print(f"{modality + ': ' + kind:<60} {', '.join(counts)}")

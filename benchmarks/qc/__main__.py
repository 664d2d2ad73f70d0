"""Quality control measured: `python -m benchmarks.qc [--part NAME]… [--quick] [--json FILE]`.

Without --part everything is measured. Real data is read from the folder beside the repository.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lines import Line, finish
from benchmarks.qc import (
    alignments,
    matrices,
    omop,
    planted,
    reads,
    real_clinical,
    real_omics,
    tables,
    variants,
    worth,
)
from benchmarks.qc.part import Options

if TYPE_CHECKING:
    from benchmarks.qc.part import Part

ROOT = Path(__file__).resolve().parents[2]

PARTS: dict[str, Part] = {
    "planted": planted.lines,
    "worth": worth.lines,
    "tables": tables.lines,
    "omop": omop.lines,
    "real-clinical": real_clinical.lines,
    # reads, alignments, variants, identity
    "reads": reads.lines,
    "alignments": alignments.lines,
    "variants": variants.lines,
    # counts, cells, taxa, proteins, sequences, signals, images
    "matrices": matrices.lines,
    "real-omics": real_omics.lines,
}
PACKAGES = ("pandas", "pyarrow", "scipy", "sequali", "pysam")


def main() -> int:
    """Print every part's table; 0 only if every must is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    lines: list[Line] = []
    for name in asked.part or PARTS:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            lines += PARTS[name](Options(asked.data, Path(scratch), asked.quick))
    print()
    return finish(lines, asked.json, PACKAGES)


if __name__ == "__main__":
    sys.exit(main())

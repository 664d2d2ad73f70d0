"""The lines of a benchmark: what was measured, what must and should be reached, one way to print it."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.canonical import Json


@dataclass(frozen=True)
class Line:
    """One line. value: the median; low, high: quartiles, None for what is counted, not timed.

    must, aim: bounds of `value` in the direction of `better`; None = reported only.
    """

    name: str
    value: float
    must: float | None
    aim: float | None = None
    better: Literal["lower", "higher"] = "lower"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the must is reached; a line without one always is, NaN never."""
        if self.must is None:
            return True
        return self.value <= self.must if self.better == "lower" else self.value >= self.must


def ratio_line(
    name: str,
    upper: Sequence[float],
    lower: Sequence[float],
    *,
    must: float | None,
    aim: float | None = None,
    better: Literal["lower", "higher"] = "lower",
) -> Line:
    """Make a line of the ratios of neighbouring readings of one interleaved run."""
    ratios = np.asarray(upper, dtype=float) / np.asarray(lower, dtype=float)
    low, middle, high = (float(each) for each in np.quantile(ratios, [0.25, 0.5, 0.75]))
    return Line(name, middle, must, aim, better, low, high, "×", f"n={len(ratios)}")


def finish(lines: Sequence[Line], json_file: Path | None, packages: Sequence[str] = ()) -> int:
    """Print the table, hardware and versions, write the JSON; 0 only if every must is reached."""
    width = max((len(line.name) for line in lines), default=4) + 2
    print(f"{'line':<{width}}{'measured':>24}{'must':>10}{'aim':>10}  reached")
    for line in lines:
        word = "-" if line.must is None else ("yes" if line.reached else "NO")
        print(
            f"{line.name:<{width}}{_measured(line):>24}{_bound(line, line.must):>10}"
            f"{_bound(line, line.aim):>10}  {word:<4}{line.note}"
        )
    where = surroundings(packages)
    print("; ".join(f"{name} {value}" for name, value in where.items()))
    bound = [line for line in lines if line.must is not None]
    reached = sum(line.reached for line in bound)
    if json_file is not None:
        value: Json = {
            "lines": [asdict(line) | {"reached": line.reached} for line in lines],
            "surroundings": where,
        }
        json_file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    print(f"{reached} of {len(bound)} lines reached")
    return 0 if reached == len(bound) else 1


def surroundings(packages: Sequence[str] = ()) -> dict[str, str]:
    """Hardware, load and versions that a reader needs to judge the figures."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": sys.version.split()[0],
    }
    for package in ("numpy", "cordon-common", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [row.partition(":")[2].strip() for row in text.splitlines() if "model name" in row]
    return names[0] if names else platform.machine()


def _measured(line: Line) -> str:
    if line.low is None or line.high is None:
        return f"{line.value:.4g}{line.unit}"
    return f"{line.value:.3g}{line.unit} [{line.low:.3g}-{line.high:.3g}]"


def _bound(line: Line, bound: float | None) -> str:
    if bound is None:
        return "report" if line.must is None else ""
    return f"{'≤' if line.better == 'lower' else '≥'} {bound:g}"

"""What a part of the benchmark is: a function from options to lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.lines import Line


@dataclass(frozen=True)
class Options:
    """data: the folder of real data sets. scratch: an empty folder. quick: fewer repeats."""

    data: Path
    scratch: Path
    quick: bool


class Part(Protocol):
    """Measures one thing and returns its lines; prints tables of its own on stdout if it likes."""

    def __call__(self, options: Options) -> list[Line]:
        """Measure."""
        ...


@dataclass(frozen=True)
class Fault:
    """One way in which data goes wrong, in one severity.

    found: plants the fault into a fresh clean cohort (drawn with the seed, files in the folder) and
    says whether quality control names it: a finding of the check that is meant for it, not just any.
    must: False for faults that are known to be invisible at this severity; they are reported and
    do not count.
    """

    modality: str
    kind: str
    severity: str
    found: Callable[[int, Path], bool]
    must: bool = True


@dataclass(frozen=True)
class Harmless:
    """Data without a fault: clean, or different for an honest reason (case mix, devices, size).

    alarms: returns how many samples or sites were excluded, how many were flagged in any way, and
    how many there were.
    """

    modality: str
    kind: str
    alarms: Callable[[int, Path], tuple[int, int, int]]

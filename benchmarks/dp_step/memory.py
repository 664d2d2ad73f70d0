"""Peak memory of three steps of the wide net, each kind in a process of its own.

python -m benchmarks.dp_step.memory plain|private|opacus   prints MiB beyond the imported process
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from benchmarks.dp_step.feed_forward import wide_case
from benchmarks.dp_step.steps import opacus_step, plain_step, private_step
from benchmarks.lines import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.dp_step.steps import Case

STEPS = 3
PROCESSES = 3
_KINDS: dict[str, Callable[[Case], Callable[[], None]]] = {
    "plain": plain_step,
    "private": private_step,
    "opacus": opacus_step,
}


def memory(repeats: int) -> list[Line]:
    """Extra memory of the wide net: private ÷ plain, and Opacus ÷ private; medians of processes.

    Memory hardly varies but by what the allocator keeps.
    """
    del repeats
    extra = {kind: median(_measured(kind) for _ in range(PROCESSES)) for kind in _KINDS}
    note = ", ".join(f"{kind} {value:.0f} MiB" for kind, value in extra.items())
    name = "MLP 5000-256-5, B 128: extra memory"
    return [
        Line(
            f"{name}, private ÷ plain",
            extra["private"] / extra["plain"],
            2.0,
            1.5,
            unit="×",
            note=note,
        ),
        Line(
            f"{name}, Opacus ÷ private",
            extra["opacus"] / extra["private"],
            1.0,
            5.0,
            "higher",
            unit="×",
        ),
    ]


def _measured(kind: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dp_step.memory", kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(done.stdout)


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Print the peak of resident memory during the steps, less what was there before, in MiB."""
    torch.set_num_threads(1)
    make = _KINDS[sys.argv[1]]
    make(wide_case(width=8))()  # code and libraries are loaded by a tiny net of the same kind
    before, peak, done = _resident_mib(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.0005):
            peak = max(peak, _resident_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    step = make(wide_case())
    for _ in range(STEPS):
        step()
    peak = max(peak, _resident_mib())
    done.set()
    watcher.join()
    print(peak - before)


if __name__ == "__main__":
    main()

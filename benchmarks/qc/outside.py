"""Other programs beside our own, each in a process of its own: CPU seconds and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOOK_S = 0.02


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds (user and system) and peak resident memory in MiB."""

    cpu_s: float
    peak_mib: float


def cost_of(command: Sequence[str | Path]) -> Cost:
    """Run a command to its end; children count as far as they were waited for.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
        peak = max(peak, _high_water_kib(process.pid))
        time.sleep(_LOOK_S)
    _, status, used = waited
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, peak / 1024)


def _high_water_kib(pid: int) -> int:
    """Peak memory of a process so far; ru_maxrss would still hold the size of who started it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) if found else 0


def interleaved(commands: Mapping[str, Sequence[str | Path]], times: int) -> dict[str, list[Cost]]:
    """Run the commands in turn, `times` times over, after one round that warms the caches."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(times + 1):
        for name, command in commands.items():
            cost = cost_of(command)
            if number:
                costs[name].append(cost)
    return costs


def checking(modality: str, path: Path) -> list[str | Path]:
    """Return the command that carries out all checks of a file, as `cordon site qc` does."""
    code = (
        "import sys; from pathlib import Path\n"
        "from cordon_client.qc.modalities import modality_named\n"
        "from cordon_client.qc.modality import SampleFiles\n"
        "from cordon_common.qc.profile import builtin_profile\n"
        "m, p = modality_named(sys.argv[1]), Path(sys.argv[2])\n"
        "profile = builtin_profile(m.name + '.v1')\n"
        "told = lambda done, total: None\n"
        "if m.check_file is None:\n"
        "    m.check_sample(SampleFiles('s', (p,)), profile, told)\n"
        "else:\n"
        "    names = m.samples(p)\n"
        "    m.check_file([SampleFiles(n, (p,), inside=n) for n in names], profile, told)\n"
    )
    return [sys.executable, "-c", code, modality, path]

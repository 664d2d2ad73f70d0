"""What privacy costs: the kernel's step, secure sum, accounting and aggregation, against their limits.

python -m benchmarks.dp_step [--only small,wide] [--repeats 15] [--json FILE]

Every line is a ratio inside one interleaved run on one thread, CPU time of the process, median and
quartiles over the repeats. A plain step is forward, backward and torch.optim.SGD in float32. A
private step is the kernel's: per-patient clipping, exactly rounded cryptographic noise on the
integer grid, and the update of the weights. Opacus: hooks mode, its own noise (torch.randn), the
same optimizer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.dp_step import (
    accounting,
    aggregation,
    client_round,
    feed_forward,
    memory,
    secure_sum,
    sequences,
)
from benchmarks.dp_step.groups import Group
from benchmarks.lines import finish

GROUPS: tuple[Group, ...] = (
    Group("small", feed_forward.small),
    Group("wide", feed_forward.wide),
    Group("memory", memory.memory),
    Group("cnn", sequences.convolutions),
    Group("transformer", sequences.attention),
    Group("vae", sequences.autoencoder),
    Group("secure-sum", secure_sum.secure_sum),
    Group("accounting", accounting.queries),
    Group("round", client_round.client_round),
    Group("aggregation", aggregation.aggregation),
)


def main() -> int:
    """Print the table; 0 only if every must is reached."""
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help=f"some of {','.join(names)}; all without it")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"--only: no {', '.join(unknown)}; there are {', '.join(names)}")
    if options.repeats < 5:
        parser.error("--repeats: a median needs at least 5")
    torch.set_num_threads(1)
    lines = []
    for group in GROUPS:
        if group.name in chosen:
            print(f"measuring {group.name} …", file=sys.stderr)
            lines += group.measure(options.repeats)
    return finish(lines, options.json, ("torch", "opacus", "cryptography", "dp-accounting"))


if __name__ == "__main__":
    sys.exit(main())

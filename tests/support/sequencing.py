"""Sequencing reads made up for tests and benchmarks, with planted adapters and duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

ADAPTER = b"AGATCGGAAGAGCACACGTCTGAACTCCAGTCACATCACGATCTCGTATGCCGTCTTCTGCTTG"
FREQUENT = (b"GATTACAGATTACCA" * 20)[:150]
_BATCH = 20_000


def write_reads(
    path: Path,
    reads: int,
    *,
    seed: int = 7,
    length: int = 150,
    duplicates: float = 0.12,
    frequent: float = 0.003,
    gc: float = 0.43,
    drop: float = 8.0,
) -> None:
    """Write a FASTQ file: about 8 % of the reads run into an adapter.

    duplicates: share of reads that copy an earlier one. frequent: share that are one sequence.
    drop: Phred points lost towards the end of a read.
    """
    rng = np.random.default_rng(seed)
    pool = None
    with path.open("wb") as file:
        for start in range(0, reads, _BATCH):
            count = min(_BATCH, reads - start)
            bases = _bases(rng, count, length, gc)
            copied = rng.random(count) < duplicates
            pool = bases.copy() if pool is None else np.concatenate([pool, bases])[-8 * _BATCH :]
            bases[copied] = pool[rng.integers(0, len(pool), int(copied.sum()))]
            bases[rng.random(count) < frequent] = np.frombuffer(FREQUENT[:length], np.uint8)
            qualities = _qualities(rng, count, length, drop)
            for i in range(count):
                n = start + i
                file.write(
                    b"@SIM:1:FC:%d:%d:%d:%d 1:N:0:ATCACG\n%b\n+\n%b\n"
                    % (n % 4, 1101, n, n * 7 % 99991, bases[i].tobytes(), qualities[i].tobytes())
                )


def _bases(rng, count, length, gc):
    weak, strong = (1 - gc) / 2, gc / 2
    letters = np.frombuffer(b"ACGT", np.uint8)
    bases = letters[rng.choice(4, (count, length), p=[weak, strong, strong, weak])]
    bases[rng.random((count, length)) < 0.0002] = ord("N")
    inserts = rng.integers(60, 60 + 12 * length, count)
    for row in np.flatnonzero(inserts < length).tolist():
        tail = np.frombuffer(ADAPTER, np.uint8)[: length - inserts[row]]
        bases[row, inserts[row] : inserts[row] + len(tail)] = tail
    return bases


def _qualities(rng, count, length, drop):
    slope = np.linspace(0, drop, length) ** 1.2 * rng.random((count, 1))
    phred = 37 - rng.gamma(1.0, 3.0, (count, length)) - slope
    return np.clip(phred, 2, 41).astype(np.uint8) + 33

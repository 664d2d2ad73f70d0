"""The coordinator's sum of 100 releases of 10 million integers, against reading them once."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.dp_step.timing import interleaved
from benchmarks.lines import Line, ratio_line
from cordon_server.aggregate import RunningSum, sum_releases

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

SITES = 100
DIMENSION = 10_000_000
DISTINCT = 16
"""So many different vectors are cycled, 80 MB each: ten times what the last-level cache holds lies
between two visits of one."""

READINGS = 9
SMALL_DIMENSION = 1_000_000


def aggregation(repeats: int) -> list[Line]:
    """Time of the sum ÷ a read-only pass over the same memory; and what it holds in memory."""
    vectors = [np.full(DIMENSION, number, dtype=np.int64) for number in range(DISTINCT)]
    releases = [vectors[site % DISTINCT] for site in range(SITES)]

    def read() -> None:
        for release in releases:
            release.sum()

    def add() -> None:
        sum_releases(releases, limit=DISTINCT)

    times = interleaved({"read": read, "sum": add}, repeats=min(repeats, READINGS))
    return [
        ratio_line(
            f"aggregation of {SITES} × 10 M int64 ÷ one read",
            times["sum"],
            times["read"],
            must=1.5,
            aim=1.2,
        ),
        Line("aggregation, memory for 64 sites ÷ for 16", _held(64) / _held(16), 1.01, 1.0),
    ]


def _held(sites: int) -> int:
    """Most bytes allocated while the vectors of so many sites come one by one."""

    def vectors() -> Iterator[npt.NDArray[np.int64]]:
        for number in range(sites):
            yield np.full(SMALL_DIMENSION, number, dtype=np.int64)

    tracemalloc.start()
    try:
        running = RunningSum(SMALL_DIMENSION)
        for vector in vectors():
            running.add(vector)
        running.total()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

"""Sums of site releases, and what they mean; pure functions, exact integers until the last step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import SystemFault
from cordon_common.memory import LINE, from_a_cache_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]

GROUP = 16
"""Vectors that are added in one pass over the total: its own traffic is shared by all of them."""

BLOCK = 262_144
"""Integers per block: 2 MiB stay in the last-level cache while a whole group is added to them, and
runs are long enough for the memory to read ahead."""

_LARGEST = 2**63 - 1


class RunningSum:
    """The exact sum of int64 vectors that arrive one after the other; not thread-safe.

    Holds the total and fewer than `GROUP` vectors that wait to be added, however many sites there
    are. Vectors are kept, not copied: nobody may write to them before `total` is taken.
    """

    def __init__(self, dimension: int) -> None:
        self._total = np.zeros(dimension, dtype=np.int64)
        self._pending: list[Integers] = []
        self._reach = 0

    def add(self, release: Integers, *, limit: int | None = None) -> None:
        """Add one vector, int64 [dimension].

        limit: what the caller has already checked to be the largest magnitude in it; looked for
        here when left out.

        Raises:
            SystemFault: SY043 when shape or type differ, or a sum could leave the 64-bit range.
        """
        if release.shape != self._total.shape or release.dtype != np.int64:
            raise SystemFault("SY043", why="the vectors differ in shape or type")
        self._reach += _magnitude(release) if limit is None else limit
        if self._reach > _LARGEST:
            raise SystemFault("SY043", why="the sum leaves the range of 64-bit integers")
        self._pending.append(release)
        if len(self._pending) == GROUP:
            self._flush()

    def total(self) -> Integers:
        """Return the sum of all vectors so far, int64 [dimension], read-only; it is not a copy."""
        self._flush()
        view = self._total.view()
        view.flags.writeable = False
        return view

    def _flush(self) -> None:
        size = min(BLOCK, self._total.size)
        scratch = from_a_cache_line(np.empty(size + LINE - 1, dtype=np.int64))
        for start in range(0, self._total.size, BLOCK):
            part = slice(start, start + BLOCK)
            self._add_block(
                self._total[part], [release[part] for release in self._pending], scratch
            )
        self._pending.clear()

    @staticmethod
    def _add_block(total: Integers, blocks: list[Integers], scratch: Integers) -> None:
        """Add the blocks among themselves where it is fast, then once to the total."""
        if len(blocks) < 2:
            for block in blocks:
                np.add(total, block, out=total)
            return
        partial = scratch[: total.size]
        np.add(blocks[0], blocks[1], out=partial)
        for block in blocks[2:]:
            np.add(partial, block, out=partial)
        np.add(total, partial, out=total)


def sum_releases(releases: Iterable[Integers], *, limit: int | None = None) -> Integers:
    """Add the integer vectors of all sites, int64 [d], as they come.

    limit: largest magnitude of an integer, where it has been checked already.
    Guarantee: exact, and independent of the order of the sites.

    Raises:
        SystemFault: SY043 when there is none, a shape or type differs, or a sum could overflow.
    """
    running: RunningSum | None = None
    for release in releases:
        if release.ndim != 1:
            raise SystemFault("SY043", why="the vectors differ in shape or type")
        if running is None:
            running = RunningSum(release.size)
        running.add(release, limit=limit)
    if running is None:
        raise SystemFault("SY043", why="no site answered")
    return running.total()


def dequantise(total: Integers, *, grid_per_unit: float) -> npt.NDArray[np.float64]:
    """Return a summed release in the unit of its statistic, float64 [d]: total / γ."""
    value: npt.NDArray[np.float64] = total / grid_per_unit
    return value


def mean_gradient(
    releases: Iterable[Integers], *, grid_per_unit: float, divisor: int
) -> npt.NDArray[np.float64]:
    """Return the noised gradient of a round, float64 [d]: Σ sites / γ / divisor.

    divisor: the study's public number; the real number of patients is never used.

    Raises:
        SystemFault: SY043 as `sum_releases`.
    """
    mean = dequantise(sum_releases(releases), grid_per_unit=grid_per_unit)
    mean /= divisor
    return mean


def _magnitude(release: Integers) -> int:
    if not release.size:
        return 0
    return max(int(release.max()), -int(release.min()))

"""Depth of coverage and library complexity from sorted alignments, in memory that does not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

DEEPEST = 1000
"""Depths from here on share one cell."""


def _none() -> Ints:
    return np.zeros(0, np.int64)


class DepthCounter:
    """Counts positions by depth; alignments of a contig come ordered by their start.

    Every aligned base of every counted read adds one to its position; deletions and introns add
    nothing, and overlapping mates count twice (as `samtools depth` does by default).
    """

    def __init__(self) -> None:
        self.positions = np.zeros(DEEPEST + 1, np.int64)
        self._at, self._change = _none(), _none()
        self._reached = self._depth = 0

    def add(self, starts: Ints, ends: Ints, until: int) -> None:
        """Take blocks of alignments; no later block starts before `until`."""
        at = np.concatenate([self._at, starts, ends])
        ones = np.ones(len(starts), np.int64)
        change = np.concatenate([self._change, ones, -ones])
        now = at <= until
        self._at, self._change = at[~now], change[~now]
        self._count(at[now], change[now], until)

    def _count(self, at: Ints, change: Ints, until: int) -> None:
        order = np.argsort(at, kind="stable")
        edges = np.concatenate([[self._reached], at[order], [until]])
        depths = self._depth + np.concatenate([[0], np.cumsum(change[order])])
        widths = np.diff(edges)
        seen = np.bincount(
            np.minimum(depths, DEEPEST)[widths > 0],
            weights=widths[widths > 0],
            minlength=DEEPEST + 1,
        )
        self.positions += seen.astype(np.int64)
        self._reached, self._depth = until, int(depths[-1])

    def end(self, length: int) -> None:
        """Finish the contig: what lies behind its last alignment has depth 0."""
        self.add(_none(), _none(), max(length, self._reached, int(self._at.max(initial=0))))
        self._at, self._change = _none(), _none()
        self._reached = self._depth = 0


class PlaceCounter:
    """Counts distinct places of fragments: same start, same end and same strand.

    total: fragments. distinct: places. once, twice: places with one and with two fragments.
    """

    def __init__(self) -> None:
        self.total = self.distinct = self.once = self.twice = 0
        self._keys = np.zeros((0, 2), np.int64)

    def add(self, starts: Ints, others: Ints) -> None:
        """Take fragments ordered by start; others: their end and strand as one number."""
        keys = np.concatenate([self._keys, np.stack([starts, others], axis=1)])
        if not len(keys):
            return
        # Fragments with the last start may go on in the next batch.
        open_ = keys[:, 0] == keys[-1, 0]
        self._count(keys[~open_])
        self._keys = keys[open_]

    def end(self) -> None:
        """Finish the contig."""
        self._count(self._keys)
        self._keys = np.zeros((0, 2), np.int64)

    def _count(self, keys: Ints) -> None:
        if not len(keys):
            return
        ordered = keys[np.lexsort((keys[:, 1], keys[:, 0]))]
        first = np.ones(len(ordered), np.bool_)
        first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        times = np.diff(np.append(np.flatnonzero(first), len(ordered)))
        self.total += len(keys)
        self.distinct += len(times)
        self.once += int((times == 1).sum())
        self.twice += int((times == 2).sum())

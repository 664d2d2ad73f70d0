"""Which cells of a table may not be shown: small ones, and those that a total would tell.

Cell suppression with complementary cells (Willenborg, de Waal 2001, Elements of Statistical
Disclosure Control, ch. 4) for tables whose totals lie inside one another. What is shown here are
noised counts, so their privacy does not rest on it: it is post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SUPPRESSED_BELOW = 10
"""Cells and totals of fewer patients than this are not shown (k)."""


@dataclass(frozen=True)
class Concealed:
    """What is not shown: places of cells, and places of totals in the order they were given in."""

    cells: frozenset[int]
    totals: frozenset[int]


def conceal(
    counts: Sequence[float],
    totals: Sequence[frozenset[int]],
    *,
    below: float = SUPPRESSED_BELOW,
    also: Collection[int] = (),
    pinned: bool = True,
) -> Concealed:
    """Choose what to hide of a histogram whose sums over `totals` are known as well.

    totals: sets of cells, any two of them disjoint or one inside the other. also: cells to hide
    though they are not small. pinned: whether a total tells a hidden count to within `below`; where
    noise keeps it from that, only what is small itself is hidden.
    Guarantee where pinned: whoever knows every shown cell and total, and that counts are not negative, learns of
    the hidden cells that a shown total covers only their sums over two cells or more, each sum at
    least `below`: no hidden cell is bound to an interval narrower than that.
    """
    table = _Table(counts, totals, below)
    table.cells |= set(also)
    while pinned and table.hide_one_more():
        pass
    return Concealed(frozenset(table.cells), frozenset(table.totals))


class _Table:
    """The state of the choice: every step hides one more cell or total, so it ends."""

    def __init__(
        self, counts: Sequence[float], totals: Sequence[frozenset[int]], below: float
    ) -> None:
        self._counts, self._totals, self._below = counts, totals, below
        self._order = sorted(range(len(totals)), key=lambda place: len(totals[place]))
        self.cells = {place for place, count in enumerate(counts) if count < below}
        self.totals = {place for place, total in enumerate(totals) if self._sum(total) < below}

    def hide_one_more(self) -> bool:
        """Mend the first total that tells too much; say whether there was one."""
        for place in self._order:
            if place not in self.totals and not self._is_safe(self._own(place) & self.cells):
                self._mend(place)
                return True
        return False

    def _is_safe(self, hidden: frozenset[int]) -> bool:
        return not hidden or (len(hidden) >= 2 and self._sum(hidden) >= self._below)

    def _mend(self, place: int) -> None:
        """Hide the next smallest cell; when none is left, a total inside; else the total itself."""
        shown = self._own(place) - self.cells
        if shown:
            self.cells.add(min(shown, key=lambda cell: (self._counts[cell], cell)))
            return
        inside = [other for other in self._order if self._is_inside(other, place)]
        known = [other for other in inside if other not in self.totals]
        smallest = min(known, key=lambda other: self._sum(self._totals[other]), default=place)
        self.totals.add(smallest)

    def _own(self, place: int) -> frozenset[int]:
        """Return the cells whose sum a shown total tells: without those of shown totals inside."""
        own = self._totals[place]
        for other in self._order:
            if other not in self.totals and self._is_inside(other, place):
                own -= self._totals[other]
        return own

    def _is_inside(self, other: int, place: int) -> bool:
        return self._totals[other] < self._totals[place]

    def _sum(self, cells: frozenset[int]) -> float:
        return sum(self._counts[cell] for cell in cells)

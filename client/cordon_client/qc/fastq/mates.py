"""Paired files read side by side: the same names at the same places, and equally many reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.fastq.sketches import WINDOW, hashed
from cordon_client.qc.fastq.syntax import FastqFault, FastqRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.qc.fastq.blocks import Block

_SPACE, _TAB, _SLASH = 32, 9, 47
_MATE_DIGITS = np.frombuffer(b"123", np.uint8)
_AT_SIGN = 1
_BOTH = "R1 and R2"


def name_hashes(block: Block) -> npt.NDArray[np.uint64]:
    """Hash each read's name: the title up to its first space, without a final /1 or /2.

    Names are told apart by their first `WINDOW` bytes.
    """
    titles = block.windows(0, WINDOW)
    rows = np.arange(block.reads)
    whole = np.minimum(block.ends[:, 0] - block.starts[:, 0], WINDOW)
    blank = (titles == _SPACE) | (titles == _TAB)
    blank[rows, np.minimum(whole, WINDOW - 1)] |= whole < WINDOW
    lengths = np.where(blank.any(axis=1), blank.argmax(axis=1), WINDOW)
    last, before = titles[rows, lengths - 1], titles[rows, np.maximum(lengths - 2, 0)]
    marked = (before == _SLASH) & np.isin(last, _MATE_DIGITS) & (lengths > 2 + _AT_SIGN)
    return hashed(titles, lengths - 2 * marked)


class MateCheck:
    """Compares names in step; holds only what one file is ahead of the other."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[npt.NDArray[np.uint64]]] = {"R1": [], "R2": []}
        self._compared = 0

    def add(self, role: str, block: Block) -> None:
        """Take the next block of one file.

        Raises:
            FastqFault: DA040, at the first read whose mate has another name.
        """
        self._waiting[role].append(name_hashes(block))
        if not all(self._waiting.values()):
            return
        first, second = (np.concatenate(parts) for parts in self._waiting.values())
        shared = min(len(first), len(second))
        different = np.flatnonzero(first[:shared] != second[:shared])
        if len(different):
            read = self._compared + int(different[0]) + 1
            raise FastqFault(FastqRule.MATE_NAME, f"{_BOTH}, read {read:,}")
        self._compared += shared
        for role_, rest in (("R1", first[shared:]), ("R2", second[shared:])):
            self._waiting[role_] = [rest] if len(rest) else []

    def ahead(self) -> str | None:
        """Which file is ahead, or None when both are level."""
        return next((role for role, parts in self._waiting.items() if parts), None)


def paired(first: Iterator[Block], second: Iterator[Block]) -> Iterator[tuple[str, Block]]:
    """Read both files of a pair in step and yield (role, block) as they come.

    Raises:
        FastqFault: DA040 when names or numbers of mates differ, or a file is broken.
    """
    check, sources = MateCheck(), {"R1": first, "R2": second}
    while True:
        ahead = check.ahead()
        role = "R2" if ahead == "R1" else "R1"
        block = next(sources[role], None)
        if block is None:
            if ahead is not None or next(sources["R2"], None) is not None:
                raise FastqFault(FastqRule.MATE_COUNT, _BOTH)
            return
        check.add(role, block)
        yield role, block

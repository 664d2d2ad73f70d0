"""Where an array starts in memory: loads and stores that cross a cache line cost up to a third."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Item = TypeVar("Item", np.float64, np.int64)

LINE = 8
"""Values of eight bytes in a cache line, and in the widest vector."""


def from_a_cache_line(room: npt.NDArray[Item]) -> npt.NDArray[Item]:
    """Return all but `LINE` - 1 values of a vector: those from its first cache line on.

    Also what the vault compiles: it keeps to what loops may say.
    """
    skipped = -(room.ctypes.data // 8) % LINE
    return room[skipped : skipped + room.size - (LINE - 1)]

"""Memory for what one step writes out, kept for the next: the same pages, already there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_common.memory import LINE, from_a_cache_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_BOUNDARY = 64
"""Tensors start at multiples of this many bytes: a cache line, and the widest vectors."""


def zeros(size: int) -> npt.NDArray[np.float64]:
    """Return float64 zeros [size] that start at a cache line.

    Not from torch: glibc does not find aligned memory again for a request of the same size.
    """
    return from_a_cache_line(np.zeros(size + LINE - 1))


class Workspace:
    """Tensors for one step, from one piece of memory; not thread-safe.

    The system hands out fresh memory page by page and clears every page first, which takes as long
    as writing a step's products into it.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._taken = 0

    def restart(self, device: torch.device) -> None:
        """Take all tensors back, and make room for as much as they took."""
        if self._taken > len(self._memory) or self._memory.device != device:
            self._memory = torch.empty(self._taken, dtype=torch.uint8, device=device)
        self._taken = 0

    def empty(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """Return a contiguous tensor of like's dtype, not initialised, good until `restart`.

        Guarantee: it starts at a cache line and shares no memory with others of the step.
        """
        start, size = self._taken, math.prod(shape) * like.element_size()
        self._taken += -(-size // _BOUNDARY) * _BOUNDARY
        if self._taken > len(self._memory):
            return like.new_empty(shape)
        return self._memory[start : start + size].view(like.dtype).view(shape)

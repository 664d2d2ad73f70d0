"""Integers modulo 2^32 or 2^64: where masks are uniform and sums are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Iterable

RingBits = Literal[32, 64]
Ring = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]
"""A vector of ring elements, little-endian in memory so that masks are the same on every machine."""

_UNSIGNED: dict[int, np.dtype[np.unsignedinteger]] = {32: np.dtype("<u4"), 64: np.dtype("<u8")}
_SIGNED: dict[int, np.dtype[np.signedinteger]] = {32: np.dtype("<i4"), 64: np.dtype("<i8")}


def ring_dtype(bits: RingBits) -> np.dtype[np.unsignedinteger]:
    """Return the type of ring elements."""
    return _UNSIGNED[bits]


def to_ring(values: npt.NDArray[np.int64], bits: RingBits) -> Ring:
    """Return integers modulo 2^bits, [d]; for 64 bits the same memory, for 32 bits a copy."""
    if bits == 64:
        return values.view(_UNSIGNED[64])
    return values.astype(_UNSIGNED[32], casting="unsafe")


def ring_sum(vectors: Iterable[Ring], bits: RingBits) -> npt.NDArray[np.int64]:
    """Add vectors modulo 2^bits and return the representatives around zero, int64 [d].

    Guarantee: equals the sum over the integers whenever that lies in [-2^(bits-1), 2^(bits-1)).

    Raises:
        SystemFault: SY043 when there is none, or a shape or type differs.
    """
    total: Ring | None = None
    for vector in vectors:
        if vector.dtype != _UNSIGNED[bits] or vector.ndim != 1:
            raise SystemFault("SY043", why="a vector is not of the study's ring")
        if total is None:
            total = vector.copy()
        elif vector.shape != total.shape:
            raise SystemFault("SY043", why="the vectors differ in shape")
        else:
            np.add(total, vector, out=total)  # wraps, as the ring does
    if total is None:
        raise SystemFault("SY043", why="no site answered")
    return total.view(_SIGNED[bits]).astype(np.int64)

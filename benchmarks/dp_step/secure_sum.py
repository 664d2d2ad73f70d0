"""One site's share of a masked sum: masks and encoding, against the bare generator of the masks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from benchmarks.dp_step.timing import interleaved
from benchmarks.lines import ratio_line
from cordon_common.securesum.masks import Mask, apply_masks
from cordon_common.securesum.ring import ring_dtype, to_ring

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from cordon_common.securesum.ring import RingBits

SITES = 10
DIMENSION = 1_000_000
READINGS = 15


def secure_sum(repeats: int) -> list[Line]:
    """CPU time of mask + encode for 10 sites × 1 M parameters ÷ AES-256-CTR for the same bytes."""
    return [_line(64, repeats), _line(32, repeats)]


def _line(bits: RingBits, repeats: int) -> Line:
    noised = np.random.default_rng(1).integers(-(2**40), 2**40, DIMENSION)
    masks = [Mask(os.urandom(32), subtracted=bool(site % 2)) for site in range(SITES - 1)]
    zeros = bytes(DIMENSION * ring_dtype(bits).itemsize)
    stream = bytearray(len(zeros))

    def bare() -> None:
        for mask in masks:
            Cipher(algorithms.AES(mask.key), modes.CTR(bytes(16))).encryptor().update_into(
                zeros, stream
            )

    def share() -> None:
        apply_masks(to_ring(noised, bits), masks)

    times = interleaved({"bare": bare, "share": share}, repeats=max(repeats, READINGS))
    return ratio_line(
        f"secure sum, {SITES} sites × 1 M in Z_2^{bits} ÷ its key stream",
        times["share"],
        times["bare"],
        must=3.0,
        aim=1.5,
    )

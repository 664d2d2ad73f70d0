"""Pairwise masks: uniform in the ring, gone from the sum.

m_ij = AES-256-CTR under HKDF(X25519(i, j), info); the site whose name comes first adds it, the
other subtracts it. `info` names everything that the two must agree on, the incoming weights
included: who was asked something else has another mask, and the sum is noise.
Source: Bonawitz et al. 2017, §4, without recovery of dropouts; NIST SP 800-38A (CTR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cordon_common.canonical import canonical_bytes
from cordon_common.securesum.keys import shared_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers import CipherContext

    from cordon_common.securesum.keys import Roster
    from cordon_common.securesum.ring import Ring
    from cordon_common.wire import Slot

_BLOCK_BYTES = 128 * 1024
"""A block of the vector and one of a mask stay in a core's cache."""


@dataclass(frozen=True)
class Attempt:
    """What a mask is bound to: the slot, who takes part with which keys, and the whole request."""

    slot: Slot
    roster: str
    request: str

    def info(self, first: str, second: str) -> bytes:
        """Return the context string of the mask of two sites, names in order."""
        slot = self.slot
        return canonical_bytes(
            {
                "use": "cordon.mask.v1",
                "study": slot.study,
                "run": slot.run,
                "phase": slot.phase,
                "round": slot.round,
                "attempt": slot.attempt,
                "roster": self.roster,
                "request": self.request,
                "pair": [first, second],
            }
        )


@dataclass(frozen=True)
class Mask:
    """One mask: its key, used for this vector and no other, and whether it is subtracted."""

    key: bytes
    subtracted: bool


def masks_of(site: str, secrets: Mapping[str, bytes], attempt: Attempt) -> tuple[Mask, ...]:
    """Return the masks of one site with every other site of the attempt.

    secrets: per other site the shared secret.
    """
    found = []
    for other, secret in secrets.items():
        first, second = sorted((site, other))
        info = attempt.info(first, second)
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
        found.append(Mask(key, subtracted=site != first))
    return tuple(found)


def pair_secrets(site: str, own: X25519PrivateKey, roster: Roster) -> dict[str, bytes]:
    """Return the shared secret with every other site of a roster.

    Raises:
        IntegrityError: IN030 for a key with which nothing would be secret.
    """
    return {other: shared_secret(own, key) for other, key in roster.keys.items() if other != site}


def apply_masks(values: Ring, masks: Sequence[Mask]) -> None:
    """Add a site's masks to a vector of ring elements, in place.

    Guarantee: with one mask whose other end is unknown the result is uniform in the ring.
    """
    streams = [(_stream(mask.key), mask.subtracted) for mask in masks]
    step = _BLOCK_BYTES // values.itemsize
    zeros = bytes(_BLOCK_BYTES)
    mask_block = np.empty(step, dtype=values.dtype)
    for start in range(0, values.size, step):
        block = values[start : start + step]
        mask = mask_block[: block.size]
        target, source = mask.view(np.uint8).data, memoryview(zeros)[: block.nbytes]
        for stream, subtracted in streams:
            stream.update_into(source, target)
            (np.subtract if subtracted else np.add)(block, mask, out=block)


def _stream(key: bytes) -> CipherContext:
    """Return the key stream of AES-256 in counter mode; the key is used once, the counter is 0."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

"""Random words from a cryptographic generator: AES-256-CTR, keyed by the OS, key discarded.

Source: NIST SP 800-38A (CTR); the key comes from `os.urandom` and lives for one call only, so no
output can be reproduced from anything that is kept, and a fork never repeats a stream.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

if TYPE_CHECKING:
    import numpy.typing as npt

_KEY_BYTES = 32
_ZEROS = memoryview(bytes(2**19))
"""What is encrypted: the key stream itself comes out."""


class WordStream:
    """An endless stream of independent uniform 64-bit words under one key; not thread-safe."""

    def __init__(self) -> None:
        key = os.urandom(_KEY_BYTES)
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def fill(self, words: npt.NDArray[np.uint64]) -> None:
        """Overwrite a contiguous uint64 array with fresh words."""
        view = words.view(np.uint8).data
        for start in range(0, len(view), len(_ZEROS)):
            part = view[start : start + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(part)], part)

    def take(self, count: int) -> npt.NDArray[np.uint64]:
        """Return `count` fresh words."""
        words = np.zeros(count, dtype=np.uint64)
        if count:
            self.fill(words)
        return words

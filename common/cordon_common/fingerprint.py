"""Fingerprints of keys for people: sixteen hex digits to read, eight words to say by telephone.

The words encode the same 64 bits: one word of `fingerprint_words.txt` per byte, its line number
counted from 0. The list is Cordon's own: 256 common English words whose first four letters differ.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

FINGERPRINT_BYTES = 8
WORDS_FILE = "fingerprint_words.txt"


def fingerprint(key: bytes) -> str:
    """Return the first 16 hex digits of the key's SHA-256."""
    return _head(key).hex()


def spoken(key: bytes) -> str:
    """Return the fingerprint as eight words, in two groups of four."""
    words = [_words()[byte] for byte in _head(key)]
    return f"{' '.join(words[:4])}, {' '.join(words[4:])}"


def _head(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:FINGERPRINT_BYTES]


@cache
def _words() -> tuple[str, ...]:
    text = files("cordon_common").joinpath(WORDS_FILE).read_text(encoding="ascii")
    return tuple(text.split())

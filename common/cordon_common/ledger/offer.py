"""What a coordinator shows a site of its log before every step, for the site to check and cosign."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_GROWTHS = 32
MOST_LOGGED = 256
MOST_HASHES = 64
NOTE_MAX_CHARS = 1000
ENTRY_MAX_CHARS = 32_768

HashText = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""A 32-byte SHA-256 value in base64, as in checkpoints."""
Hashes = Annotated[tuple[HashText, ...], Field(max_length=MOST_HASHES)]
NoteText = Annotated[
    str, StringConstraints(strip_whitespace=False, min_length=1, max_length=NOTE_MAX_CHARS)
]
"""A signed note; the newline at its end belongs to it."""
CosignatureText = Annotated[
    str, StringConstraints(strip_whitespace=False, pattern=r"^\u2014 [^ +\n]+ [A-Za-z0-9+/=]+\n$")
]
"""One signature line of a witness, with its newline."""


class Growth(StrictModel):
    """The consistency proof (RFC 9162 §2.1.4) from the tree of `since` entries to the offered one."""

    since: int = Field(ge=1)
    proof: Hashes


class Logged(StrictModel):
    """One entry of the log, with the proof (RFC 9162 §2.1.3) that it is in the offered tree."""

    seq: int = Field(ge=0)
    entry: str = Field(min_length=2, max_length=ENTRY_MAX_CHARS)
    proof: Hashes


class WitnessOffer(StrictModel):
    """The log's signed head, how it grew, and what it says of this site's last releases.

    growths: one per head that the site may have seen last. logged: the site's last release that
    arrived, in this run and in any, and what the coordinator says about those that did not.
    """

    checkpoint: NoteText
    growths: tuple[Growth, ...] = Field(default=(), max_length=MOST_GROWTHS)
    logged: tuple[Logged, ...] = Field(default=(), max_length=MOST_LOGGED)


def hash_texts(hashes: Sequence[bytes]) -> tuple[str, ...]:
    """Write 32-byte hashes as text."""
    return tuple(base64.b64encode(item).decode() for item in hashes)


def hash_bytes(texts: Sequence[str]) -> list[bytes]:
    """Read hashes that the model has checked."""
    return [base64.b64decode(text) for text in texts]

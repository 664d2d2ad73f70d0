"""Checkpoints: a log's size and root as a signed note that any transparency tool can read.

Sources: C2SP signed-note (text, blank line, signature lines) and C2SP tlog-checkpoint (origin,
size, root). Keys are Ed25519 (signature type 0x01).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import IntegrityError

if TYPE_CHECKING:
    from cordon_common.signing import PublicKey, SigningKey

_ED25519 = b"\x01"
_MARK = "\N{EM DASH} "


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log: `origin` names it, `size` counts entries, `root` is the 32-byte root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, key: PublicKey) -> bytes:
    """Return the 4-byte id of a note key: SHA-256(name ‖ LF ‖ 0x01 ‖ key)[:4] (signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.raw).digest()[:4]


def sign_note(text: str, name: str, key: SigningKey) -> str:
    """Write a signed note; `text` ends in a newline, `name` has neither spaces nor plus signs."""
    return note_from(text, name, key.public, key.sign(text.encode()))


def note_from(text: str, name: str, key: PublicKey, signature: bytes) -> str:
    """Write a signed note from a 64-byte signature that was made before."""
    line = base64.b64encode(key_id(name, key) + signature).decode()
    return f"{text}\n{_MARK}{name} {line}\n"


def open_note(note: str, name: str, key: PublicKey) -> str:
    """Check a note's signature by one key and return its text; other signatures are ignored.

    Raises:
        IntegrityError: IN105 when the note is malformed, IN001 when no signature by that key fits.
    """
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not text or not note.endswith("\n"):
        raise IntegrityError("IN105", why="text and signatures are not divided by a blank line")
    text += "\n"
    for line in signatures.splitlines():
        signer, _, encoded = line.removeprefix(_MARK).partition(" ")
        if not line.startswith(_MARK) or not signer or not encoded:
            raise IntegrityError("IN105", why="a signature line is malformed")
        signed = _decode(encoded)
        if signer == name and signed[:4] == key_id(name, key):
            key.verify(text.encode(), signed[4:])
            return text
    raise IntegrityError("IN001", f"the note carries no signature by {name}")


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Write a checkpoint as a note signed under the log's origin."""
    return sign_note(checkpoint.text, checkpoint.origin, key)


def open_checkpoint(note: str, origin: str, key: PublicKey) -> Checkpoint:
    """Check a signed checkpoint of one log and return it.

    Raises:
        IntegrityError: IN105 when it is malformed or of another log, IN001 when the signature does
            not fit.
    """
    lines = open_note(note, origin, key).split("\n")
    if len(lines) < 4 or lines[0] != origin:
        raise IntegrityError("IN105", why="it is not a checkpoint of this log")
    size, root = lines[1], _decode(lines[2])
    if not (size.isascii() and size.isdigit()) or str(int(size)) != size or len(root) != 32:
        raise IntegrityError("IN105", why="size or root is malformed")
    return Checkpoint(origin, int(size), root)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise IntegrityError("IN105", why="not base64") from None

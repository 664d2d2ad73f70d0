"""Checkpoints: a log's size and root as a signed note that any transparency tool can read.

Sources: C2SP signed-note (text, blank line, signature lines), C2SP tlog-checkpoint (origin, size,
root) and C2SP tlog-cosignature (a witness's statement that the log only grew, with its time). Keys
are Ed25519: signature type 0x01 for the log itself, 0x04 for witnesses.
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
_COSIGNATURE = b"\x04"
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


def key_id(name: str, key: PublicKey, kind: bytes = _ED25519) -> bytes:
    """Return the 4-byte id of a note key: SHA-256(name ‖ LF ‖ type ‖ key)[:4] (signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + key.raw).digest()[:4]


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
    text = note_text(note)
    for line in note[len(text) + 1 :].splitlines():
        signer, signed = _read_line(line)
        if signer == name and signed[:4] == key_id(name, key):
            key.verify(text.encode(), signed[4:])
            return text
    raise IntegrityError("IN001", f"the note carries no signature by {name}")


def note_text(note: str) -> str:
    """Return the text of a note, the newline at its end included; no signature is checked.

    Raises:
        IntegrityError: IN105 when the note is malformed.
    """
    text, separator, _ = note.rpartition("\n\n")
    if not separator or not text or not note.endswith("\n"):
        raise IntegrityError("IN105", why="text and signatures are not divided by a blank line")
    return text + "\n"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Write a checkpoint as a note signed under the log's origin."""
    return sign_note(checkpoint.text, checkpoint.origin, key)


def open_checkpoint(note: str, origin: str, key: PublicKey) -> Checkpoint:
    """Check a signed checkpoint of one log and return it.

    Raises:
        IntegrityError: IN105 when it is malformed or of another log, IN001 when the signature does
            not fit.
    """
    point = parse_checkpoint(open_note(note, origin, key))
    if point.origin != origin:
        raise IntegrityError("IN105", why="it is not a checkpoint of this log")
    return point


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint, whose signature is the caller's business.

    Raises:
        IntegrityError: IN105 when it is malformed.
    """
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0]:
        raise IntegrityError("IN105", why="origin, size and root are not three lines")
    size, root = lines[1], _decode(lines[2])
    if not (size.isascii() and size.isdigit()) or str(int(size)) != size or len(root) != 32:
        raise IntegrityError("IN105", why="size or root is malformed")
    return Checkpoint(lines[0], int(size), root)


def cosigner_name(site: str) -> str:
    """Return the name under which a site cosigns the heads of other logs."""
    return f"cordon/site/{site}"


def cosign(checkpoint: Checkpoint, name: str, key: SigningKey, time_s: int) -> str:
    """Write the signature line by which a witness says at a time that it knows this head.

    time_s: seconds since 1970 (POSIX). Source: C2SP tlog-cosignature.
    """
    signature = time_s.to_bytes(8) + key.sign(_cosigned(checkpoint, time_s))
    signed = key_id(name, key.public, _COSIGNATURE) + signature
    return f"{_MARK}{name} {base64.b64encode(signed).decode()}\n"


def open_cosignature(line: str, checkpoint: Checkpoint, name: str, key: PublicKey) -> int:
    """Check a witness's signature line over a head and return its POSIX time in seconds.

    Raises:
        IntegrityError: IN105 when it is malformed, IN001 when it is not that witness's.
    """
    if not line.endswith("\n"):
        raise IntegrityError("IN105", why="the line has no end")
    signer, signed = _read_line(line[:-1])
    if signer != name or signed[:4] != key_id(name, key, _COSIGNATURE):
        raise IntegrityError("IN001", f"this is no cosignature by {name}")
    time_s = int.from_bytes(signed[4:12])
    key.verify(_cosigned(checkpoint, time_s), signed[12:])
    return time_s


def cosignature_time(line: str) -> int:
    """Return the POSIX time in seconds that a cosignature states, without checking it.

    Raises:
        IntegrityError: IN105 when it is malformed or is not as long as a cosignature.
    """
    signed = _read_line(line.rstrip("\n"))[1]
    if len(signed) != 4 + 8 + 64:
        raise IntegrityError("IN105", why="it is no Ed25519 cosignature")
    return int.from_bytes(signed[4:12])


def _cosigned(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{checkpoint.text}".encode()


def _read_line(line: str) -> tuple[str, bytes]:
    """Return name, and key id with signature, of a signature line without its newline."""
    signer, _, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not signer or not encoded:
        raise IntegrityError("IN105", why="a signature line is malformed")
    return signer, _decode(encoded)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise IntegrityError("IN105", why="not base64") from None

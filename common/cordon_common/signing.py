"""Ed25519 keys and envelopes: who said what, over canonical bytes."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cordon_common.canonical import Json, canonical_bytes, digest
from cordon_common.errors import IntegrityError
from cordon_common.fingerprint import fingerprint, spoken
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "ed25519:"


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key; its text form is `ed25519:<base64 of 32 bytes>`."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read the text form.

        Raises:
            IntegrityError: IN002 when it is not a 32-byte key.
        """
        try:
            raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        # base64 of 32 bytes has two spare bits: one key would have four texts
        if len(raw) != 32 or str(cls(raw)) != text:
            raise IntegrityError("IN002", "a public key is not of the form ed25519:<base64>")
        return cls(raw)

    def __str__(self) -> str:
        return _PREFIX + base64.b64encode(self.raw).decode()

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the key's SHA-256, for people to compare."""
        return fingerprint(self.raw)

    @property
    def words(self) -> str:
        """The same fingerprint as eight words, to be compared by voice."""
        return spoken(self.raw)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature.

        Raises:
            IntegrityError: IN001 when it does not fit.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            raise IntegrityError("IN001") from None


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key that stays in its file (mode 0600)."""

    _key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the operating system's generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a PEM key file.

        Raises:
            IntegrityError: IN002 when the file is missing, unreadable or not an Ed25519 key.
        """
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            raise IntegrityError("IN002", f"the key file {path.name} cannot be read") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise IntegrityError("IN002", f"the key file {path.name} is not an Ed25519 key")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key as PKCS#8 PEM with mode 0600; never overwrites."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)

    @property
    def public(self) -> PublicKey:
        """The matching public key."""
        return PublicKey(
            self._key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
        )

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a message (RFC 8032)."""
        return self._key.sign(message)


class Envelope(StrictModel):
    """A signed JSON payload; the signature covers type and payload in canonical form."""

    type: str
    payload: dict[str, Json]
    key: str
    signature: str

    @property
    def digest(self) -> str:
        """Digest of the payload's canonical bytes (the signature is not part of it)."""
        return digest(canonical_bytes(self.payload))

    def verify(self, expected_type: str) -> PublicKey:
        """Check type and signature; return the key that signed (the caller decides on trust).

        Raises:
            IntegrityError: IN001.
        """
        if self.type != expected_type:
            raise IntegrityError("IN001", f"this is a {self.type}, not a {expected_type}")
        key = PublicKey.parse(self.key)
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            raise IntegrityError("IN001") from None
        key.verify(_signed_bytes(self.type, self.payload), signature)
        return key


def seal(key: SigningKey, type_: str, payload: dict[str, Json]) -> Envelope:
    """Sign a JSON payload under a type name, so that no signature can be used for another type."""
    signature = base64.b64encode(key.sign(_signed_bytes(type_, payload))).decode()
    return Envelope(type=type_, payload=payload, key=str(key.public), signature=signature)


def _signed_bytes(type_: str, payload: dict[str, Json]) -> bytes:
    return canonical_bytes({"type": type_, "payload": payload})

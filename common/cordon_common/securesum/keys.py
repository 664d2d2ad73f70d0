"""Who takes part in a masked sum: one X25519 key per site and run, signed by its identity.

The coordinator carries the keys from site to site and can change none: a vault accepts only what
the identities of its approved study's roster have signed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field, ValidationError

from cordon_common.canonical import canonical_bytes, digest_of
from cordon_common.errors import IntegrityError
from cordon_common.protocol.dictionary import Slug
from cordon_common.signing import PublicKey, seal
from cordon_common.strict import StrictModel
from cordon_common.wire import Digest, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cordon_common.signing import Envelope, SigningKey

KEY_TYPE = "cordon.sum-key.v1"
_PREFIX = "x25519:"


class SumKey(StrictModel):
    """A site's key for the masked sums of one run; signed by its identity."""

    study: Digest
    run: RunId
    site: Slug
    key: Annotated[str, Field(pattern=r"^x25519:[A-Za-z0-9+/]{43}=$")]

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return base64.b64decode(self.key.removeprefix(_PREFIX))


@dataclass(frozen=True)
class Roster:
    """The sites of one attempt and their keys, by name; `digest` binds all of them."""

    keys: Mapping[str, bytes]
    digest: str

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites' names, in order."""
        return tuple(self.keys)


def key_of_run(secret: bytes, *, study: str, run: str) -> X25519PrivateKey:
    """Derive a site's key for one run from the secret that it keeps for the study.

    Whoever lacks the secret cannot tell it from a fresh key (HKDF, RFC 5869). So a vault that was
    killed goes on with the key that the others know, and nothing but 32 bytes need be forgotten.
    """
    info = canonical_bytes({"use": KEY_TYPE, "study": study, "run": run})
    return X25519PrivateKey.from_private_bytes(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
    )


def announce(
    identity: SigningKey, key: X25519PrivateKey, *, study: str, run: str, site: str
) -> Envelope:
    """Sign the public part of a site's key for one run; equal input gives equal bytes."""
    text = _PREFIX + base64.b64encode(public_bytes(key)).decode()
    body = SumKey(study=study, run=run, site=site, key=text)
    return seal(identity, KEY_TYPE, body.model_dump(mode="json"))


def public_bytes(key: X25519PrivateKey) -> bytes:
    """Return the 32 bytes of a key's public part."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def open_key(envelope: Envelope, identity: PublicKey) -> SumKey:
    """Check that an announcement was signed by this identity.

    Raises:
        IntegrityError: IN030.
    """
    try:
        signer = envelope.verify(KEY_TYPE)
        announced = SumKey.model_validate(envelope.payload)
    except (IntegrityError, ValidationError):
        raise IntegrityError("IN030") from None
    if signer != identity:
        raise IntegrityError("IN030")
    return announced


def open_roster(
    envelopes: Sequence[Envelope], *, study: str, run: str, identities: Mapping[str, PublicKey]
) -> Roster:
    """Check all announcements of an attempt: every one signed by its site, for this study and run.

    identities: the roster of the approved study.
    Guarantee: one key per site, in the order of the names; equal announcements give equal digests.

    Raises:
        IntegrityError: IN030 for a key that the roster's site did not sign for this run, or for a
            site that is not on the roster or stands twice.
    """
    keys: dict[str, bytes] = {}
    for envelope in envelopes:
        identity = identities.get(str(envelope.payload.get("site")))
        if identity is None:
            raise IntegrityError("IN030")
        announced = open_key(envelope, identity)
        if (announced.study, announced.run) != (study, run):
            raise IntegrityError("IN030")
        keys[announced.site] = announced.raw
    names = [str(envelope.payload["site"]) for envelope in envelopes]
    if any(first >= second for first, second in pairwise(names)):
        raise IntegrityError("IN030")
    return Roster(keys, roster_digest(envelopes))


def roster_digest(envelopes: Sequence[Envelope]) -> str:
    """Return the digest of all that the sites of an attempt announced."""
    return digest_of([dict(envelope.payload) for envelope in envelopes])


def shared_secret(own: X25519PrivateKey, other: bytes) -> bytes:
    """Return the secret that two sites share (RFC 7748).

    Raises:
        IntegrityError: IN030 for a point of small order, with which nothing would be secret.
    """
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise IntegrityError("IN030") from None

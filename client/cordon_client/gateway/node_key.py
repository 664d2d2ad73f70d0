"""The SuperNode's key: ECDSA on P-384, made at the hospital; only its public half travels."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cordon_common.errors import IntegrityError


def create_node_key(path: Path) -> str:
    """Write a new private key (OpenSSH PEM, mode 0600) and return its public line.

    The line reads `ecdsa-sha2-nistp384 <base64>`. Raises FileExistsError rather than replace a key.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return public_line(key)


def load_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the SuperNode's private key.

    Raises:
        IntegrityError: IN002 when the file cannot be read or holds another kind of key.
    """
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise IntegrityError("IN002", why=type(error).__name__) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise IntegrityError("IN002", why="it does not hold a P-384 key")
    return key


def public_line(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public half as one OpenSSH line, without a comment."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode("ascii")
    )

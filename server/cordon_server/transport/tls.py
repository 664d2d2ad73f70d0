"""The federation's own CA and the SuperLink's certificate (RFC 5280; P-256, SHA-256)."""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cordon_common.clock import Clock, utc_now
from cordon_common.errors import IntegrityError

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=398)
_BACKDATED = timedelta(minutes=10)  # a site whose clock is a little behind must not refuse it


@dataclass(frozen=True)
class TlsFiles:
    """Paths of the CA certificate and key, and of the server's certificate and key."""

    ca_certificate: Path
    ca_key: Path
    server_certificate: Path
    server_key: Path

    @classmethod
    def at(cls, folder: Path) -> "TlsFiles":
        """Return the conventional names inside `folder`."""
        return cls(
            folder / "ca.crt", folder / "ca.key", folder / "server.crt", folder / "server.key"
        )


def create_ca(files: TlsFiles, *, name: str, clock: Clock = utc_now) -> None:
    """Write a new CA certificate and its key (mode 0600); refuses to replace one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} federation CA")])
    builder = _builder(subject, subject, key.public_key(), clock, CA_LIFETIME)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_new(files.ca_key, _pem(key), mode=0o600)
    _write_new(files.ca_certificate, certificate.public_bytes(serialization.Encoding.PEM))


def create_server_certificate(
    files: TlsFiles, hosts: Sequence[str], *, clock: Clock = utc_now
) -> None:
    """Write a key and a certificate for `hosts` (names or addresses), signed by the CA.

    Loopback is always among the subject alternative names, so that the coordinator's own
    processes can verify it too. Replaces an earlier certificate: that is how it is renewed.

    Raises:
        IntegrityError: IN002 when the CA cannot be read.
    """
    ca_key, ca = _load_ca(files)
    key = ec.generate_private_key(ec.SECP256R1())
    names = list(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"]))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = _builder(subject, ca.subject, key.public_key(), clock, SERVER_LIFETIME)
    certificate = (
        builder.add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    for path in (files.server_key, files.server_certificate):
        path.unlink(missing_ok=True)
    _write_new(files.server_key, _pem(key), mode=0o600)
    _write_new(files.server_certificate, certificate.public_bytes(serialization.Encoding.PEM))


def create_client_certificate(
    files: TlsFiles, name: str, certificate_file: Path, key_file: Path, *, clock: Clock = utc_now
) -> None:
    """Write a key (mode 0600) and a certificate by which an operator opens the control port.

    Raises:
        IntegrityError: IN002 when the CA cannot be read; FileExistsError rather than replace one.
    """
    ca_key, ca = _load_ca(files)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, ca.subject, key.public_key(), clock, SERVER_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write_new(key_file, _pem(key), mode=0o600)
    _write_new(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 fingerprint that people compare by voice: pairs of hex digits.

    Raises:
        IntegrityError: IN002 when the certificate cannot be read.
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError("IN002", why=type(error).__name__) from None
    return parsed.fingerprint(hashes.SHA256()).hex(":").upper()


def _load_ca(files: TlsFiles) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(files.ca_key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(files.ca_certificate.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError("IN002", why=type(error).__name__) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IntegrityError("IN002", why="the CA's key is of another kind")
    return key, certificate


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    clock: Clock,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    now = clock()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _san(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)

"""Certificates are what TLS clients demand; keys are private; nothing is replaced by accident."""

import ipaddress
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cordon_common.errors import IntegrityError
from cordon_server.transport.tls import TlsFiles, create_ca, create_server_certificate, fingerprint

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def files(tmp_path):
    files = TlsFiles.at(tmp_path / "tls")
    create_ca(files, name="north", clock=lambda: NOW)
    return files


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_keys_are_readable_by_their_owner_only(files):
    create_server_certificate(files, ["127.0.0.1"])
    for key in (files.ca_key, files.server_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_server_certificate_names_the_hosts_and_always_loopback(files):
    create_server_certificate(files, ["coordinator.example", "192.0.2.7", "127.0.0.1"])
    names = read(files.server_certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["coordinator.example", "localhost"]
    assert set(names.value.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address(text) for text in ("192.0.2.7", "127.0.0.1", "::1")
    }


def test_the_server_certificate_is_signed_by_the_ca_and_is_none_itself(files):
    create_server_certificate(files, ["127.0.0.1"])
    ca, server = read(files.ca_certificate), read(files.server_certificate)
    server.verify_directly_issued_by(ca)
    constraint = server.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraint.critical
    assert constraint.value.ca is False


def test_the_lifetimes_start_a_little_back_for_clocks_that_are_behind(files):
    create_server_certificate(files, ["127.0.0.1"], clock=lambda: NOW)
    server = read(files.server_certificate)
    assert server.not_valid_before_utc == NOW - timedelta(minutes=10)
    assert server.not_valid_after_utc == NOW + timedelta(days=398)


def test_a_ca_is_never_replaced_but_a_server_certificate_is_renewed(files):
    create_server_certificate(files, ["127.0.0.1"])
    first = files.server_certificate.read_bytes()
    create_server_certificate(files, ["127.0.0.1"])
    assert files.server_certificate.read_bytes() != first
    with pytest.raises(FileExistsError):
        create_ca(files, name="north")


def test_the_fingerprint_is_the_certificates_sha256_in_pairs(files):
    digest = read(files.ca_certificate).fingerprint(hashes.SHA256()).hex().upper()
    assert fingerprint(files.ca_certificate).replace(":", "") == digest
    assert fingerprint(files.ca_certificate).count(":") == 31


@pytest.mark.parametrize("which", ["ca_key", "ca_certificate"])
@pytest.mark.parametrize("content", [None, b"", b"not pem"])
def test_an_unreadable_ca_is_a_coded_error(which, content, files):
    path = getattr(files, which)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match="IN002"):
        create_server_certificate(files, ["127.0.0.1"])

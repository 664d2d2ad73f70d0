"""Making a site and joining a coordinator: keys are made here and never leave."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cordon_client.kit import read_envelope, read_kit
from cordon_client.vault.policy import load_policy, trust_coordinator
from cordon_common.canonical import canonical_bytes
from cordon_common.enrolment import REQUEST_TYPE, EnrolmentRequest
from cordon_common.errors import IntegrityError, ProtocolError, UsageError
from cordon_common.ledger.site import SiteLedger, upgrade_site_ledger
from cordon_common.protocol.parse import parse_model
from cordon_common.signing import SigningKey, seal

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.home import SiteConfig, SiteHome
    from cordon_common.clock import Clock
    from cordon_common.enrolment import SiteKit
    from cordon_common.signing import PublicKey

SPLIT_KEY_BYTES = 32


def create_site(home: SiteHome, config: SiteConfig, policy: Path, *, clock: Clock) -> PublicKey:
    """Make a site's folder: settings, policy copy, keys (0600), empty ledger, enrolment request.

    The folder may hold empty folders: what a container mounts. Returns the public identity key.

    Raises:
        UsageError: US003 when the folder already holds a site; ProtocolError: PR004 for the policy.
    """
    if home.root.exists() and any(not path.is_dir() for path in home.root.rglob("*")):
        raise UsageError("US003", "the folder is not empty; keys are never overwritten")
    load_policy(policy)
    for folder in (home.identity_key.parent, home.reports, home.gateway, home.root / "run"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.config_file.write_text(
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
    )
    home.policy_file.write_text(policy.read_text(encoding="utf-8"), encoding="utf-8")
    key = SigningKey.generate()
    key.save(home.identity_key)
    _write_secret(home.split_key, secrets.token_bytes(SPLIT_KEY_BYTES))
    request = EnrolmentRequest(
        site=config.name,
        identity_key=str(key.public),
        supernode_key=_make_supernode_key(home.supernode_key),
    )
    SiteLedger.open(
        home.ledger,
        key=key,
        site=config.name,
        dataset=config.dataset.id,
        clock=clock,
        create=True,
    ).close()
    _write_request(home, key, request)
    return key.public


def upgrade_ledger(home: SiteHome, *, clock: Clock) -> tuple[int, int]:
    """Bring the ledger of an older version to this one; return both versions.

    Raises:
        IntegrityError: IN101 to IN107, see `SiteLedger.open`.
    """
    config = home.config()
    return upgrade_site_ledger(
        home.ledger,
        key=SigningKey.load(home.identity_key),
        site=config.name,
        dataset=config.dataset.id,
        clock=clock,
    )


def join_site(home: SiteHome, kit_file: Path, *, replace: bool = False) -> SiteKit:
    """Take a coordinator's kit: store it, and add its key to the policy's trusted coordinators.

    A kit under another key than the one joined is refused unless `replace`: whoever can write a
    file under the coordinator's name must not become the coordinator. A kit that confirms a
    replaced SuperNode key makes it the one in use.

    Raises:
        ProtocolError: PR009 when the kit is for another site; IntegrityError: IN001.
        UsageError: US073 when another coordinator was joined before.
    """
    kit, key = read_kit(kit_file)
    if kit.site != home.config().name:
        raise ProtocolError("PR009", f"the kit is for the site {kit.site}")
    if home.kit_file.is_file() and not replace:
        joined, known = read_kit(home.kit_file)
        if known != key:
            why = f"joined {joined.coordinator} ({known.words}); the kit's key says {key.words}"
            raise UsageError("US073", why=why)
    home.kit_file.write_bytes(kit_file.read_bytes())
    home.ca_certificate.write_text(kit.ca_certificate, encoding="ascii")
    trust_coordinator(home.policy_file, key, f"{kit.coordinator}, {key.fingerprint}")
    _use_confirmed_key(home, kit)
    return kit


def rotate_node_key(home: SiteHome) -> int:
    """Make the next SuperNode key and a signed request that names it; return the key's serial.

    The key in use stays until the coordinator's new kit is joined.

    Raises:
        UsageError: US002; IntegrityError: IN002.
    """
    config, key = home.config(), SigningKey.load(home.identity_key)
    serial = _request_of(home).serial + 1
    for path in (home.next_supernode_key, home.next_supernode_key.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    request = EnrolmentRequest(
        site=config.name,
        identity_key=str(key.public),
        supernode_key=_make_supernode_key(home.next_supernode_key),
        serial=serial,
    )
    _write_request(home, key, request)
    return serial


def _use_confirmed_key(home: SiteHome, kit: SiteKit) -> None:
    if home.next_supernode_key.is_file() and kit.key_serial == _request_of(home).serial:
        public = home.supernode_key.with_suffix(".pub")
        home.next_supernode_key.with_suffix(".pub").replace(public)
        home.next_supernode_key.replace(home.supernode_key)


def _request_of(home: SiteHome) -> EnrolmentRequest:
    envelope = read_envelope(home.enrolment_request)
    return parse_model(
        EnrolmentRequest, envelope.payload, code="PR009", what="the enrolment request is not valid"
    )


def _write_request(home: SiteHome, key: SigningKey, request: EnrolmentRequest) -> None:
    envelope = seal(key, REQUEST_TYPE, request.model_dump(mode="json"))
    home.enrolment_request.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))


def load_split_key(home: SiteHome) -> bytes:
    """Read the key of patient hashes.

    Raises:
        IntegrityError: IN002 when it is missing, unreadable or of the wrong length.
    """
    try:
        key = home.split_key.read_bytes()
    except OSError:
        key = b""
    if len(key) != SPLIT_KEY_BYTES:
        raise IntegrityError("IN002", "the key file split.key cannot be read")
    return key


def _make_supernode_key(path: Path) -> str:
    """Make the EC P-384 key that Flower's SuperNode authenticates with; return its public line."""
    key = ec.generate_private_key(ec.SECP384R1())
    _write_secret(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ),
    )
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.with_suffix(".pub").write_bytes(line + b"\n")
    return line.decode()


def _write_secret(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)

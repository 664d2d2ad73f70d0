"""Making a site and joining a coordinator: keys are made here and never leave."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cordon_client.kit import read_kit
from cordon_client.vault.policy import load_policy, trust_coordinator
from cordon_common.canonical import canonical_bytes
from cordon_common.enrolment import REQUEST_TYPE, EnrolmentRequest
from cordon_common.errors import IntegrityError, ProtocolError, UsageError
from cordon_common.ledger.site import SiteLedger
from cordon_common.signing import SigningKey, seal

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.home import SiteConfig, SiteHome
    from cordon_common.clock import Clock
    from cordon_common.enrolment import SiteKit

SPLIT_KEY_BYTES = 32


def create_site(home: SiteHome, config: SiteConfig, policy: Path, *, clock: Clock) -> str:
    """Make a site's folder: settings, policy copy, keys (0600), empty ledger, enrolment request.

    Returns the fingerprint of the identity key.

    Raises:
        UsageError: US003 when the folder already holds a site; ProtocolError: PR004 for the policy.
    """
    if home.root.exists() and any(home.root.iterdir()):
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
    envelope = seal(key, REQUEST_TYPE, request.model_dump(mode="json"))
    home.enrolment_request.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    return key.public.fingerprint


def join_site(home: SiteHome, kit_file: Path) -> SiteKit:
    """Take a coordinator's kit: store it, and add its key to the policy's trusted coordinators.

    Raises:
        ProtocolError: PR009 when the kit is for another site; IntegrityError: IN001.
    """
    kit, key = read_kit(kit_file)
    if kit.site != home.config().name:
        raise ProtocolError("PR009", f"the kit is for the site {kit.site}")
    home.kit_file.write_bytes(kit_file.read_bytes())
    home.ca_certificate.write_text(kit.ca_certificate, encoding="ascii")
    trust_coordinator(home.policy_file, key, f"{kit.coordinator}, {key.fingerprint}")
    return kit


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

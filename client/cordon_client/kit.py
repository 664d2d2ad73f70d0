"""The coordinator's kit at the site: reading it, and what the gateway takes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from cordon_client.gateway.settings import GatewaySettings
from cordon_common.canonical import parse_json
from cordon_common.enrolment import KIT_TYPE, SiteKit
from cordon_common.errors import IntegrityError, ProtocolError, UsageError
from cordon_common.protocol.parse import parse_model
from cordon_common.signing import Envelope, PublicKey

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.home import SiteHome

ENROLMENT_WAIT_S = 30.0
"""A gateway may be started a moment before its coordinator has told the SuperLink of its key."""


def read_envelope(path: Path) -> Envelope:
    """Read a signed envelope from a file, without checking its signature yet.

    Raises:
        UsageError: US002 when it cannot be read; ProtocolError: PR009 when it is no envelope.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("US002", f"cannot read {path.name}", why=error.strerror or "") from None
    try:
        return Envelope.model_validate(parse_json(data))
    except (ValidationError, ProtocolError):
        raise ProtocolError("PR009", f"{path.name} is not a signed file of Cordon") from None


def read_kit(path: Path) -> tuple[SiteKit, PublicKey]:
    """Read a coordinator's kit and check its signature; trusting the key is the caller's decision.

    Raises:
        UsageError: US002; ProtocolError: PR009; IntegrityError: IN001.
    """
    envelope = read_envelope(path)
    key = envelope.verify(KIT_TYPE)
    kit = parse_model(SiteKit, envelope.payload, code="PR009", what="the site kit is not valid")
    if PublicKey.parse(kit.coordinator_key) != key:
        raise IntegrityError("IN001", "the site kit is signed by another key than it names")
    return kit, key


def gateway_settings(
    home: SiteHome, *, metrics_port: int = 0, metrics_address: str = "127.0.0.1"
) -> GatewaySettings:
    """Say what the gateway needs, from the kit and its own folder alone.

    Raises:
        UsageError: US004 when the site has not joined a coordinator.
    """
    if not home.kit_file.is_file():
        raise UsageError("US004")
    kit, _ = read_kit(home.kit_file)
    return GatewaySettings(
        site=kit.site,
        coordinator=kit.address,
        ca_certificate=home.ca_certificate,
        node_key=home.supernode_key,
        vault_socket=home.socket,
        home=home.gateway,
        enrolment_wait_s=ENROLMENT_WAIT_S,
        metrics_port=metrics_port,
        metrics_address=metrics_address,
    )

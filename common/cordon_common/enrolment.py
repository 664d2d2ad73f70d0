"""Enrolment: a site's signed request and the coordinator's signed kit; no secret travels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cordon_common.protocol.dictionary import Slug
from cordon_common.strict import StrictModel

REQUEST_TYPE = "cordon.enrolment-request.v1"
KIT_TYPE = "cordon.site-kit.v1"

KeyText = Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]


class EnrolmentRequest(StrictModel):
    """What a site tells the coordinator: its name and two public keys; signed by `identity_key`.

    `serial` grows with every SuperNode key that the site makes, so that an old request cannot bring
    an old key back.
    """

    site: Slug
    identity_key: KeyText
    supernode_key: str = Field(pattern=r"^ecdsa-sha2-nistp384 [A-Za-z0-9+/=]+$")
    serial: int = Field(default=0, ge=0, le=1_000_000)


class SiteKit(StrictModel):
    """What the coordinator tells a site: where to connect and whom to trust; signed by its key.

    `key_serial` is the SuperNode key that it knows; `roster` names the sites enrolled by then.
    """

    site: Slug
    coordinator: Slug
    coordinator_key: KeyText
    address: str = Field(pattern=r"^[A-Za-z0-9.\-]+:[0-9]{1,5}$", examples=["127.0.0.1:8443"])
    ca_certificate: str = Field(pattern=r"^-----BEGIN CERTIFICATE-----")
    key_serial: int = Field(default=0, ge=0, le=1_000_000)
    roster: dict[Slug, KeyText] = Field(default={}, max_length=10_000)

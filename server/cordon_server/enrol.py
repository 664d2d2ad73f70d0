"""Enrolling a site: check its signed request, keep its keys, write its signed kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from cordon_common.canonical import canonical_bytes, parse_json
from cordon_common.enrolment import KIT_TYPE, REQUEST_TYPE, EnrolmentRequest, SiteKit
from cordon_common.errors import IntegrityError, ProtocolError, UsageError
from cordon_common.protocol.parse import parse_model
from cordon_common.signing import Envelope, PublicKey, seal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_server.home import CoordinatorHome
    from cordon_server.roster import EnrolledSite
    from cordon_server.store import Store

MAX_FILE_BYTES = 64 * 1024 * 1024


def read_envelope(path: Path, *, code: str) -> Envelope:
    """Read a signed file without checking its signature yet; `code` is for a file that is none.

    Raises:
        UsageError: US002 when the file cannot be read.
        ProtocolError: with `code` when it is not an envelope.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ProtocolError(code, f"{path.name} is too large to be a signed file of Cordon")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("US002", f"cannot read {path.name}", why=error.strerror or "") from None
    try:
        return Envelope.model_validate(parse_json(data))
    except (ValidationError, ProtocolError):
        raise ProtocolError(code, f"{path.name} is not a signed file of Cordon") from None


def read_request(path: Path) -> tuple[EnrolmentRequest, Envelope]:
    """Read a site's enrolment request and check that the site itself signed it.

    Raises:
        UsageError: US002; ProtocolError: PR009; IntegrityError: IN001.
    """
    envelope = read_envelope(path, code="PR009")
    signer = envelope.verify(REQUEST_TYPE)
    request = parse_model(
        EnrolmentRequest,
        envelope.payload,
        code="PR009",
        what=f"{path.name} is not a valid enrolment request",
    )
    if PublicKey.parse(request.identity_key) != signer:
        raise IntegrityError("IN001", "the request is signed by another key than it names")
    return request, envelope


def enrol_site(home: CoordinatorHome, store: Store, path: Path, clock: Clock) -> EnrolledSite:
    """Enrol the site that made a request, and write its kit; the same request again is harmless.

    Raises:
        UsageError: US002, US025; ProtocolError: PR009; IntegrityError: IN001.
    """
    request, envelope = read_request(path)
    site = store.add_site(request, clock)
    copy = canonical_bytes(envelope.model_dump(mode="json"))
    (home.sites_dir / f"{site.site}.request.json").write_bytes(copy)
    kit_file(home, site.site).write_bytes(
        canonical_bytes(make_kit(home, site, store.sites()).model_dump(mode="json"))
    )
    return site


def make_kit(
    home: CoordinatorHome, site: EnrolledSite, enrolled: Sequence[EnrolledSite]
) -> Envelope:
    """Write down for a site where to connect and whom to trust, signed by the coordinator."""
    key = home.signing_key()
    kit = SiteKit(
        site=site.site,
        coordinator=home.settings.name,
        coordinator_key=str(key.public),
        address=home.settings.address,
        ca_certificate=home.tls.ca_certificate.read_text(encoding="ascii"),
        key_serial=site.key_serial,
        roster={each.site: each.identity_key for each in enrolled},
    )
    return seal(key, KIT_TYPE, kit.model_dump(mode="json"))


def kit_file(home: CoordinatorHome, site: str) -> Path:
    """Where the coordinator keeps a site's kit."""
    return home.sites_dir / f"{site}.kit.json"

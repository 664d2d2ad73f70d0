"""Studies on the coordinator's desk: a template, the roster, signing."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from cordon_common.canonical import canonical_bytes
from cordon_common.errors import ProtocolError, UsageError
from cordon_common.ledger.entries import SiteEnrolled, SiteKeyRotated, SiteRevoked, StudySigned
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import check_headroom
from cordon_common.protocol.dictionary import Slug
from cordon_common.protocol.parse import STUDY_TYPE, open_study, parse_model, with_trust
from cordon_common.protocol.study import RosterEntry, Study
from cordon_common.signing import seal
from cordon_common.strict import StrictModel
from cordon_server.enrol import read_envelope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.ledger.body import Body
    from cordon_common.protocol.study import TrustModel
    from cordon_common.signing import Envelope
    from cordon_server.coordinator import Coordinator
    from cordon_server.roster import EnrolledSite
    from cordon_server.store import StoredStudy

TEMPLATE_FILE = "template.yaml"


class _Named(StrictModel):
    name: Slug


def study_template(name: str) -> str:
    """Return a commented study file that validates.

    Raises:
        ProtocolError: PR001 when the name is not a slug.
    """
    what = f"{name!r} cannot be a study's name"
    named = parse_model(_Named, {"name": name}, code="PR001", what=what)
    text = files("cordon_server").joinpath(TEMPLATE_FILE).read_text(encoding="utf-8")
    return text.replace("@NAME@", named.name)


def with_roster(study: Study, sites: Sequence[EnrolledSite]) -> Study:
    """Fill an empty roster with the enrolled sites, each expected to be of equal size.

    Raises:
        UsageError: US024 when a roster names a site that is not enrolled with that key.
        ProtocolError: PR001 when there are fewer sites than the study's minimum.
    """
    known = {site.site: site.identity_key for site in sites}
    for entry in study.roster:
        if known.get(entry.site) != entry.key:
            raise UsageError("US024", f"the roster's {entry.site} is not enrolled with that key")
    if study.roster:
        return study
    if not sites:
        raise UsageError("US024", "no site is enrolled yet")
    training_share = 1 - study.evaluation.holdout_fraction
    expected = math.ceil(study.training.divisor / training_share / len(sites))
    roster = tuple(
        RosterEntry(site=site.site, key=site.identity_key, expected_patients=expected)
        for site in sites
    )
    value = study.model_copy(update={"roster": roster}).as_json()
    return parse_model(Study, value, code="PR001", what="the study does not fit the roster")


def under_trust(study: Study, trust: str | None) -> Study:
    """Return the study under the trust model that a person typed; as it is without one.

    Raises:
        ProtocolError: PR001 when the study does not fit it.
    """
    return with_trust(study, cast("TrustModel", trust)) if trust else study


def sign_study(coordinator: Coordinator, draft: Study) -> tuple[Study, Envelope]:
    """Complete, sign, store and log a study; signing the same one again changes nothing.

    Raises:
        UsageError: US024, US026; ProtocolError: PR001, PR030, PR031.
    """
    study = resolve(with_roster(draft, coordinator.store.sites()))
    check_headroom(study)
    key = coordinator.home.signing_key()
    envelope = seal(key, STUDY_TYPE, study.as_json())
    study = open_study(envelope, (key.public,))
    coordinator.store.add_study(study, envelope, coordinator.clock)
    log_once(coordinator, StudySigned(study=study.digest, envelope=envelope))
    coordinator.home.signed_study_file(study.digest).write_bytes(envelope_bytes(envelope))
    return study, envelope


def find_signed(coordinator: Coordinator, name_or_file: str, path: Path) -> StoredStudy:
    """Return a signed study by name, by digest, or by a signed file that this coordinator made.

    Raises:
        UsageError: US002, US021; ProtocolError: PR003, PR001; IntegrityError: IN001.
    """
    if not path.is_file():
        return coordinator.store.find_study(name_or_file)
    envelope = read_envelope(path, code="PR003")
    open_study(envelope, (coordinator.home.signing_key().public,))
    return coordinator.store.find_study(envelope.digest)


def log_enrolment(coordinator: Coordinator, site: EnrolledSite) -> None:
    """Log that a site was enrolled, and that its SuperNode key is another one now; each once."""
    log_once(coordinator, SiteEnrolled(site=site.site, identity_key=site.identity_key))
    if site.key_serial:
        log_once(
            coordinator,
            SiteKeyRotated(site=site.site, identity_key=site.identity_key, serial=site.key_serial),
        )


def log_revocation(coordinator: Coordinator, site: EnrolledSite) -> None:
    """Log that a site was revoked, once."""
    log_once(coordinator, SiteRevoked(site=site.site, identity_key=site.identity_key))


def log_once(coordinator: Coordinator, body: Body) -> None:
    """Append an entry to the coordinator's log unless it stands there already."""
    if body not in coordinator.log.bodies_from(0):
        coordinator.log.append(body)


def envelope_bytes(envelope: Envelope) -> bytes:
    """Return the bytes of a signed file."""
    return canonical_bytes(envelope.model_dump(mode="json"))


def read_study_or_signed(path: Path) -> Study:
    """Read a study from its YAML draft or from a signed file (the signature is not checked here).

    Raises:
        UsageError: US002; ProtocolError: PR001, PR002.
    """
    from cordon_common.protocol.parse import load_yaml

    value = load_yaml(path)
    if isinstance(value, dict) and set(value) == {"type", "payload", "key", "signature"}:
        value = value["payload"]
    if not isinstance(value, dict):
        raise ProtocolError("PR001", f"{path.name} is not a valid study", why="it is not a mapping")
    return parse_model(Study, value, code="PR001", what=f"{path.name} is not a valid study")

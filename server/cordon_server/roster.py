"""Who is enrolled: keys that count, keys that were replaced, sites that were revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from cordon_common.errors import UsageError
from cordon_server.schema import SiteRow, WithdrawnKeyRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from cordon_common.enrolment import EnrolmentRequest


@dataclass(frozen=True)
class EnrolledSite:
    """A hospital that the coordinator knows by its keys; `revoked_at` is empty while it may come."""

    site: str
    identity_key: str
    supernode_key: str
    enrolled_at: str
    key_serial: int = 0
    revoked_at: str = ""


def enrol(session: Session, request: EnrolmentRequest, now: str) -> EnrolledSite:
    """Take a site's request, whose signature by its identity key was checked.

    A known identity may replace its SuperNode key. A revoked name may be taken by a new identity,
    which people compare by voice like any new one.

    Raises:
        UsageError: US025 when the name or the identity is enrolled otherwise, US071 for a revoked
            identity or a key that was withdrawn, US072 when a newer request was used already.
    """
    row = _known(session, request)
    if row is not None and _is_same(row, request):
        return as_site(row)
    if session.get(WithdrawnKeyRow, request.supernode_key) is not None:
        raise UsageError("US071", "the request names a SuperNode key that was withdrawn")
    if row is None:
        row = SiteRow(site=request.site, revoked_at="", enrolled_at=now)
        session.add(row)
    elif row.identity_key != request.identity_key:
        if not row.revoked_at:
            raise UsageError("US025", f"{row.site} is enrolled with other keys")
        row.revoked_at, row.enrolled_at = "", now
    elif row.revoked_at:
        raise UsageError("US071", f"{row.site} was revoked")
    elif request.serial <= row.key_serial:
        raise UsageError("US072")
    else:
        _withdraw(session, row, now)
    row.identity_key, row.supernode_key = request.identity_key, request.supernode_key
    row.key_serial = request.serial
    return as_site(row)


def revoke(session: Session, site: str, now: str) -> EnrolledSite:
    """Mark a site and its SuperNode key as refused.

    Raises:
        UsageError: US024 when there is no such site.
    """
    row = session.get(SiteRow, site)
    if row is None:
        raise UsageError("US024", f"there is no enrolled site {site}")
    if not row.revoked_at:
        row.revoked_at = now
        _withdraw(session, row, now)
    return as_site(row)


def everyone(session: Session) -> list[EnrolledSite]:
    """List all sites, revoked ones too, by name."""
    return [as_site(row) for row in session.scalars(select(SiteRow).order_by(SiteRow.site))]


def withdrawn(session: Session) -> frozenset[str]:
    """Return the SuperNode keys that must be refused."""
    return frozenset(session.scalars(select(WithdrawnKeyRow.supernode_key)))


def as_site(row: SiteRow) -> EnrolledSite:
    """Read a site's row."""
    return EnrolledSite(
        row.site,
        row.identity_key,
        row.supernode_key,
        row.enrolled_at,
        row.key_serial,
        row.revoked_at,
    )


def _is_same(row: SiteRow, request: EnrolmentRequest) -> bool:
    kept = (row.identity_key, row.supernode_key)
    return not row.revoked_at and kept == (request.identity_key, request.supernode_key)


def _known(session: Session, request: EnrolmentRequest) -> SiteRow | None:
    query = select(SiteRow).where(
        or_(SiteRow.site == request.site, SiteRow.identity_key == request.identity_key)
    )
    rows = session.scalars(query).all()
    if any(row.site != request.site for row in rows):
        raise UsageError("US025", "that identity key is enrolled under another name")
    return rows[0] if rows else None


def _withdraw(session: Session, row: SiteRow, now: str) -> None:
    key = WithdrawnKeyRow(supernode_key=row.supernode_key, site=row.site, withdrawn_at=now)
    session.merge(key)

"""All that a coordinator holds, at a glance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_server.coordinator import Coordinator


@dataclass(frozen=True)
class SiteLine:
    """An enrolled site."""

    site: str
    fingerprint: str
    enrolled_at: str


@dataclass(frozen=True)
class StudyLine:
    """A signed study and its newest campaign ("" when it was never launched)."""

    study: str
    version: int
    digest: str
    campaign: str
    phase: str
    round: int
    status: str
    code: str


@dataclass(frozen=True)
class Overview:
    """A coordinator's name, key, sites and studies; log_size: entries in its log."""

    name: str
    address: str
    fingerprint: str
    log_size: int
    sites: tuple[SiteLine, ...]
    studies: tuple[StudyLine, ...]

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        return asdict(self)


def overview(coordinator: Coordinator) -> Overview:
    """Read the overview from folder, store and log."""
    home, store = coordinator.home, coordinator.store
    lines = []
    for study in store.studies():
        campaigns = store.campaigns(study.digest)
        last = campaigns[-1] if campaigns else None
        lines.append(
            StudyLine(
                study=study.name,
                version=study.version,
                digest=study.digest,
                campaign=last.campaign if last else "",
                phase=last.phase if last else "",
                round=last.round if last else 0,
                status=last.status if last else "signed",
                code=last.code if last else "",
            )
        )
    return Overview(
        name=home.settings.name,
        address=home.settings.address,
        fingerprint=home.signing_key().public.fingerprint,
        log_size=coordinator.log.size(),
        sites=tuple(
            SiteLine(s.site, PublicKey.parse(s.identity_key).fingerprint, s.enrolled_at)
            for s in store.sites()
        ),
        studies=tuple(lines),
    )

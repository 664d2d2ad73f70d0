"""Audit bundles: one zip with all that an outsider needs to check a log, offline.

Equal logs give equal bytes: fixed dates, fixed order, no compression (whose output differs between
machines). The manifest names every file's digest; the checkpoint signs the entries.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cordon_common.canonical import Json, canonical_bytes, digest
from cordon_common.enrolment import KeyText
from cordon_common.files import replace_file
from cordon_common.image import image_facts
from cordon_common.ledger.coordinator import coordinator_origin
from cordon_common.ledger.entries import (
    COORDINATOR_KINDS,
    SITE_KINDS,
    CheckpointCosigned,
    LedgerCreated,
    PolicySet,
    SiteEnrolled,
    StudyApproved,
    StudySigned,
    parse_entry,
)
from cordon_common.ledger.log import note_at
from cordon_common.ledger.site import site_origin
from cordon_common.protocol.dictionary import Slug
from cordon_common.signing import PublicKey
from cordon_common.strict import StrictModel
from cordon_common.wire import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cordon_common.ledger.body import Body
    from cordon_common.ledger.coordinator import CoordinatorLog
    from cordon_common.ledger.entries import Kinds
    from cordon_common.ledger.log import Log
    from cordon_common.ledger.site import SiteLedger
    from cordon_common.signing import Envelope

MANIFEST = "manifest.json"
ENTRIES = "entries.jsonl"
CHECKPOINT = "checkpoint"
KEYS = "keys.json"
POLICY = "policy.json"
SOFTWARE = "software.json"
_DISTRIBUTIONS = ("cordon-common", "cordon-client", "cordon-server")
_DATE = (1980, 1, 1, 0, 0, 0)


class Manifest(StrictModel):
    """`manifest.json`: whose log this is, which key signs it, and the digest of every file."""

    bundle: Literal["cordon.bundle.v1"] = "cordon.bundle.v1"
    role: Literal["site", "coordinator"]
    name: Slug
    dataset: Slug | None = None
    key: KeyText
    files: dict[str, Digest] = Field(max_length=10_000)

    @property
    def origin(self) -> str:
        """The log's name in its checkpoint."""
        if self.role == "site":
            return site_origin(self.name, self.dataset or "")
        return coordinator_origin(self.name)

    @property
    def kinds(self) -> Kinds:
        """The kinds of entries that the log may hold."""
        return SITE_KINDS if self.role == "site" else COORDINATOR_KINDS


@dataclass(frozen=True)
class _Content:
    """What goes into a bundle besides the manifest."""

    genesis: LedgerCreated
    bodies: list[Body]
    files: dict[str, bytes]


def export_site_bundle(ledger: SiteLedger, out: Path, *, policy: Json) -> None:
    """Write a hospital's bundle; `policy` is the JSON value whose digest the ledger names.

    The whole ledger leaves, over all studies: parameters, digests and codes, never patient data.

    Raises:
        UsageError: US002 when the folder of `out` is missing.
        SystemFault: SY001 when the disk is full, SY101 when the file cannot be written.
    """
    content = _content(ledger.log, SITE_KINDS)
    content.files[POLICY] = canonical_bytes(policy)
    for key, note in ledger.witness.cosigned_notes().items():
        content.files[f"witnessed/{PublicKey.parse(key).fingerprint}"] = note.encode()
    _write(content, out)


def export_coordinator_bundle(log: CoordinatorLog, out: Path) -> None:
    """Write the coordinator's bundle; see `export_site_bundle` for the errors."""
    content = _content(log.log, COORDINATOR_KINDS)
    content.files.update(_cosigned_notes(log.log, content.bodies))
    _write(content, out)


def installed_software() -> dict[str, str]:
    """Return the versions of the installed Cordon distributions and of what they require."""
    found: dict[str, str] = {}
    for name in _DISTRIBUTIONS:
        try:
            own = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = own.version
        for requirement in own.requires or []:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            if match:
                found |= _version_of(match.group())
    return dict(sorted((found | image_facts()).items()))


def study_file(study: str) -> str:
    """Return the name under which a bundle holds a signed study."""
    return f"studies/{study.removeprefix('sha256:')}.json"


def envelope_bytes(envelope: Envelope) -> bytes:
    """Return the bytes under which a bundle holds a signed study."""
    return canonical_bytes(envelope.model_dump(mode="json"))


def named_keys(bodies: Iterable[Body]) -> list[Json]:
    """List the public keys that the log names, for people to compare."""
    found: set[tuple[str, str, str]] = set()
    for body in bodies:
        if isinstance(body, LedgerCreated):
            found.add((body.role, body.name, body.key))
        elif isinstance(body, SiteEnrolled):
            found.add(("site", body.site, body.identity_key))
        elif isinstance(body, PolicySet):
            found |= {("trusted coordinator", "", key) for key in body.trusted_coordinators}
    return [
        {"role": role, "name": name, "key": key, "fingerprint": PublicKey.parse(key).fingerprint}
        for role, name, key in sorted(found)
    ]


def _version_of(name: str) -> dict[str, str]:
    try:
        return {name: distribution(name).version}
    except PackageNotFoundError:  # an extra that is not installed
        return {}


def _content(log: Log, kinds: Kinds) -> _Content:
    entries, checkpoint = log.snapshot()
    bodies = [parse_entry(data, kinds).body for data in entries]
    genesis = bodies[0]
    if not isinstance(genesis, LedgerCreated):  # the log checked it when it was opened
        raise TypeError
    files = {
        ENTRIES: b"".join(data + b"\n" for data in entries),
        CHECKPOINT: checkpoint.encode(),
        KEYS: canonical_bytes(named_keys(bodies)),
        SOFTWARE: canonical_bytes(installed_software() | image_facts()),
    }
    for body in bodies:
        if isinstance(body, StudyApproved | StudySigned):
            files[study_file(body.study)] = envelope_bytes(body.envelope)
    return _Content(genesis, bodies, files)


def _cosigned_notes(log: Log, bodies: Iterable[Body]) -> dict[str, bytes]:
    """Return per site the newest head that it cosigned, as a note with both signatures."""
    newest = {body.site: body for body in bodies if isinstance(body, CheckpointCosigned)}
    return {
        f"cosigned/{site}": (note_at(log, body.size) + body.cosignature).encode()
        for site, body in newest.items()
    }


def _write(content: _Content, out: Path) -> None:
    genesis = content.genesis
    manifest = Manifest(
        role=genesis.role,
        name=genesis.name,
        dataset=genesis.dataset,
        key=genesis.key,
        files={name: digest(data) for name, data in content.files.items()},
    )
    files = {MANIFEST: canonical_bytes(manifest.model_dump(mode="json")), **content.files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    replace_file(out, buffer.getvalue())

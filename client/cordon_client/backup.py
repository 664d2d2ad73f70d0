"""A site's folder as one file, and back: ledger, keys, settings; neither reports nor data.

A ledger that was put back to an older copy forgets releases that left since. The site cannot know
that by itself, but the coordinator's log can: it holds a receipt that this site once signed for
each. The vault compares before every step and refuses (IN115); `reconcile` compares on request.
"""

from __future__ import annotations

import io
import os
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cordon_client.office import Office
from cordon_common.canonical import canonical_bytes, digest, parse_json
from cordon_common.errors import CordonError, IntegrityError, UsageError
from cordon_common.files import replace_file
from cordon_common.ledger.bundle import ENTRIES
from cordon_common.ledger.entries import COORDINATOR_KINDS, ReleaseReceived, parse_entry
from cordon_common.ledger.receipt import open_receipt
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from cordon_client.home import SiteHome
    from cordon_common.clock import Clock

MANIFEST = "backup.json"
LEDGER = "vault/ledger.db"
MAX_FILE_BYTES = 4 * 1024**3
_KEPT = (
    "site.yaml",
    "policy.yaml",
    "enrolment-request.json",
    "vault/keys/identity.pem",
    "vault/keys/split.key",
    "gateway/supernode",
    "gateway/supernode.pub",
    "gateway/kit.json",
    "gateway/ca.crt",
)
_NEEDED = ("site.yaml", "policy.yaml", "vault/keys/identity.pem", "vault/keys/split.key", LEDGER)


class BackupManifest(StrictModel):
    """`backup.json`: whose backup this is, up to which entry, and the digest of every file."""

    format: int
    site: str
    dataset: str
    made_at: str
    entries: int
    checkpoint: str
    files: dict[str, str]


def write_backup(home: SiteHome, out: Path, clock: Clock) -> BackupManifest:
    """Write the backup (mode 0600: it holds the keys); the ledger is checked whole first.

    Vault and gateway may run meanwhile: the ledger is copied as of one moment.

    Raises:
        IntegrityError: for a ledger that does not fit; it is not backed up.
        SystemFault: SY001 when the disk is full.
    """
    with tempfile.TemporaryDirectory(dir=out.parent if out.parent.is_dir() else None) as folder:
        copy = Path(folder) / "ledger.db"
        copy.touch(mode=0o600)
        with closing(sqlite3.connect(home.ledger)) as source, closing(sqlite3.connect(copy)) as to:
            source.backup(to)
        files = {name: (home.root / name).read_bytes() for name in _KEPT if _is_there(home, name)}
        files[LEDGER] = copy.read_bytes()
    with Office.open(home, clock=clock) as office:
        entries, checkpoint = office.ledger.log.snapshot()
        made_at = office.ledger.log.now()
    config = home.config()
    manifest = BackupManifest(
        format=1,
        site=config.name,
        dataset=config.dataset.id,
        made_at=made_at,
        entries=len(entries),
        checkpoint=checkpoint,
        files={name: digest(data) for name, data in files.items()},
    )
    replace_file(out, _zip({MANIFEST: canonical_bytes(manifest.model_dump(mode="json")), **files}))
    out.chmod(0o600)
    return manifest


def restore_backup(file: Path, home: SiteHome, clock: Clock) -> BackupManifest:
    """Put a backup into an empty folder; what was restored opens, or nothing stays.

    Raises:
        UsageError: US003 when the folder holds something, US074 when the file is no whole backup.
        IntegrityError: when its ledger does not fit its keys.
    """
    if home.root.exists() and any(not path.is_dir() for path in home.root.rglob("*")):
        raise UsageError("US003", "the folder is not empty; a ledger is never overwritten")
    manifest, files = _read(file)
    for name, data in files.items():
        target = home.root / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(data)
            os.fsync(written.fileno())
    for folder in (home.reports, home.gateway, home.root / "run"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        Office.open(home, clock=clock).ledger.close()
    except CordonError:
        for name in files:
            (home.root / name).unlink()
        raise
    return manifest


@dataclass(frozen=True)
class Reconciled:
    """What the coordinator's log says about this ledger: receipts of this site, and those it lacks."""

    receipts: int
    lacking: tuple[str, ...]


def reconcile(home: SiteHome, bundle: Path, clock: Clock) -> Reconciled:
    """Hold every receipt of this site in a coordinator's bundle against the ledger as it stands.

    Raises:
        UsageError: US002, US074 when the file is not a coordinator's bundle.
        IntegrityError: IN115 when the ledger lacks a release that this site signed for.
    """
    found: list[str] = []
    lacking: list[str] = []
    with Office.open(home, clock=clock) as office:
        for body in _coordinators_entries(bundle):
            if not isinstance(body, ReleaseReceived) or body.site != office.ledger.site:
                continue
            receipt = open_receipt(body.receipt, office.ledger.public_key)
            found.append(receipt.slot.key)
            if not office.ledger.witness.holds(receipt):
                lacking.append(f"{receipt.slot.phase} {receipt.slot.round} of {receipt.slot.run}")
    if lacking:
        why = f"{len(lacking)} of {len(found)} releases are missing, the first: {lacking[0]}"
        raise IntegrityError("IN115", why=why)
    return Reconciled(len(found), tuple(lacking))


def _coordinators_entries(bundle: Path) -> list[object]:
    try:
        with zipfile.ZipFile(bundle) as archive:
            lines = archive.read(ENTRIES).splitlines()
        return [parse_entry(line, COORDINATOR_KINDS).body for line in lines]
    except (OSError, KeyError, zipfile.BadZipFile, CordonError):
        raise UsageError("US074", f"{bundle.name} is not a coordinator's bundle") from None


def _is_there(home: SiteHome, name: str) -> bool:
    return (home.root / name).is_file()


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def _read(file: Path) -> tuple[BackupManifest, dict[str, bytes]]:
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_FILE_BYTES:
                raise UsageError("US074", why="it is too large")
            manifest = BackupManifest.model_validate(parse_json(archive.read(MANIFEST)))
            names = set(archive.namelist()) - {MANIFEST}
            allowed = {*_KEPT, LEDGER}
            if names != set(manifest.files) or not set(_NEEDED) <= names <= allowed:
                raise UsageError("US074", why="it does not hold the files of a site")
            files = {name: archive.read(name) for name in sorted(names)}
    except OSError as error:
        raise UsageError("US002", f"cannot read {file.name}", why=error.strerror or "") from None
    except (KeyError, ValidationError, zipfile.BadZipFile, CordonError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError("US074", why=type(error).__name__) from None
    if any(digest(data) != manifest.files[name] for name, data in files.items()):
        raise UsageError("US074", why="a file in it was changed")
    return manifest, files

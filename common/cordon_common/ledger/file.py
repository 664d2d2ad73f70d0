"""The SQLite file of a log: its tables and triggers, its version, how it is opened."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from cordon_common.errors import IntegrityError
from cordon_common.files import disk_fault

if TYPE_CHECKING:
    from pathlib import Path

_APPLICATION_ID = 0x436F7264  # "Cord"
SCHEMA_VERSION = 2
_BUSY_TIMEOUT_S = 30.0
SCHEMA = (
    "CREATE TABLE entry (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, root BLOB NOT NULL,"
    " signature BLOB NOT NULL) STRICT",
    "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry"
    " BEGIN SELECT raise(ABORT, 'the log is append-only'); END",
    "CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry"
    " BEGIN SELECT raise(ABORT, 'the log is append-only'); END",
    # INSERT OR REPLACE would delete without firing the delete trigger
    "CREATE TRIGGER entry_in_order BEFORE INSERT ON entry"
    " WHEN NEW.seq IS NOT (SELECT coalesce(max(seq) + 1, 0) FROM entry)"
    " BEGIN SELECT raise(ABORT, 'the log is append-only'); END",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the file so that a commit is on the disk when it returns; `create` makes a missing one.

    Raises:
        IntegrityError: IN106 when it is missing; SystemFault: SY001, SY101 when it cannot be made.
    """
    if create:
        _make_file(path)
    elif not path.exists():
        raise IntegrityError("IN106")
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "fullfsync = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _make_file(path: Path) -> None:
    """Make the empty file with its mode, before SQLite would make it with another."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise disk_fault(error) from None


def file_id(path: Path) -> tuple[int, int]:
    """Return device and inode: an open file that was replaced on disk is not the log any more."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return status.st_dev, status.st_ino


def is_empty(connection: sqlite3.Connection, *, create: bool) -> bool:
    """Tell whether a log is to be made; refuse what is not a log of this version."""
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        if not create:
            raise IntegrityError("IN106")
        return True
    version = version_of(connection)
    if version != SCHEMA_VERSION:
        raise IntegrityError("IN116", why=f"version {version} of {SCHEMA_VERSION}")
    return False


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the file's layout; refuse what is no log, or of a later version."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != _APPLICATION_ID or not 1 <= version <= SCHEMA_VERSION:
        raise IntegrityError("IN104", "the file is not a log of this version")
    return version


def head_of(connection: sqlite3.Connection, size: int | None = None) -> tuple[int, bytes, bytes]:
    """Return size, root and signature of the head, or of the tree when it had `size` entries."""
    row = connection.execute(
        "SELECT seq + 1, root, signature FROM entry WHERE ?1 IS NULL OR seq < ?1"
        " ORDER BY seq DESC LIMIT 1",
        (size,),
    ).fetchone()
    return int(row[0]), bytes(row[1]), bytes(row[2])

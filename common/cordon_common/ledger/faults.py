"""Faults of the database as coded errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from cordon_common.errors import IntegrityError, SystemFault
from cordon_common.files import disk_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def sqlite_faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into coded ones."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _is_full(path.parent)):
            raise SystemFault("SY001") from None
        if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            raise IntegrityError("IN101", "the log's file is damaged", why=name) from None
        raise SystemFault("SY101", why=name) from None


def _is_full(folder: Path) -> bool:
    """Tell whether a small file can no longer be written (SQLite hides quotas behind IOERR)."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 16_384)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return disk_fault(error).code == "SY001"
    return False

"""Writing a file that somebody else will read: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from cordon_common.errors import SystemFault, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def disk_fault(error: OSError) -> SystemFault:
    """Return the coded form of a failed write: SY001 for a full disk or quota, else SY101."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return SystemFault("SY001" if full else "SY101", why=error.strerror or "")


def replace_file(out: Path, data: bytes) -> None:
    """Write a file whole and synced; an earlier one stays if that fails.

    Raises:
        UsageError: US002 when the folder is missing.
        SystemFault: SY001 when the disk is full, SY101 when the file cannot be written.
    """
    if not out.parent.is_dir():
        raise UsageError("US002", f"the folder of {out.name} is not there")
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise disk_fault(error) from None

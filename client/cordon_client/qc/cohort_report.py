"""Write a cohort's report: the data as JSON. It stays at the hospital."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.report import replace_file
from cordon_common.canonical import canonical_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.canonical import Json

JSON_NAME = "qc-cohort.json"


def write_cohort_report(folder: Path, value: dict[str, Json]) -> Path:
    """Write `qc-cohort.json` into a folder and return its path.

    Raises:
        SystemFault: SY001 when the disk is full, SY010 when the folder cannot be written.
    """
    path = folder / JSON_NAME
    replace_file(path, canonical_bytes(value))
    return path

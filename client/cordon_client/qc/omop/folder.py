"""Which files of a folder are OMOP tables: by name and header, in one file or in parts."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.omop.model import TABLES, UNREAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
_PART = re.compile(r"[-_.]?\d+$")
_HEAD_BYTES = 65_536


def table_of(path: Path) -> str | None:
    """Return the table that a file holds, or a part of; None when it is none of the model's.

    The name says which (`measurement.csv`, `MEASUREMENT_002.parquet`, `measurement/part-0.parquet`),
    and the header confirms it, so that another `person.csv` is not taken for one.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return None
    for name, folder in (
        (_bare(path.stem), path.parent),
        (path.parent.name.lower(), path.parent.parent),
    ):
        if name in TABLES or (name in UNREAD and _beside_tables(folder)):
            return name if _signature(name) <= columns_of(path) else None
    return None


def _beside_tables(folder: Path) -> bool:
    """Say whether a folder holds tables of patients, so that its `location.csv` is the model's."""
    return any(
        path.name.lower() in TABLES if path.is_dir() else _is_event_table(path)
        for path in folder.iterdir()
    )


def _is_event_table(path: Path) -> bool:
    name = _bare(path.stem)
    return (
        path.suffix.lower() in _SUFFIXES and name in TABLES and _signature(name) <= columns_of(path)
    )


def _signature(name: str) -> set[str]:
    if name in UNREAD:
        return {UNREAD[name]}
    table = TABLES[name]
    return {"person_id", table.concept or table.start or ""}


def _bare(stem: str) -> str:
    lowered = stem.lower()
    return lowered if lowered in TABLES or lowered in UNREAD else _PART.sub("", lowered)


def columns_of(path: Path) -> set[str]:
    """Return the column names of a table in lower case; nothing when it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pa_parquet

    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head.startswith(b"PAR1"):
            return {name.lower() for name in pa_parquet.read_schema(path).names}
    except (pa.ArrowException, OSError):
        return set()
    line = head.decode("utf-8-sig", "replace").partition("\n")[0]
    delimiter = max(",\t;|", key=line.count)
    return {name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])}


def recognises(path: Path) -> bool:
    """Say whether a file is a table of the model."""
    return table_of(path) is not None


def group(files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make one sample of each folder's tables: an export is judged as a whole."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        name = file.parent.name.lower()
        own = file.parent.parent if name == table_of(file) else file.parent
        folders.setdefault(own, []).append(file)
    names = _distinct(list(folders))
    return tuple(
        SampleFiles(name, tuple(sorted(own)))
        for name, own in zip(names, folders.values(), strict=True)
    )


def _distinct(folders: list[Path]) -> list[str]:
    """Name each folder by as few of its last parts as tell all of them apart."""
    for depth in range(1, 1 + max(len(folder.parts) for folder in folders)):
        names = ["/".join(folder.absolute().parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def by_table(files: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    """Sort an export's files by table, in the order in which tables are read."""
    found: dict[str, list[Path]] = {}
    for file in sorted(files):
        name = table_of(file)
        if name is not None:
            found.setdefault(name, []).append(file)
    order = [*TABLES, *UNREAD]
    return {name: tuple(found[name]) for name in order if name in found}

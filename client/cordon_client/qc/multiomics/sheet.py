"""The identity sheet: which DNA, RNA and expression belong to a patient, as the laboratory says.

A tab-separated file named `*.identity.tsv` with the columns of `COLUMNS`; an empty cell means that the
patient has no such measurement. Files are named relative to the sheet.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    "patient", "sex", "dna_file", "dna_sample", "rna_file", "rna_sample",
    "expression_file", "expression_sample",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A sample inside a file."""

    file: Path
    sample: str


@dataclass(frozen=True)
class Row:
    """One patient; sex as recorded, in the sheet's own coding."""

    patient: str
    sex: str
    dna: Source | None
    rna: Source | None
    expression: Source | None


def read_sheet(path: Path) -> tuple[Row, ...]:
    """Read a sheet.

    Raises:
        DataError: DA044 when columns are missing, a patient occurs twice, or a file is not there.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError("DA044", why=f"it lacks the columns {', '.join(missing)}")
            rows = tuple(_row(path.parent, cells) for cells in reader)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError("DA044", why="it cannot be read as tab-separated text") from None
    if len({row.patient for row in rows}) < len(rows) or not all(row.patient for row in rows):
        raise DataError("DA044", why="every line needs a patient of its own")
    return rows


def _row(folder: Path, cells: dict[str, str]) -> Row:
    return Row(
        patient=(cells["patient"] or "").strip(),
        sex=(cells["sex"] or "").strip(),
        dna=_source(folder, cells["dna_file"], cells["dna_sample"]),
        rna=_source(folder, cells["rna_file"], cells["rna_sample"]),
        expression=_source(folder, cells["expression_file"], cells["expression_sample"]),
    )


def _source(folder: Path, file: str | None, sample: str | None) -> Source | None:
    if not (file or "").strip():
        return None
    path = folder / str(file).strip()
    if not path.is_file():
        raise DataError("DA044", why="a file that it names is not there")
    return Source(path, (sample or "").strip())

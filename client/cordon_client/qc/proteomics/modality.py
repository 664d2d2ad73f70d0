"""Protein tables as the table of modalities lists them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.matrix.peek import peek
from cordon_client.qc.modality import Modality
from cordon_client.qc.proteomics.cohort import check_cohort
from cordon_client.qc.proteomics.read import engine_of, protein_runs
from cordon_client.qc.proteomics.samples import COLUMNS, check_file, check_sample
from cordon_common.errors import DataError
from cordon_common.qc.proteomics_checks import PROTEOMICS

if TYPE_CHECKING:
    from pathlib import Path

_ACCESSION = re.compile(
    r"^(sp\||tr\|)?([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})(-\d+)?($|[;|])"
)
_WORDS = re.compile(r"protein|proteom|(^|[^a-z])lfq", re.IGNORECASE)
_FEW = 20


def recognises(path: Path) -> bool:
    """Whether a file is a search engine's protein table, or a matrix of proteins.

    A matrix is one by UniProt accessions, or where its name or folder says so.
    """
    try:
        if path.suffix.lower() in {".tsv", ".txt", ".mztab"} and engine_of(path) is not None:
            return True
    except DataError:
        return False
    found = peek(path)
    if found is None or len(found.header) < 3:
        return False
    if found.share(_ACCESSION) > 0.5:
        return True
    said = bool(_WORDS.search(path.name) or _WORDS.search(path.parent.parent.name))
    return said and max(len(found.features), len(found.rows)) >= _FEW and _is_numeric(found.rows)


def _is_numeric(rows: tuple[tuple[str, ...], ...]) -> bool:
    cells = [cell for row in rows for cell in row[1:] if cell]
    numbers = sum(bool(re.match(r"^-?\d+\.?\d*([eE][-+]?\d+)?$", cell)) for cell in cells)
    return numbers > 0.8 * len(cells) > 0


MODALITY = Modality(
    name=PROTEOMICS,
    title="Proteins",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    samples=protein_runs,
    check_file=check_file,
)

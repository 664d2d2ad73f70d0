"""Taxonomic profiles as the table of modalities lists them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.matrix.peek import peek
from cordon_client.qc.metagenomics.cohort import check_cohort
from cordon_client.qc.metagenomics.reports import report_kind
from cordon_client.qc.metagenomics.samples import COLUMNS, check_file, check_sample
from cordon_client.qc.metagenomics.tables import is_biom, read_table
from cordon_client.qc.modality import Modality, SampleFiles
from cordon_common.errors import DataError
from cordon_common.qc.metagenomics_checks import METAGENOMICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TAXON = re.compile(r"^([dkpcofgst]__|(otu|asv|zotu)[_ ]?\d|Root;|Bacteria[;|]|k__)", re.IGNORECASE)
_REPORT_ENDINGS = (".txt", ".tsv", ".report", ".kreport", ".csv")


def recognises(path: Path) -> bool:
    """Whether a file is BIOM, a report, or a table whose features are named like taxa."""
    if is_biom(path):
        return True
    if path.name.lower().endswith(_REPORT_ENDINGS) and report_kind(path) is not None:
        return True
    found = peek(path)
    if found is None or len(found.header) < 2:
        return False
    return found.header[0].lstrip("#").lower() == "otu id" or found.share(_TAXON) > 0.5


def group(files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make samples: one per report, all those inside of each table."""
    made = []
    for path in files:
        name = _name(path, files)
        if not is_biom(path) and report_kind(path) is not None:
            made.append(SampleFiles(name, (path,)))
            continue
        try:
            inside = read_table(path).samples
        except DataError:
            made.append(SampleFiles(name, (path,)))  # its check will say what is wrong
            continue
        prefix = "" if len(files) == 1 else f"{name}/"
        made += [SampleFiles(f"{prefix}{each}", (path,), inside=each) for each in inside]
    return tuple(made)


def _name(path: Path, files: Sequence[Path]) -> str:
    same = sum(other.name == path.name for other in files)
    return path.name if same == 1 else f"{path.parent.name}/{path.name}"


MODALITY = Modality(
    name=METAGENOMICS,
    title="Taxonomic profiles",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    group=group,
    check_file=check_file,
)

"""Bulk RNA counts as the table of modalities lists them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.bulk_rna.cohort import check_cohort
from cordon_client.qc.bulk_rna.samples import COLUMNS, check_file, check_sample
from cordon_client.qc.matrix.load import matrix_samples
from cordon_client.qc.matrix.peek import peek
from cordon_client.qc.modality import Modality
from cordon_common.qc.bulk_rna_checks import BULK_RNA

if TYPE_CHECKING:
    from pathlib import Path

_GENE = re.compile(
    r"^(ENS[A-Z]*[GT]\d{6,}|[NX][MR]_\d+|ERCC-\d{5}$|(hsa|mmu)-(mir|let)-|[A-Z][A-Z0-9]{1,}[-.A-Z0-9orf]*$)"
)
_ENSEMBL = re.compile(r"^(ENS[A-Z]*[GT]\d{6,}|ERCC-\d{5}$|(hsa|mmu)-(mir|let)-)")
_FEW = 50
_OTHER = ("protein", "proteom", "lfq", "metabol")


def recognises(path: Path) -> bool:
    """Whether a table's features are named like genes, and its name does not say proteins."""
    found = peek(path)
    if found is None or len(found.header) < 2:
        return False
    if found.share(_ENSEMBL) > 0.5:
        return True
    size = max(len(found.features), len(found.rows))
    elsewhere = any(word in str(path).lower() for word in _OTHER)
    return size >= _FEW and not elsewhere and found.share(_GENE) > 0.8


MODALITY = Modality(
    name=BULK_RNA,
    title="Bulk RNA counts",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    samples=matrix_samples,
    check_file=check_file,
)

"""The table of modalities, in the order in which a file is offered to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.alignments.modality import MODALITY as ALIGNMENTS
from cordon_client.qc.bulk_rna.modality import MODALITY as BULK_RNA
from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.fastq.modality import MODALITY as FASTQ
from cordon_client.qc.images.modality import MODALITY as IMAGES
from cordon_client.qc.metagenomics.modality import MODALITY as METAGENOMICS
from cordon_client.qc.multiomics.modality import MODALITY as IDENTITY
from cordon_client.qc.omop.modality import MODALITY as OMOP
from cordon_client.qc.proteomics.modality import MODALITY as PROTEOMICS
from cordon_client.qc.sequence_files.modality import MODALITY as SEQUENCES
from cordon_client.qc.signals.modality import MODALITY as SIGNALS
from cordon_client.qc.single_cell.modality import MODALITY as SINGLE_CELL
from cordon_client.qc.vcf.modality import MODALITY as VARIANTS
from cordon_common.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.qc.modality import Modality

MODALITIES: tuple[Modality, ...] = (
    # reads, alignments, variants, identity
    FASTQ,
    ALIGNMENTS,
    VARIANTS,
    IDENTITY,
    OMOP,  # before others: its files are known by name and header
    # counts, cells, taxa, proteins, sequences, signals, images
    SINGLE_CELL,
    SEQUENCES,
    IMAGES,
    METAGENOMICS,
    PROTEOMICS,
    BULK_RNA,
    SIGNALS,
    CLINICAL,  # last: a table of anything else is recognised by its own modality
)


def modality_named(name: str) -> Modality:
    """Look a modality up.

    Raises:
        UsageError: US050 when there is none of that name.
    """
    for modality in MODALITIES:
        if modality.name == name:
            return modality
    known = ", ".join(modality.name for modality in MODALITIES)
    raise UsageError("US050", why=f"known are: {known}")


def modality_of(path: Path) -> Modality | None:
    """Return the first modality that recognises a file; None when nobody does."""
    return next((modality for modality in MODALITIES if modality.recognises(path)), None)

"""The error codes of quality control: what a code means, and the next step that usually helps."""

from __future__ import annotations

QUALITY_CODES: dict[str, tuple[str, str]] = {
    # -- the command, cohorts and manifests --------------------------------------------------------
    "US050": (
        "there is no modality of that name",
        "name one of the known modalities, or leave --modality out",
    ),
    "US051": ("Ray is not installed here", "install cordon-client[cluster], or use --jobs"),
    "NE010": ("the Ray cluster does not answer", "check the address and that ray start ran there"),
    "SY050": (
        "a process that checked samples was killed",
        "it probably ran out of memory: run again with fewer --jobs",
    ),
    "DA030": (
        "nothing that could be checked was found",
        "check the path, or name the format with --modality",
    ),
    "CK110": (
        "samples failed a hard check and are left out",
        "see the local QC report; repair or remove the named samples, then run again",
    ),
    # -- reads, alignments, variants, identity -----------------------------------------------------
    "DA040": (
        "the reads are not valid FASTQ",
        "copy the file again from the sequencer's output, and compare its checksum",
    ),
    # -- counts, cells, taxa, proteins, sequences, signals, images ---------------------------------
}

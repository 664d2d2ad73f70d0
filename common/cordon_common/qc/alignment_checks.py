"""The checks of alignments (BAM, CRAM): rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

ALIGNMENTS = "alignments"

_ENCODE = "ENCODE, terms of library complexity (ATAC-seq and ChIP-seq standards)"
_sample = partial(sample_check, modality=ALIGNMENTS)
_cohort = partial(cohort_check, modality=ALIGNMENTS)
_assay = partial(_sample, assay_dependent=True)

CHECKS = (
    _sample(
        "bam.complete",
        ReasonCode.NOT_CONFORMANT,
        Bounds("files", "SAM/BAM specification, section 4.1.2: end-of-file marker", fail=0),
        Wording(
            "File has its end",
            "The file lacks the marker that its format ends with: it was cut off between two blocks.",
            "Copy the file again and compare its size and checksum.",
        ),
    ),
    _sample(
        "bam.sorted",
        ReasonCode.NOT_CONFORMANT,
        Bounds("files", "depth and fragments are counted along the reference", warn=0),
        Wording(
            "Ordered along the reference",
            "Alignments are not ordered by position, so depth and duplicates by place were not "
            "counted.",
            "Sort the file: samtools sort -o SORTED.bam FILE.",
        ),
    ),
    _assay(
        "bam.mapped",
        ReasonCode.LOW_MAPPING,
        Bounds(
            "share of primary reads",
            "human DNA maps to 99 % and more; below 70 % something else was sequenced",
            warn=0.95,
            fail=0.7,
            worse="lower",
        ),
        Wording(
            "Reads belong to the reference",
            "Many reads have no place on the reference.",
            "Check the reference, then contamination by bacteria or adapters.",
        ),
    ),
    _assay(
        "bam.proper-pairs",
        ReasonCode.INSERT_SIZE,
        Bounds(
            "share of paired reads",
            "convention: intact pairs are the rule",
            warn=0.9,
            worse="lower",
        ),
        Wording(
            "Mates face each other",
            "Many mates do not lie together as one fragment.",
            "Check that R1 and R2 belong together, and the library for chimeras.",
        ),
    ),
    _assay(
        "bam.duplicates",
        ReasonCode.DUPLICATE_READS,
        Bounds(
            "share of primary reads marked as duplicates",
            "convention: 20 % costs a fifth of the run, half a run is lost at 50 %",
            warn=0.2,
            fail=0.5,
        ),
        Wording(
            "Few duplicates",
            "Many reads are copies of the same molecule and add no evidence.",
            "More starting DNA, fewer PCR cycles; sequencing deeper will not help.",
        ),
    ),
    _assay(
        "bam.mapping-quality",
        ReasonCode.LOW_MAPPING,
        Bounds(
            "share of mapped reads with MAPQ below 20",
            "MAPQ 20: one in a hundred misplaced",
            warn=0.15,
        ),
        Wording(
            "Places are certain",
            "Many reads may belong elsewhere on the reference.",
            "Short reads in repeats do this; else check reference and contamination.",
        ),
    ),
    _assay(
        "bam.depth",
        ReasonCode.LOW_COVERAGE,
        Bounds(
            "mean reads over the reference",
            "clinical whole genomes: 30 or more (ACGS best practice); below 10 single calls are a "
            "gamble",
            warn=30,
            fail=5,
            worse="lower",
        ),
        Wording(
            "Deep enough",
            "The mean depth is too low to call heterozygotes with certainty.",
            "Sequence deeper, or use a profile for low-pass or targeted data.",
        ),
    ),
    _assay(
        "bam.breadth",
        ReasonCode.LOW_COVERAGE,
        Bounds(
            "share of the reference at 20 reads or more",
            "clinical whole genomes: 95 %",
            warn=0.95,
            worse="lower",
        ),
        Wording(
            "Covered everywhere",
            "A part of the reference has fewer than 20 reads.",
            "Targeted assays cover only their targets: use their profile.",
        ),
    ),
    _assay(
        "bam.uniformity",
        ReasonCode.LOW_COVERAGE,
        Bounds(
            "fold 80: mean depth over its 20th percentile, covered positions",
            "whole genomes 1.2 to 1.5; good capture kits below 2",
            warn=2.0,
        ),
        Wording(
            "Covered evenly",
            "Depth varies so much that the thin fifth needs a multiple of the sequencing.",
            "Check GC bias and the capture; more sequencing is the costly way.",
        ),
    ),
    _assay(
        "bam.short-inserts",
        ReasonCode.INSERT_SIZE,
        Bounds("share of proper pairs shorter than a read", "convention: a tenth", warn=0.1),
        Wording(
            "Fragments longer than reads",
            "Fragments are shorter than the reads: mates overlap fully and read the adapter.",
            "Expected in cell-free or old DNA; else adjust fragmentation, and trim adapters.",
        ),
    ),
    _assay(
        "bam.nrf",
        ReasonCode.LOW_COMPLEXITY,
        Bounds("distinct places over fragments (NRF)", _ENCODE, warn=0.9, fail=0.5, worse="lower"),
        Wording(
            "Library not exhausted",
            "Fragments come back at the same places: the library holds few distinct molecules.",
            "Sequencing deeper adds little; prepare the library again with more DNA.",
        ),
    ),
    _assay(
        "bam.pbc1",
        ReasonCode.LOW_COMPLEXITY,
        Bounds(
            "places with one fragment over places (PBC1)",
            _ENCODE,
            warn=0.9,
            fail=0.5,
            worse="lower",
        ),
        Wording(
            "No PCR bottleneck",
            "Few places hold a single fragment: PCR copied a small number of molecules.",
            "Use fewer cycles or more DNA.",
        ),
    ),
    _assay(
        "bam.pbc2",
        ReasonCode.LOW_COMPLEXITY,
        Bounds(
            "places with one over places with two fragments (PBC2)", _ENCODE, warn=3, worse="lower"
        ),
        Wording(
            "Singles outnumber doubles",
            "Places with two fragments are nearly as many as places with one.",
            "As for the other signs of a bottleneck.",
        ),
    ),
    _assay(
        "bam.gc-bias",
        ReasonCode.GC_BIAS,
        Bounds(
            "mean distance of relative coverage from 1, by GC of the reference",
            "Benjamini & Speed 2012 (Nucleic Acids Res 40:e72); a fifth shifts copy numbers",
            warn=0.2,
        ),
        Wording(
            "Coverage independent of GC",
            "Regions rich or poor in GC are covered less than the rest.",
            "Use a PCR-free kit or another polymerase; correct before calling copy numbers.",
        ),
    ),
    _cohort(
        "bam.outliers",
        ReasonCode.OUTLIER,
        Bounds(
            "samples",
            "a robust z beyond 3.5 (Iglewicz & Hoaglin 1993) in mapping, duplicates or insert size, "
            "with eight samples or more",
            warn=0,
        ),
        Wording(
            "Samples alike",
            "Samples differ from the others in mapping, duplicates or fragment length.",
            "Look at their batch and their library first.",
        ),
    ),
)

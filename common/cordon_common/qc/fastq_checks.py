"""The checks of sequencing reads (FASTQ): rows of the registry, with their plain sentences.

Thresholds are FastQC 0.11.9's own (its limits file) where it has the check, so that a laboratory
meets the numbers it knows. Which of them mean something depends on the assay; see configs/qc.
"""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

FASTQ = "fastq"

_FASTQC = "FastQC 0.11.9, limits file"
_sample = partial(sample_check, modality=FASTQ)
_cohort = partial(cohort_check, modality=FASTQ)

CHECKS = (
    _sample(
        "fastq.position-quality",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "Phred points short of median 25 or lower quartile 10, at the worst position",
            f"{_FASTQC}: warns below 25 (quartile 10), fails below 20 (quartile 5)",
            warn=0,
            fail=5,
        ),
        Wording(
            "Quality holds along the read",
            "At some positions of the reads the sequencer was not sure of its bases.",
            "Trim the reads' ends; if the middle is affected, ask for a repeat of the run.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.read-quality",
        ReasonCode.LOW_QUALITY,
        Bounds("Phred, most frequent mean of a read", _FASTQC, warn=27, fail=20, worse="lower"),
        Wording(
            "Most reads of good quality",
            "The most frequent mean quality of a read is low.",
            "Ask the sequencing unit for the run's report; do not call rare variants from it.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.q30",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "share of bases at Phred 30 or better",
            "a common floor for accepting a run; not a property of long reads",
            warn=0.8,
            worse="lower",
        ),
        Wording(
            "Bases at Q30",
            "Fewer bases than usual have an error probability of 1 in 1,000 or better.",
            "Compare with the other samples of the run; trim, or repeat the run.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.composition",
        ReasonCode.BASE_COMPOSITION,
        Bounds(
            "largest difference of shares, A to T or G to C, at one position",
            _FASTQC,
            warn=0.1,
            fail=0.2,
        ),
        Wording(
            "Bases balanced along the read",
            "At some positions A and T, or G and C, are not equally frequent.",
            "Normal in the first bases of RNA-seq and in amplicons; else look for adapters.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.gc",
        ReasonCode.GC_BIAS,
        Bounds(
            "share of reads off the normal curve fitted to their GC content",
            _FASTQC,
            warn=0.15,
            fail=0.3,
        ),
        Wording(
            "GC content as of one genome",
            "The reads' GC content does not follow one bell: a sharp peak is an adapter or one "
            "sequence, a second bell another organism.",
            "Check for contamination and adapters; amplicons and RNA have peaks of their own.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.unknown-bases",
        ReasonCode.LOW_QUALITY,
        Bounds("largest share of N at one position", _FASTQC, warn=0.05, fail=0.2),
        Wording(
            "Bases were called",
            "At some positions the sequencer could not call a base.",
            "A single cycle is a bubble or focus fault: trim or mask it; else repeat the run.",
        ),
    ),
    _sample(
        "fastq.letters",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of bases", "IUPAC 1984: A, C, G, T and N are called bases", warn=0),
        Wording(
            "Only A, C, G, T and N",
            "Sequences hold other letters; they are counted as unknown bases.",
            "U in direct RNA is fine; anything else is not the output of a sequencer.",
        ),
    ),
    _sample(
        "fastq.duplication",
        ReasonCode.DUPLICATE_READS,
        Bounds(
            "share of reads that deduplication would remove",
            f"{_FASTQC}: warns below 70 % remaining, fails below 50 %; by equal sequence",
            warn=0.3,
            fail=0.5,
        ),
        Wording(
            "Few duplicates",
            "Many reads have the same sequence: one molecule was copied and read many times.",
            "Expected in RNA-seq and amplicons; else the library had too little DNA.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.overrepresented",
        ReasonCode.DUPLICATE_READS,
        Bounds("share of reads of the most frequent sequence", _FASTQC, warn=0.001, fail=0.01),
        Wording(
            "No sequence stands out",
            "One sequence makes up a notable part of all reads.",
            "Search it: adapter dimers, ribosomal RNA and a contaminant look like this.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.adapters",
        ReasonCode.ADAPTERS,
        Bounds("share of reads that hold an adapter by their end", _FASTQC, warn=0.05, fail=0.1),
        Wording(
            "Adapters removed",
            "Reads run into the adapter: the fragments are shorter than the reads.",
            "Trim adapters before alignment (fastp, cutadapt).",
        ),
        assay_dependent=True,
    ),
    _sample(
        "fastq.empty-reads",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of reads without bases", "FastQC fails a file with one", warn=0),
        Wording(
            "Reads have bases",
            "Some reads are empty, as a trimmer leaves them.",
            "Remove them from both files of the pair.",
        ),
    ),
    _sample(
        "fastq.encoding",
        ReasonCode.NOT_CONFORMANT,
        Bounds("files", "Cock et al. 2010 (Nucleic Acids Res 38:1767)", warn=0),
        Wording(
            "Qualities in Phred+33",
            "Qualities look like Phred+64, which sequencers wrote before 2011; they were read "
            "as such.",
            "Convert the file to Phred+33: most programs would take its qualities 31 too high.",
        ),
    ),
    _sample(
        "fastq.reads",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "reads",
            "fewer than a thousand reads give shares to within three points at best",
            warn=1000,
            worse="lower",
        ),
        Wording(
            "Enough reads to judge",
            "The file holds so few reads that the other checks say little.",
            "Check that the file is whole, and that the sample was loaded.",
        ),
        assay_dependent=True,
    ),
    _cohort(
        "fastq.q30-outlier",
        ReasonCode.OUTLIER,
        Bounds(
            "samples",
            "a robust z below -3.5 (Iglewicz & Hoaglin 1993) and 5 points below the median",
            warn=0,
        ),
        Wording(
            "Samples of like quality",
            "Samples have far fewer bases at Q30 than the others of this cohort.",
            "Compare run and lane; do not mix them with cases or controls of other runs.",
        ),
    ),
    _cohort(
        "fastq.gc-outlier",
        ReasonCode.OUTLIER,
        Bounds(
            "samples",
            "a robust z beyond 3.5 (Iglewicz & Hoaglin 1993) and 2 points from the median",
            warn=0,
        ),
        Wording(
            "Samples of like GC content",
            "The mean GC content of samples is far from that of the others.",
            "Check species and contamination of those samples first.",
        ),
    ),
)

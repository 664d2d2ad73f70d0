"""The checks of sequences: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import sample_check
from cordon_common.qc.verdict import ReasonCode

SEQUENCES = "sequences"

_sample = partial(sample_check, modality=SEQUENCES)

CHECKS = (
    _sample(
        "seq.alphabet",
        ReasonCode.NOT_CONFORMANT,
        Bounds(
            "share of sequences", "IUPAC-IUB 1984 codes of nucleotides, 1983 of residues", fail=0.0
        ),
        Wording(
            "Letters of the alphabet",
            "Sequences hold characters that are no nucleotide or residue.",
            "Look for digits, spaces and headers that were pasted into sequences.",
        ),
    ),
    _sample(
        "seq.ambiguous",
        ReasonCode.LOW_QUALITY,
        Bounds("share of letters", "FastQC warns at 5 % N per position; a mean of 1 %", warn=0.01),
        Wording(
            "Few ambiguous letters",
            "Many letters stand for more than one base or residue.",
            "Take such sequences out, or give the model a code for them.",
        ),
    ),
    _sample(
        "seq.length",
        ReasonCode.NOT_CONFORMANT,
        Bounds(
            "share of sequences of another length than the rest",
            "asked where nine in ten share one length: windows of a fixed size",
            warn=0.0,
        ),
        Wording(
            "Windows of one length",
            "Nearly all sequences have one length, and some another.",
            "Check for windows cut off at the ends of contigs, and truncated lines.",
        ),
    ),
    _sample(
        "seq.duplicates",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("share of sequences, either strand", "one in a hundred, as for records", warn=0.01),
        Wording(
            "Sequences counted once",
            "The same sequence, or its reverse complement, occurs more than once.",
            "Remove copies before the split, or they stand in training and test alike.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "seq.conflicting-labels",
        ReasonCode.CONFLICTING_LABELS,
        Bounds("distinct sequences", "a sequence has one label", warn=0.0),
        Wording(
            "One label per sequence",
            "The same sequence carries different labels.",
            "Find out which label is right, or leave these sequences out.",
        ),
    ),
    _sample(
        "seq.balance",
        ReasonCode.CLASS_IMBALANCE,
        Bounds("share of the most frequent label", "as for clinical tables", warn=0.95),
        Wording(
            "Labels balanced",
            "Nearly all sequences carry one label.",
            "Expect a model that says this label always; weigh or sample the classes.",
        ),
    ),
)

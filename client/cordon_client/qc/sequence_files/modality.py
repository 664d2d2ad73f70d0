"""Judge a file of sequences; one file is one sample of the cohort's report."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, Plot, SampleQc, Series, StatColumn
from cordon_client.qc.sequence_files.read import read_sequences, sequence_kind
from cordon_common.qc.sequence_checks import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

COLUMNS = (
    StatColumn("sequences", "Sequences", "sequences", "sequences in the file", 0),
    StatColumn("length", "Length", "letters", "most frequent length", 0),
    StatColumn("gc", "GC", "%", "share of G and C among A, C, G, T"),
    StatColumn("ambiguous", "Ambiguous", "%", "letters that stand for several", 2),
    StatColumn("duplicates", "Duplicates", "%", "sequences that occurred before, either strand"),
    StatColumn("labels", "Labels", "labels", "different labels", 0),
)
_BASES = frozenset("ACGTU")
_NUCLEOTIDE = frozenset("ACGTURYSWKMBDHVN-")
_RESIDUE = frozenset("ACDEFGHIKLMNPQRSTVWYBZXUOJ*-")
_AMBIGUOUS_RESIDUES = frozenset("BZXJ")
_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")
_ONE_LENGTH = 0.9
_MIN_LABELLED = 20
_TELL_EVERY = 5000
_SHOWN = 40


@dataclass
class Tally:
    """What is counted over sequences; every count adds up over parts of a file.

    first: hash of each distinct sequence (the smaller of both strands) -> its labels. outside:
    sequences with a letter of neither alphabet, or of the other one than most.
    """

    letters: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    first: dict[bytes, set[str]] = field(default_factory=dict)
    copies: int = 0
    alphabets: Counter[str] = field(default_factory=Counter)

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return sum(self.lengths.values())

    @property
    def protein(self) -> bool:
        """Whether most sequences use letters that only residues have."""
        return self.alphabets["residue"] > self.alphabets["nucleotide"]

    def add(self, sequence: str, label: str | None) -> None:
        """Count one sequence."""
        letters = Counter(sequence)
        self.letters += letters
        self.lengths[len(sequence)] += 1
        self.alphabets[alphabet_of(frozenset(letters))] += 1
        strands = sequence, sequence[::-1].translate(_COMPLEMENT)
        digest = hashlib.blake2b(min(strands).encode(), digest_size=16).digest()
        known = self.first.setdefault(digest, set())
        self.copies += bool(known)
        known.add("" if label is None else label)
        if label is not None:
            self.labels[label] += 1


def alphabet_of(letters: frozenset[str]) -> str:
    """Tell nucleotide, residue or other; an empty sequence is other."""
    if not letters:
        return "other"
    if letters <= _NUCLEOTIDE:
        return "nucleotide"
    return "residue" if letters <= _RESIDUE else "other"


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one file of sequences, one sequence at a time.

    Raises:
        DataError: DA015 or DA069.
    """
    path = sample.files[0]
    size = path.stat().st_size
    tally, read = Tally(), 0
    for sequence, label in read_sequences(path):
        tally.add(sequence, label)
        read += len(sequence) + 1
        if tally.sequences % _TELL_EVERY == 0:
            progress(min(read, size), size)
    progress(size, size)
    return SampleQc(
        sample=sample.sample,
        stats=_stats(tally),
        results=tuple(result_of(finding, profile) for finding in _findings(tally)),
        plots=tuple(_plots(tally)),
    )


def _ambiguous(tally: Tally) -> float | None:
    total = sum(tally.letters.values())
    if not total:
        return None
    if tally.protein:
        return sum(tally.letters[letter] for letter in _AMBIGUOUS_RESIDUES) / total
    coded = sum(n for letter, n in tally.letters.items() if letter in _NUCLEOTIDE - _BASES - {"-"})
    return coded / total


def _stats(tally: Tally) -> dict[str, float | int | None]:
    bases = sum(tally.letters[base] for base in _BASES)
    ambiguous = _ambiguous(tally)
    return {
        "sequences": tally.sequences,
        "length": tally.lengths.most_common(1)[0][0],
        "gc": None
        if tally.protein or not bases
        else 100 * (tally.letters["G"] + tally.letters["C"]) / bases,
        "ambiguous": None if ambiguous is None else 100 * ambiguous,
        "duplicates": 100 * tally.copies / tally.sequences,
        "labels": len(tally.labels) or None,
    }


def _findings(tally: Tally) -> Iterator[Finding]:
    n = tally.sequences
    allowed = tally.alphabets["nucleotide"] + (tally.alphabets["residue"] if tally.protein else 0)
    outside = n - allowed
    yield Finding("seq.alphabet", outside / n, outside, f"{outside} of {n} sequences.")
    yield Finding("seq.ambiguous", _ambiguous(tally))
    length, same = tally.lengths.most_common(1)[0]
    one = same >= _ONE_LENGTH * n
    yield Finding(
        "seq.length", 1 - same / n if one else None, n - same,
        f"{n - same} of {n} sequences have not {length} letters.",
    )  # fmt: skip
    yield Finding("seq.duplicates", tally.copies / n, tally.copies, f"{tally.copies} of {n}.")
    if not tally.labels:
        yield Finding("seq.conflicting-labels", None)
        yield Finding("seq.balance", None)
        return
    conflicting = sum(len(labels) > 1 for labels in tally.first.values())
    yield Finding("seq.conflicting-labels", conflicting, conflicting, f"{conflicting} sequences.")
    share = tally.labels.most_common(1)[0][1] / sum(tally.labels.values())
    yield Finding("seq.balance", share if n >= _MIN_LABELLED else None)


def _plots(tally: Tally) -> Iterator[Plot]:
    letters = tally.letters.most_common(_SHOWN)
    total = sum(tally.letters.values())
    if total:
        yield Plot(
            id="seq-letters",
            title="Letters",
            kind="bars",
            x_label="letter",
            y_label="% of letters",
            sentence="Anything beside the alphabet's own letters is a code for several, or a fault.",
            series=(
                Series(
                    "letters",
                    tuple(letter for letter, _ in letters),
                    tuple(100 * count / total for _, count in letters),
                ),
            ),
        )
    if tally.labels:
        common = tally.labels.most_common(_SHOWN)
        yield Plot(
            id="seq-labels",
            title="Labels",
            kind="bars",
            x_label="label",
            y_label="sequences",
            sentence="A rare label is learnt badly; a label that only one source has is a batch.",
            series=(Series("sequences", tuple(n for n, _ in common), tuple(c for _, c in common)),),
        )


def check_cohort(
    _samples: Sequence[SampleFiles], _checked: Sequence[SampleQc], _profile: Profile
) -> CohortQc:
    """Nothing is asked of several files of sequences together."""
    return CohortQc()


def recognises(path: Path) -> bool:
    """Whether a file is FASTA or a table of sequences."""
    return sequence_kind(path) is not None


MODALITY = Modality(
    name=SEQUENCES,
    title="Sequences",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
)

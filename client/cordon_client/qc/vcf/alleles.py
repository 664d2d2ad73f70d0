"""What kind of change an ALT allele is: classified as htslib does, so that counts agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

NONE, SNP, MNP, INDEL, OTHER, OVERLAP = 0, 1, 2, 4, 8, 16
"""Kinds of alleles as bits; a record has those of all its alleles."""

_TRANSITIONS = {b"AG", b"GA", b"CT", b"TC"}


_SYMBOLS = {b".": NONE, b"<*>": NONE, b"<NON_REF>": NONE, b"<X>": NONE, b"*": OVERLAP}


@lru_cache(maxsize=65_536)
def kind_of(ref: bytes, alternative: bytes) -> int:
    """Classify one ALT allele by what is left when shared bases are cut off both ends."""
    if not alternative.isalpha():
        return _SYMBOLS.get(alternative, OTHER)
    ref, alternative = ref.upper(), alternative.upper()
    start, shorter = 0, min(len(ref), len(alternative))
    while start < shorter and ref[start] == alternative[start]:
        start += 1
    if start == shorter:
        return NONE if len(ref) == len(alternative) else INDEL
    return _kind_of_rest(ref[start:], alternative[start:])


def _kind_of_rest(ref: bytes, alternative: bytes) -> int:
    """Classify alleles that differ in their first base."""
    while len(ref) > 1 and len(alternative) > 1 and ref[-1] == alternative[-1]:
        ref, alternative = ref[:-1], alternative[:-1]
    if len(ref) == len(alternative):
        return SNP if len(ref) == 1 else MNP
    return INDEL if 1 in {len(ref), len(alternative)} and ref[-1] == alternative[-1] else OTHER


@lru_cache(maxsize=65_536)
def is_transition(ref: bytes, alternative: bytes) -> bool | None:
    """Whether a SNP exchanges purines or pyrimidines; None where it is no SNP of plain bases."""
    first, second = ref[:1].upper(), alternative[:1].upper()
    if kind_of(ref, alternative) != SNP or first == second:
        return None
    if first not in b"ACGT" or second not in b"ACGT":
        return None
    return first + second in _TRANSITIONS


@dataclass(frozen=True, eq=False)
class Change:
    """What a record's REF and ALT columns say. counts: names of the counts that it adds to.

    transition: of the first ALT allele, None where it is no SNP.
    """

    kinds: int
    transition: bool | None
    biallelic: bool
    counts: tuple[str, ...]


_NAMES = {SNP: "snps", MNP: "mnps", INDEL: "indels", OTHER: "others"}


@lru_cache(maxsize=65_536)
def change_of(ref: bytes, column: bytes) -> Change:
    """Read a record's REF and ALT columns."""
    alternatives = column.split(b",")
    each = [kind_of(ref, allele) for allele in alternatives]
    moves = [is_transition(ref, allele) for allele in alternatives]
    kinds = 0
    for kind in each:
        kinds |= kind
    counts = [name for kind, name in _NAMES.items() if kinds & kind]
    counts += [_move(move) for move in moves if move is not None]
    if not kinds:
        counts.append("no_alts")
    if moves[0] is not None:
        counts.append(f"{_move(moves[0])}_first")
    if kinds & INDEL:
        counts.append("insertions" if len(alternatives[0]) > len(ref) else "deletions")
    if len(alternatives) > 1:
        counts.append("multiallelic")
        if kinds == SNP:
            counts.append("multiallelic_snps")
    return Change(kinds, moves[0], len(alternatives) == 1, tuple(counts))


def _move(transition: bool) -> str:  # noqa: FBT001 - the answer of is_transition
    return "transitions" if transition else "transversions"

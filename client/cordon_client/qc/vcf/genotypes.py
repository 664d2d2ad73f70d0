"""Genotypes of many records at once: sample columns as arrays instead of one object per cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cordon_client.qc.vcf.spec import is_whole

if TYPE_CHECKING:
    import numpy.typing as npt

REF_HOM, HET, ALT_HOM, MISSING, HAP_REF, HAP_ALT = range(6)
"""What a call is; a call with any missing allele is missing."""
CALLS = 6
Integers: TypeAlias = "npt.NDArray[np.int32]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Places: TypeAlias = "npt.NDArray[np.intp]"
"""Places in a text, in the integers that arrays are indexed by: others are converted at each use."""

_TAB, _NEWLINE, _COLON, _SLASH, _PIPE, _DOT, _ZERO = (ord(c) for c in "\t\n:/|.0")
_PADDING = bytes(16)
_DIGITS = 7
_TEN = 10
_SEPARATES = np.zeros(256, np.bool_)
_SEPARATES[[_TAB, _NEWLINE, _COLON]] = True
NONE = -1


@dataclass(frozen=True, eq=False)
class Cells:
    """Sample columns of records that share FORMAT, cut into cells and fields.

    text: uint8, with padding. separates: bool, which of its bytes are tabs, colons and line ends.
    starts, ends: [records, samples], where each cell begins, and the separator behind it. separators:
    where all separators are; first: [records, samples], index of each cell's first one.
    """

    text: npt.NDArray[np.uint8]
    separates: npt.NDArray[np.bool_]
    starts: Places
    ends: Places
    separators: Places
    first: Places

    parsed: dict[int, tuple[Integers, Places]] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: list[bytes], samples: int) -> Cells:
        """Cut the sample columns of records; each holds exactly `samples` cells."""
        text = np.frombuffer(b"\n".join(columns) + b"\n" + _PADDING, np.uint8)
        separates = _SEPARATES.take(text)
        separators = np.flatnonzero(separates)
        last = np.flatnonzero(text.take(separators) != _COLON)
        shape = (len(columns), samples)
        ends, first = separators.take(last), np.empty_like(last)
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1] + 1
        first[0], first[1:] = 0, last[:-1] + 1
        return cls(
            text=text,
            separates=separates,
            starts=starts.reshape(shape),
            ends=ends.reshape(shape),
            separators=separators,
            first=first.reshape(shape),
        )

    @cached_property
    def genotypes(self) -> tuple[Bytes, Bytes, Bytes, npt.NDArray[np.bool_]]:
        """The first three bytes of every cell, and whether the fourth separates."""
        one, divider, two = (self.text.take(self.starts + i) for i in range(3))
        return one, divider, two, self.separates.take(self.starts + 3)

    def numbers(self, index: int) -> tuple[Integers, Places]:
        """Return the whole numbers at field `index`, and where each ends, as `integers` does."""
        if index not in self.parsed:
            self.parsed[index] = integers(self.text, self.starts_of(index))
        return self.parsed[index]

    def plain(self, fields: int, alternatives: int) -> npt.NDArray[np.bool_]:
        """Which records hold only diploid genotypes of one digit, and whole numbers behind them.

        fields: keys of FORMAT. What is not plain is not wrong yet: the exact check decides.
        """
        text, top = self.text, _ZERO + min(alternatives, 9)
        one, divider, two, ended = self.genotypes
        good = ended & ((divider == _SLASH) | (divider == _PIPE))
        good &= (one == _DOT) | ((one >= _ZERO) & (one <= top))
        good &= (two == _DOT) | ((two >= _ZERO) & (two <= top))
        last = self.first + (fields - 1)
        good &= self.separators.take(last, mode="clip") >= self.ends
        for index in range(1, fields):
            values, end = self.numbers(index)
            number = (values != NONE) & self.separates.take(end)
            if not number.all():
                starts = self.starts_of(index)
                number |= (text.take(starts) == _DOT) & self.separates.take(starts + 1)
                number |= starts == NONE
            good &= number
        whole: npt.NDArray[np.bool_] = good.all(axis=1)
        return whole

    def starts_of(self, index: int) -> Places:
        """Where the cells' field number `index` begins; NONE where a cell has fewer."""
        if index == 0:
            return self.starts
        position = self.separators.take(self.first + (index - 1), mode="clip")
        position += 1
        position[position > self.ends] = NONE
        return position


@dataclass(frozen=True)
class Calls:
    """kinds: uint8 [records, samples], one of CALLS. alleles: int16, ALT copies in each call."""

    kinds: npt.NDArray[np.uint8]
    alleles: npt.NDArray[np.int16]


def calls_of(cells: Cells) -> Calls:
    """Read GT, the first field of every cell."""
    one, divider, two, ended = cells.genotypes
    diploid = ((divider == _SLASH) | (divider == _PIPE)) & ended
    haploid = (divider == _TAB) | (divider == _COLON) | (divider == _NEWLINE)
    known_one, known_two = _is_digit(one), _is_digit(two)
    usual = (diploid & (known_one | (one == _DOT)) & (known_two | (two == _DOT))) | (
        haploid & (known_one | (one == _DOT))
    )
    alt_one = (one > _ZERO) & known_one
    alt_two = (two > _ZERO) & known_two & diploid
    kinds = np.full(one.shape, MISSING, np.uint8)
    both = diploid & known_one & known_two
    kinds[both] = REF_HOM
    kinds[both & (one != two)] = HET
    kinds[both & (one == two) & alt_one] = ALT_HOM
    kinds[haploid & known_one] = HAP_REF
    kinds[haploid & alt_one] = HAP_ALT
    alleles = alt_one.astype(np.int16) + alt_two
    for record, sample in np.argwhere(~usual).tolist():
        kinds[record, sample], alleles[record, sample] = _slow(cells, record, sample)
    alleles[kinds == MISSING] = 0
    return Calls(kinds, alleles)


def _is_digit(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (text - np.uint8(_ZERO)) < _TEN
    return found


def _slow(cells: Cells, record: int, sample: int) -> tuple[int, int]:
    """Read one genotype of any ploidy and any allele numbers."""
    cell = cells.text[cells.starts[record, sample] : cells.ends[record, sample]].tobytes()
    genotype = cell.split(b":", 1)[0].lstrip(b"/|")
    alleles = genotype.replace(b"|", b"/").split(b"/")
    if not all(map(is_whole, alleles)):
        return MISSING, 0
    alternatives = sum(int(allele) > 0 for allele in alleles)
    if len(alleles) == 1:
        return (HAP_ALT if alternatives else HAP_REF), alternatives
    if len(set(alleles)) > 1:
        return HET, alternatives
    return (ALT_HOM if alternatives else REF_HOM), alternatives


def integers(text: Bytes, starts: Places) -> tuple[Integers, Places]:
    """Read whole numbers of up to seven digits: (values, where each ends); NONE where there is none."""
    at = starts.copy()
    digits = text.take(at) - np.uint8(_ZERO)
    going = (starts != NONE) & (digits < _TEN)
    values = np.where(going, digits, np.int32(NONE))
    at += going
    for _ in range(_DIGITS - 1):
        digits = text.take(at) - np.uint8(_ZERO)
        going &= digits < _TEN
        if not going.any():
            break
        np.copyto(values, values * 10 + digits, where=going)
        at += going
    return values, at

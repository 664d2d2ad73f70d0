"""What the VCF specifications 4.1 to 4.4 reserve, as data: fields, types, numbers, patterns.

Sources: the specifications' sections on fixed fields, reserved INFO and FORMAT keys, and keys for
structural variants. Where 4.1 and 4.2 describe a key in words only, its number and type are those
that 4.3 writes down for the same description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = ("4.1", "4.2", "4.3", "4.4")
FIXED_COLUMNS = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")


@dataclass(frozen=True)
class FieldType:
    """How many values a key has (integer, A, R, G, P or .) and of which type; "" = any."""

    number: str
    type: str


ANY = FieldType(".", "String")
"""What a key holds that nobody declared."""


def _table(text: str) -> dict[str, FieldType]:
    """Read `KEY number type` triples; type I, F, S or 0 (flag)."""
    types = {"I": "Integer", "F": "Float", "S": "String", "0": "Flag", "?": ""}
    words = text.split()
    return {
        key: FieldType(number, types[kind])
        for key, number, kind in zip(words[::3], words[1::3], words[2::3], strict=True)
    }


_INFO = _table("""
    AA 1 S  AC A I  AF A F  AN 1 I  BQ 1 F  CIGAR A S  DB 0 0  DP 1 I  END 1 I  H2 0 0  H3 0 0
    MQ0 1 I  NS 1 I  SOMATIC 0 0  VALIDATED 0 0  1000G 0 0
""")
_INFO_SV = _table("""
    IMPRECISE 0 0  NOVEL 0 0  SVTYPE 1 S  SVLEN . I  CIPOS 2 I  CIEND 2 I  HOMLEN . I  HOMSEQ . S
    BKPTID . S  MEINFO 4 S  METRANS 4 S  DGVID 1 S  DBVARID 1 S  DBRIPID 1 S  MATEID . S  PARID 1 S
    EVENT 1 S  CILEN 2 I  DPADJ . I  CN 1 I  CNADJ . I  CICN 2 I  CICNADJ . I
""")
_FORMAT = _table("""
    DP 1 I  EC A I  FT 1 S  GL G F  GLE G S  GP G F  GQ 1 I  GT 1 S  HQ 2 I  MQ 1 I  PL G I  PQ 1 I
    PS 1 I
""")
_FORMAT_SV = _table("CN 1 I  CNQ 1 F  CNL . F  NQ 1 I  HAP 1 I  AHAP 1 I")
_INFO_43 = _table("AD R I  ADF R I  ADR R I  MQ 1 F")
_FORMAT_43 = _table("AD R I  ADF R I  ADR R I  PP G I  CNL G F  CNP G F")
_INFO_44 = _table("""
    END 1 I  SVTYPE 1 S  SVLEN A I  CIPOS . I  CIEND . I  HOMLEN A I  HOMSEQ A S  BKPTID A S
    MEINFO . S  METRANS . S  DGVID A S  DBVARID A S  DBRIPID A S  MATEID A S  PARID A S  EVENT A S
    EVENTTYPE A S  CILEN . I  CN A F  CICN . F  SVCLAIM A S  RN A I  RUS . S  RUL . I  RUC . F
    RB . I  CIRUC . F  CIRB . I  RUB . I
""")
_FORMAT_44 = _table("CN 1 F  CICN 2 F  PSL P S  PSO P I  PSQ P I")

_PAIRED = frozenset({"CIPOS", "CIEND", "CILEN", "CICN"})
"""Confidence intervals: a lower and an upper bound for each ALT allele."""

_NOT_IN_44 = ("DPADJ", "CNADJ", "CICNADJ")

NOT_NEGATIVE = frozenset({"AC", "AN", "AF", "DP", "END", "MQ0", "NS", "BQ", "GQ", "HQ", "EC"})
"""Counts, positions, frequencies and Phred scores: the specification's words leave no sign."""

_STRUCTURAL = ("DEL", "INS", "DUP", "INV", "CNV")


@dataclass(frozen=True)
class Spec:
    """One version. info, formats: reserved keys. bases: letters of REF; alt_bases: of ALT.

    info_key, format_key, chrom: what such a name may look like. defined: keys whose definition in the
    header must be the reserved one. numbers: letters that Number may be besides integers. structural:
    first levels of the ALT IDs of structural variants; other_alleles: whether an ID without a subtype
    may be something else than a structural variant. unique_ids: an ID is defined once. paired:
    INFO keys with two values for each ALT allele. last_newline: the last line ends with one.
    described: ALT and FILTER lines have a description.
    """

    version: str
    info: Mapping[str, FieldType]
    formats: Mapping[str, FieldType]
    alt_bases: bytes
    info_key: re.Pattern[bytes]
    format_key: re.Pattern[bytes]
    chrom: re.Pattern[bytes]
    numbers: frozenset[str]
    structural: tuple[str, ...]
    other_alleles: bool
    unique_ids: bool
    phase_prefix: bool
    defined: frozenset[str]
    paired: frozenset[str]
    last_newline: bool
    described: bool

    def allele_name_ok(self, name: bytes) -> bool:
        """Whether an ALT ID that is a list of types and subtypes begins with a type of variant."""
        first, subtypes, _ = name.partition(b":")
        free = self.other_alleles and not subtypes
        return free or first.decode("latin-1") in self.structural


INTEGER_DIGITS = 10
"""Integers have 32 bits (section 1.3): none has more digits."""


def is_whole(text: bytes | str) -> bool:
    """Whether a text is a whole number that the format allows, and that may be converted."""
    return len(text) <= INTEGER_DIGITS and text.isdigit()


_FREE_KEY = re.compile(rb"[^\s;=,]+")
_ALPHANUMERIC = re.compile(rb"[A-Za-z0-9]+")
# From 4.3, characters with a meaning of their own are written as % and two hexadecimal digits.
_STRICT_KEY = re.compile(rb"[A-Za-z_](?:[0-9A-Za-z_.]|%[0-9A-Fa-f]{2})*|1000G")
_FREE_CHROM = re.compile(rb"<[^\s<>]+>|[^\s<>,]+")
_STRICT_CHROM = re.compile(
    rb"<[^\s<>]+>|[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*"
)


def _spec(version: str) -> Spec:
    since_43, since_44 = version >= "4.3", version >= "4.4"
    info = {**_INFO, **_INFO_SV, **(_INFO_43 if since_43 else {"MQ": FieldType("1", "")})}
    formats = {**_FORMAT, **_FORMAT_SV, **(_FORMAT_43 if since_43 else {})}
    if since_44:
        info |= _INFO_44
        formats |= _FORMAT_44
        info = {key: value for key, value in info.items() if key not in _NOT_IN_44}
    letters = {"A", "G", "."} | ({"R"} if version >= "4.2" else set())
    return Spec(
        version=version,
        info=MappingProxyType(info),
        formats=MappingProxyType(formats),
        # 4.1 has no * yet; files of its time that use it mean what 4.2 then wrote down.
        alt_bases=b"ACGTNacgtn*",
        info_key=_STRICT_KEY if since_43 else _FREE_KEY,
        format_key=_STRICT_KEY if since_43 else _ALPHANUMERIC,
        chrom=_STRICT_CHROM if since_43 else _FREE_CHROM,
        numbers=frozenset(letters | ({"P"} if since_44 else set())),
        structural=(*_STRUCTURAL, "BND") if version == "4.3" else _STRUCTURAL,
        other_alleles=since_43,
        unique_ids=since_43,
        phase_prefix=since_44,
        # Up to 4.3 the keys for structural variants are given as examples of definitions.
        defined=frozenset(
            {*info, *formats} - (set() if since_44 else {*_INFO_SV, *_FORMAT_SV} - {"END"})
        ),
        paired=_PAIRED if since_44 else frozenset(),
        last_newline=since_43,
        described=not since_44,
    )


SPECS: Mapping[str, Spec] = MappingProxyType({version: _spec(version) for version in VERSIONS})

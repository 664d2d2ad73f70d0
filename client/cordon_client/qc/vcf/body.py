"""Records of a VCF file against the specification: a fast pattern first, then rule by rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.vcf.faults import VcfRule
from cordon_client.qc.vcf.spec import ANY, FieldType, is_whole
from cordon_client.qc.vcf.structural import structural_ok
from cordon_client.qc.vcf.values import QUAL, info_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cordon_client.qc.vcf.header import Header

_NAMES = re.compile(rb"[^\s;]+(;[^\s;]+)*")
_REF = re.compile(rb"[ACGTNacgtn]+")
_SYMBOLIC = re.compile(rb"<[^\s,<>]+>")
_BREAKEND = re.compile(
    rb"[ACGTNacgtn.]+[\[\]][^\s,\[\]]+:[0-9]+[\[\]]|[\[\]][^\s,\[\]]+:[0-9]+[\[\]][ACGTNacgtn.]+"
)
_SINGLE_BREAKEND = re.compile(rb"\.[ACGTNacgtn]+|[ACGTNacgtn]+\.")
_SIMPLE = {b"A", b"C", b"G", b"T"}
_FORMAT_AT = 8
_MISSING = b"."


class Order:
    """Whether records are ordered, contigs whole, and variants told once."""

    def __init__(self) -> None:
        self._contigs: set[bytes] = set()
        self._contig: bytes | None = None
        self._position = -1
        self._variants: set[tuple[int, bytes, bytes]] = set()
        self._reach = -1

    def broken(self, contig: bytes, position: int) -> bool:
        """Take the next record's place; <1> is contig 1 of the assembly file."""
        contig = contig.strip(b"<>")
        if contig != self._contig:
            seen = contig in self._contigs
            self._contigs.add(contig)
            self._contig, self._position, self._reach = contig, position, -1
            self._variants.clear()
            return seen
        before, self._position = self._position, position
        return position < before

    def follows(self, contig: bytes, position: int, ref: bytes, alternative: bytes) -> bool:
        """Take a SNP that lies behind all that was seen on this contig; False: taken is nothing."""
        if contig != self._contig or position <= self._position or position <= self._reach:
            return False
        self._position = self._reach = position
        self._variants = {(position, ref, alternative)}
        return True

    def repeated(self, position: int, ref: bytes, alternatives: list[bytes]) -> bool:
        """Take the record's alleles, each without the bases it shares with REF."""
        fresh = position > self._reach
        if len(ref) == 1 and len(alternatives) == 1 and alternatives[0] in _SIMPLE:
            key = (position, ref.upper(), alternatives[0])
            found = not fresh and key in self._variants
            if fresh:
                self._variants, self._reach = {key}, position
            self._variants.add(key)
            return found
        if fresh:
            self._variants = set()
        found = False
        for alternative in alternatives:
            if not alternative.isalpha():
                continue
            key = normalised(position, ref.upper(), alternative.upper())
            found |= key in self._variants
            self._variants.add(key)
            self._reach = max(self._reach, key[0])
        return found


def normalised(position: int, ref: bytes, alternative: bytes) -> tuple[int, bytes, bytes]:
    """Cut what both alleles share, at their ends and then at their starts, to nothing if so."""
    if len(ref) == len(alternative) == 1:
        return position, ref, alternative
    while ref and alternative and ref[-1] == alternative[-1]:
        ref, alternative = ref[:-1], alternative[:-1]
    shared = 0
    while shared < min(len(ref), len(alternative)) and ref[shared] == alternative[shared]:
        shared += 1
    return position + shared, ref[shared:], alternative[shared:]


@dataclass(frozen=True)
class InfoCheck:
    """How a key's text is checked. bare: the key may stand without a value."""

    pattern: re.Pattern[bytes]
    bare: bool
    fault: VcfRule | None


class BodyChecker:
    """Checks record lines of one file."""

    def __init__(self, header: Header) -> None:
        self._header, self._faults = header, header.faults
        spec = header.spec
        self._info = {**spec.info, **header.info}
        self._alternative = re.compile(b"[" + re.escape(spec.alt_bases) + b"]+")
        self._claims = spec.version >= "4.4"
        self._order = Order()
        self._columns = header.columns
        self._chroms: set[bytes] = set()
        self._filters: dict[bytes, bool] = {}
        self._info_checks: dict[int, dict[bytes, InfoCheck]] = {}
        self._line = 0

    def check(self, line: bytes, number: int) -> list[bytes] | None:
        """Check a line; return its first nine columns, or None when they cannot be told apart."""
        self._line = number
        columns = line.split(b"\t", 9)
        if line.count(b"\t") + 1 != self._columns or len(columns) < _FORMAT_AT:
            self._fault(VcfRule.COLUMNS)
            return None
        if self._usual(columns):
            self._info_column(columns[7], 1)
            if not self._order.follows(columns[0], int(columns[1]), columns[3], columns[4]):
                self._place(columns, [columns[4]])
            return columns
        for rule in self._fixed(columns):
            self._fault(rule)
        # A missing ALT is one that is not stated: its values are taken as those of one allele.
        alternatives = columns[4].split(b",")
        self._info_column(columns[7], len(alternatives))
        if self._claims and b"<" in columns[4] and not structural_ok(alternatives, columns[7:9]):
            self._fault(VcfRule.STRUCTURAL)
        self._place(columns, alternatives)
        return columns

    def _usual(self, columns: list[bytes]) -> bool:
        """Whether the first seven columns are ones that were found valid before, or plain."""
        chrom, position, names, ref, alternative, quality, filters = columns[:7]
        return (
            chrom in self._chroms
            and ref in _SIMPLE
            and alternative in _SIMPLE
            and ref != alternative
            and (names == _MISSING or names.isalnum())
            and is_whole(position)
            and (quality.isdigit() or QUAL.fullmatch(quality) is not None)
            and self._filters.get(filters, False)
        )

    def _fault(self, rule: VcfRule) -> None:
        self._faults.add(rule, self._line)

    def _fixed(self, columns: list[bytes]) -> Iterator[VcfRule]:
        chrom, position, names, ref, alternative, quality, filters = columns[:7]
        yield from self._coordinates(chrom, position)
        if names != _MISSING and not self._names_ok(names):
            yield VcfRule.ID
        if ref not in _SIMPLE and _REF.fullmatch(ref) is None:
            yield VcfRule.REF
        simple = alternative in _SIMPLE and alternative != ref
        if not simple and not self._alternatives_ok(alternative, ref):
            yield VcfRule.ALT
        if QUAL.fullmatch(quality) is None:
            yield VcfRule.QUAL
        if filters not in self._filters:
            self._filters[filters] = _filter_ok(filters)
        if not self._filters[filters]:
            yield VcfRule.FILTER

    def _coordinates(self, chrom: bytes, position: bytes) -> Iterator[VcfRule]:
        if self._header.spec.chrom.fullmatch(chrom) is None:
            yield VcfRule.CHROM
        else:
            self._chroms.add(chrom)
        if not is_whole(position):
            yield VcfRule.POS

    def _names_ok(self, column: bytes) -> bool:
        names = column.split(b";")
        repeated = self._header.spec.unique_ids and len(set(names)) < len(names)
        return _NAMES.fullmatch(column) is not None and not repeated

    def _alternatives_ok(self, column: bytes, ref: bytes) -> bool:
        if column == _MISSING:
            return True
        alleles = column.split(b",")
        sequences = [allele for allele in alleles if not allele.startswith(b"<")]
        if len(set(sequences)) < len(sequences) or ref in alleles:
            return False
        return all(self._alternative_ok(allele) for allele in alleles)

    def _alternative_ok(self, allele: bytes) -> bool:
        if self._alternative.fullmatch(allele):
            return allele == b"*" or b"*" not in allele
        if allele.startswith(b"<") and self._header.spec.other_alleles:
            named = self._header.spec.allele_name_ok(allele[1:-1])
            return named and _SYMBOLIC.fullmatch(allele) is not None
        return any(
            pattern.fullmatch(allele) for pattern in (_SYMBOLIC, _BREAKEND, _SINGLE_BREAKEND)
        )

    def _info_column(self, column: bytes, alternatives: int) -> None:
        if column == _MISSING:
            return
        parts = column.split(b";")
        checks, keys = self._info_checks.setdefault(alternatives, {}), set()
        for part in parts:
            key, equals, value = part.partition(b"=")
            keys.add(key)
            check = checks.get(key)
            if check is None:
                check = checks[key] = self._info_check(key, alternatives)
            if check.fault is not None:
                self._fault(check.fault)
            elif not (check.pattern.fullmatch(value) if equals else check.bare):
                self._fault(VcfRule.INFO_VALUE)
        if len(keys) < len(parts):
            self._fault(VcfRule.INFO_SYNTAX)

    def _info_check(self, key: bytes, alternatives: int) -> InfoCheck:
        name = key.decode("latin-1")
        field = self._info.get(name)
        unknown = field is None and self._header.spec.info_key.fullmatch(key) is None
        field = field or ANY
        if name in self._header.spec.paired:
            field = FieldType(str(2 * alternatives), field.type)
        return InfoCheck(
            pattern=info_pattern(name, field, alternatives),
            bare=field.type == "Flag" or field.number in {"0", "."},
            fault=VcfRule.INFO_SYNTAX if unknown else None,
        )

    def _place(self, columns: list[bytes], alternatives: list[bytes]) -> None:
        if not is_whole(columns[1]):
            return
        position = int(columns[1])
        if self._order.broken(columns[0], position):
            self._fault(VcfRule.ORDER)
        if self._order.repeated(position, columns[3], alternatives):
            self._fault(VcfRule.DUPLICATE)


def _filter_ok(column: bytes) -> bool:
    if column in {b"PASS", _MISSING}:
        return True
    names = column.split(b";")
    reserved = {b"0", b"."}.intersection(names)
    return bool(_NAMES.fullmatch(column)) and not reserved and len(set(names)) == len(names)

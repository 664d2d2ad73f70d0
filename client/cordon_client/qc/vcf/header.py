"""The header of a VCF file: meta lines checked and read, by the file's own version."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cordon_client.qc.vcf.faults import Faults, VcfRule
from cordon_client.qc.vcf.spec import FIXED_COLUMNS, SPECS, FieldType, Spec, is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FILE_FORMAT = re.compile(rb"##fileformat=VCFv(4\.[0-9])")
_META = re.compile(rb"##([A-Za-z0-9_.-]+)=(.+)")
_PAIR = re.compile(rb'([A-Za-z0-9_.-]+)=("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^",<>=][^,<>]*|)(?:,\s?|$)')
_TYPES = (b"Integer", b"Float", b"Character", b"String")
_ORDER = (b"ID", b"Number", b"Type", b"Description")
_REQUIRED = {
    b"INFO": _ORDER,
    b"FORMAT": _ORDER,
    b"FILTER": (b"ID", b"Description"),
    b"ALT": (b"ID", b"Description"),
    b"contig": (b"ID",),
}
_GENOME_NAME = re.compile(rb"[A-Za-z0-9_.-]+")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9.-]*|\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]")


@dataclass
class Header:
    """What the header says. info, formats: declared keys. samples: names in file order."""

    spec: Spec
    faults: Faults
    info: dict[str, FieldType] = field(default_factory=dict)
    formats: dict[str, FieldType] = field(default_factory=dict)
    contigs: dict[str, int] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    columns: int = len(FIXED_COLUMNS)
    complete: bool = False


class HeaderReader:
    """Takes header lines one by one, until the line of column names."""

    def __init__(self) -> None:
        self.header = Header(SPECS["4.3"], Faults())
        self._line = 0
        self._seen: set[tuple[bytes, bytes]] = set()

    def add(self, line: bytes) -> bool:
        """Take the next line; False when it is not a header line any more."""
        self._line += 1
        if self._line == 1:
            self._first(line)
        elif line.startswith(b"##"):
            self._meta(line)
        elif line.startswith(b"#"):
            self._columns(line)
        elif line:
            if not self.header.complete:
                self._fault(VcfRule.HEADER_LINE)
            return False
        return True

    def _fault(self, rule: VcfRule) -> None:
        self.header.faults.add(rule, self._line)

    def _first(self, line: bytes) -> None:
        found = _FILE_FORMAT.fullmatch(line)
        version = "" if found is None else found[1].decode()
        if version not in SPECS:
            self._fault(VcfRule.FILE_FORMAT)
        # Versions before and after are read by the rules of their neighbour.
        self.header.spec = SPECS.get(version, SPECS["4.1" if version == "4.0" else "4.4"])

    def _meta(self, line: bytes) -> None:
        found = _META.fullmatch(line)
        if found is None or found[2].isspace():
            self._fault(VcfRule.META_SYNTAX)
            return
        key, value = found[1], found[2]
        if key == b"fileformat":
            self._fault(VcfRule.FILE_FORMAT)
        elif key in {b"assembly", b"pedigreeDB"}:
            self._url(key, value)
        elif key in _LINES:
            self._structured(key, value)

    def _url(self, key: bytes, value: bytes) -> None:
        bracketed = value.startswith(b"<") and value.endswith(b">")
        address = value[1:-1] if bracketed else value
        if (key == b"pedigreeDB" and not bracketed) or not _is_url(address):
            self._fault(VcfRule.META_URL)

    def _structured(self, key: bytes, value: bytes) -> None:
        pairs = _pairs(value)
        if pairs is None:
            self._fault(VcfRule.META_SYNTAX)
            return
        before = self.header.faults.total
        _LINES[key](self, key, pairs)
        self._unique(key, pairs)
        if self.header.faults.total == before:
            self._declare(key, pairs)

    def _unique(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        if self.header.spec.unique_ids and key != b"contig" and b"ID" in pairs:
            if (key, pairs[b"ID"]) in self._seen:
                self._fault(VcfRule.META_ID)
            self._seen.add((key, pairs[b"ID"]))

    def _declare(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        name = pairs.get(b"ID", b"").decode("utf-8", "replace")
        if key in {b"INFO", b"FORMAT"}:
            table = self.header.info if key == b"INFO" else self.header.formats
            table[name] = FieldType(pairs[b"Number"].decode(), pairs[b"Type"].decode())
        elif key == b"contig":
            length = pairs.get(b"length", b"")
            self.header.contigs[name] = int(length) if is_whole(length) else 0

    def ordered(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check required fields and the order of ID, Number, Type, Description."""
        present = [each for each in pairs if each in _ORDER]
        expected = [each for each in _ORDER if each in pairs]
        required = _REQUIRED[key]
        if not self.header.spec.described and key in {b"ALT", b"FILTER"}:
            required = (b"ID",)
        if any(each not in pairs for each in required) or present != expected:
            self._fault(VcfRule.META_FIELDS)
        if pairs and next(iter(pairs)) != b"ID":
            self._fault(VcfRule.META_FIELDS)
        if b"Description" in pairs and not _quoted(pairs[b"Description"]):
            self._fault(VcfRule.META_SYNTAX)
        identifier = pairs.get(b"ID", b"")
        if not identifier or _quoted(identifier) or re.search(rb"[\s,<>]", identifier):
            self._fault(VcfRule.META_ID)
        self._number_and_type(key, pairs)

    def _number_and_type(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        number, kind = pairs.get(b"Number"), pairs.get(b"Type")
        letters = self.header.spec.numbers
        if number is not None and not is_whole(number) and number.decode("latin-1") not in letters:
            self._fault(VcfRule.META_NUMBER)
        allowed = _TYPES if key == b"FORMAT" else (*_TYPES, b"Flag")
        if kind is not None and kind not in allowed:
            self._fault(VcfRule.META_TYPE)

    def typed(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check an INFO or FORMAT line, and reserved keys against their definition."""
        self.ordered(key, pairs)
        spec = self.header.spec
        pattern = spec.info_key if key == b"INFO" else spec.format_key
        name = pairs.get(b"ID", b"")
        if spec.unique_ids and name and pattern.fullmatch(name) is None:
            self._fault(VcfRule.META_ID)
        reserved = (spec.info if key == b"INFO" else spec.formats).get(name.decode("latin-1"))
        if name.decode("latin-1") not in spec.defined:
            return
        if reserved is None or b"Number" not in pairs or b"Type" not in pairs:
            return
        same_type = not reserved.type or pairs[b"Type"].decode("latin-1") == reserved.type
        if pairs[b"Number"].decode("latin-1") != reserved.number or not same_type:
            self._fault(VcfRule.META_RESERVED)

    def alternative(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check an ALT line: the first level of the ID is a structural variant."""
        self.ordered(key, pairs)
        if not self.header.spec.allele_name_ok(pairs.get(b"ID", b"")):
            self._fault(VcfRule.META_ID)

    def contig(self, _key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check a contig line."""
        name = pairs.get(b"ID", b"")
        if not name:
            self._fault(VcfRule.META_FIELDS)
        elif self.header.spec.chrom.fullmatch(name) is None:
            self._fault(VcfRule.META_ID)
        length = pairs.get(b"length")
        if length is not None and not is_whole(length):
            self._fault(VcfRule.META_SYNTAX)

    def sample(self, _key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check a SAMPLE line; up to 4.2 it names genomes and their mixture."""
        early = self.header.spec.version < "4.3"
        required = (b"ID", b"Genomes", b"Mixture", b"Description") if early else (b"ID",)
        if any(each not in pairs for each in required):
            self._fault(VcfRule.META_FIELDS)
        if re.search(rb"\s", pairs.get(b"ID", b"")):
            self._fault(VcfRule.META_ID)
        if early and any(_quoted(v) for k, v in pairs.items() if k != b"Description"):
            self._fault(VcfRule.META_SYNTAX)

    def pedigree(self, _key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check a PEDIGREE line: genome names."""
        if self.header.spec.version >= "4.3" and next(iter(pairs), b"") != b"ID":
            self._fault(VcfRule.META_FIELDS)
        if any(_GENOME_NAME.fullmatch(value) is None for value in pairs.values()):
            self._fault(VcfRule.META_ID)

    def meta(self, key: bytes, pairs: Mapping[bytes, bytes]) -> None:
        """Check a META line (from 4.3): Type, Number and the values a SAMPLE key may take."""
        required = (b"ID", b"Type", b"Number", b"Values")
        if any(each not in pairs for each in required) or next(iter(pairs), b"") != b"ID":
            self._fault(VcfRule.META_FIELDS)
        if not pairs.get(b"Values", b"[").startswith(b"["):
            self._fault(VcfRule.META_SYNTAX)
        self._number_and_type(key, pairs)

    def _columns(self, line: bytes) -> None:
        names = line.split(b"\t")
        samples = names[len(FIXED_COLUMNS) + 1 :]
        valid = tuple(names[: len(FIXED_COLUMNS)]) == FIXED_COLUMNS
        genotypes = names[len(FIXED_COLUMNS) :]
        valid &= not genotypes or (genotypes[0] == b"FORMAT" and len(genotypes) > 1)
        valid &= len(set(samples)) == len(samples) and all(samples)
        if not valid or self.header.complete:
            self._fault(VcfRule.HEADER_LINE)
        self.header.complete = True
        self.header.columns = len(names)
        self.header.samples = tuple(name.decode("utf-8", "replace") for name in samples)


_LINES: dict[bytes, Callable[[HeaderReader, bytes, Mapping[bytes, bytes]], None]] = {
    b"INFO": HeaderReader.typed,
    b"FORMAT": HeaderReader.typed,
    b"FILTER": HeaderReader.ordered,
    b"ALT": HeaderReader.alternative,
    b"contig": HeaderReader.contig,
    b"SAMPLE": HeaderReader.sample,
    b"PEDIGREE": HeaderReader.pedigree,
    b"META": HeaderReader.meta,
}


def _quoted(value: bytes) -> bool:
    return value.startswith(b'"')


def _is_url(value: bytes) -> bool:
    """Whether the text is scheme://host/..., with a host that is a name or an address."""
    try:
        parts = urlsplit(value.decode("ascii"))
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(parts.scheme and host and _HOST.fullmatch(host))


def _pairs(value: bytes) -> dict[bytes, bytes] | None:
    """Read `<key=value,...>`; None when it is not that, or a key occurs twice."""
    if not (value.startswith(b"<") and value.endswith(b">")):
        return None
    inside, position = value[1:-1], 0
    pairs: dict[bytes, bytes] = {}
    while position < len(inside):
        found = _PAIR.match(inside, position)
        if found is None or found[1] in pairs:
            return None
        pairs[found[1]] = found[2]
        position = found.end()
    return pairs if pairs and not inside.endswith(b",") else None

"""The FASTQ format, record by record: what is valid, and what exactly is not.

Follows Cock et al. 2010 (Nucleic Acids Research 38:1767): title line `@`, sequence that may run
over several lines, separator `+` with nothing or the title again, qualities of exactly the
sequence's length in printable ASCII 33 to 126. Slow and exact; `blocks.py` is the fast way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FastqRule(StrEnum):
    """A rule of the format that a file can break."""

    EMPTY = "the file holds at least one read"
    COMPRESSION = "the compressed stream is complete and undamaged"
    TITLE = "a record starts with @"
    SEQUENCE = "a sequence holds no spaces, tabs or control characters"
    SEPARATOR = "the + line is empty or repeats the title"
    QUALITY = "qualities are the characters ! to ~"
    SHORT = "there are as many qualities as bases: too few here"
    LONG = "there are as many qualities as bases: too many here"
    TRUNCATED = "the file ends with a complete record"
    MATE_NAME = "mates have the same name at the same place in both files"
    MATE_COUNT = "both files of a pair hold the same number of reads"


class FastqFault(DataError):
    """A FASTQ file breaks its format.

    rule: which one. line: 1-based line of the (decompressed) file, None where no line is at
    fault. role: which of the sample's files (R1, R2), never its name.
    """

    def __init__(self, rule: FastqRule, role: str, line: int | None = None) -> None:
        where = role if line is None else f"{role}, line {line:,}"
        super().__init__(
            "DA040",
            f"the reads are not valid FASTQ ({where})",
            why=f"broken rule: {rule.value}",
        )
        self.rule, self.role, self.line = rule, role, line


@dataclass(frozen=True)
class Record:
    """One read; `sequence` and `quality` unwrapped, of equal length."""

    title: bytes
    sequence: bytes
    quality: bytes


class _Lines:
    """Lines without their end, with the number of the line read last."""

    def __init__(self, lines: Iterable[bytes], role: str) -> None:
        self._lines, self.role, self.number = iter(lines), role, 0

    def next(self) -> bytes | None:
        line = next(self._lines, None)
        if line is None:
            return None
        self.number += 1
        return line.rstrip(b"\r\n")

    def must(self) -> bytes:
        """Read a line that the record needs."""
        line = self.next()
        if line is None:
            raise self.fault(FastqRule.TRUNCATED)
        return line

    def fault(self, rule: FastqRule) -> FastqFault:
        return FastqFault(rule, self.role, self.number)


def records(lines: Iterable[bytes], role: str) -> Iterator[Record]:
    """Read records, wrapped or not, from lines.

    Guarantee: yields every record before the first fault, and never one that breaks a rule.

    Raises:
        FastqFault: DA040 with the rule and the line.
    """
    source = _Lines(lines, role)
    while (title := source.next()) is not None:
        if not title:
            _only_blank_lines(source)
            return
        if not title.startswith(b"@"):
            raise source.fault(FastqRule.TITLE)
        yield _record(source, title[1:])


def _only_blank_lines(source: _Lines) -> None:
    while (line := source.next()) is not None:
        if line:
            raise source.fault(FastqRule.TITLE)


def _record(source: _Lines, title: bytes) -> Record:
    parts: list[bytes] = []
    while not (line := source.must()).startswith(b"+"):
        if any(byte <= 32 or byte >= 127 for byte in line):
            raise source.fault(FastqRule.SEQUENCE)
        if line.startswith(b"@"):
            # A title where bases should be: the record before it has lost its end.
            raise source.fault(FastqRule.TRUNCATED)
        parts.append(line)
    if line[1:] not in (b"", title):
        raise source.fault(FastqRule.SEPARATOR)
    sequence = b"".join(parts)
    return Record(title, sequence, _quality(source, len(sequence)))


def _quality(source: _Lines, length: int) -> bytes:
    """Read quality lines until they are as many as the bases; at least one line."""
    quality = _checked(source, source.must())
    while len(quality) < length:
        line = source.next()
        if line is None:
            raise source.fault(FastqRule.TRUNCATED)
        if not line:
            raise source.fault(FastqRule.SHORT)
        quality += _checked(source, line)
    if len(quality) > length:
        raise source.fault(FastqRule.LONG)
    return quality


def _checked(source: _Lines, line: bytes) -> bytes:
    if any(not 33 <= byte <= 126 for byte in line):
        raise source.fault(FastqRule.QUALITY)
    return line

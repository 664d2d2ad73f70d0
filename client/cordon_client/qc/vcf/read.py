"""Read a VCF or BCF file once: check every line, count every genotype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.streams import DAMAGED, opened
from cordon_client.qc.vcf.body import BodyChecker
from cordon_client.qc.vcf.faults import VcfRule
from cordon_client.qc.vcf.header import HeaderReader
from cordon_client.qc.vcf.sample_columns import SampleChecker
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from cordon_client.qc.vcf.header import Header
    from cordon_client.qc.vcf.sample_columns import Group

_CHUNK = 2**20
_LINE_LIMIT = 2**30
_BCF = b"BCF\x02"
_TEXT_BLOCK = 2000


@dataclass(frozen=True, eq=False)
class Block:
    """Records as their columns (those of the samples as one), and their sample columns in groups."""

    records: list[list[bytes]]
    groups: list[Group]


class VcfReader:
    """A file being read: `header` is filled first, then `blocks` yields checked records."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        self._path, self._told = path, told
        self._reader = HeaderReader()
        self._checker: BodyChecker | None = None
        self._samples: SampleChecker | None = None
        self._number = 0
        self._ended = True

    @property
    def header(self) -> Header:
        """The header as far as it was read, with the faults found so far."""
        return self._reader.header

    def blocks(self) -> Iterator[Block]:
        """Yield checked records; those whose columns cannot be told apart are left out.

        The first block is empty and comes when the header is complete.

        Raises:
            DataError: DA042 when the file is no VCF or BCF, or its compression is damaged.
        """
        try:
            for lines in self._lines():
                yield from self._records(lines)
        except DAMAGED:
            raise DataError("DA042", why="the compressed file is cut off or damaged") from None
        if not self.header.complete:
            raise DataError("DA042", why=f"broken rule: {VcfRule.HEADER_LINE.value}")
        if self._checker is None:
            yield Block([], [])
        if self.header.spec.last_newline and not self._ended:
            self.header.faults.add(VcfRule.LAST_LINE, self._number)

    def _records(self, lines: list[bytes]) -> Iterator[Block]:
        records: list[tuple[int, list[bytes]]] = []
        for line in lines:
            self._number += 1
            if self._checker is None:
                if self._reader.add(line) or not line:
                    continue
                if not self.header.complete:
                    raise DataError("DA042", why=f"broken rule: {VcfRule.HEADER_LINE.value}")
                yield Block([], [])
                self._checker = BodyChecker(self.header)
                self._samples = SampleChecker(self.header)
            if line and (columns := self._checker.check(line, self._number)) is not None:
                records.append((self._number, columns))
        if self._samples is not None:
            groups = self._samples.check(records)
            yield Block([columns for _, columns in records], groups)

    def _lines(self) -> Iterator[list[bytes]]:
        with opened(self._path, self._told) as stream:
            start = stream.read(_CHUNK)
            if start.startswith(_BCF):
                yield from _bcf_lines(self._path)
                return
            yield from self._text_lines(start, stream)

    def _text_lines(self, chunk: bytes, stream: BinaryIO) -> Iterator[list[bytes]]:
        rest = b""
        while chunk:
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_LIMIT:
                raise DataError("DA042", why="a line is longer than a gibibyte")
            yield [line.removesuffix(b"\r") for line in lines] if b"\r" in chunk else lines
            chunk = stream.read(_CHUNK)
        self._ended = not rest
        if rest:
            yield [rest.removesuffix(b"\r")]


def _bcf_lines(path: Path) -> Iterator[list[bytes]]:
    """Decode BCF to VCF lines with htslib."""
    from cyvcf2 import VCF

    source = VCF(str(path))
    yield [line.encode() for line in source.raw_header.rstrip("\n").split("\n")]
    block = []
    for record in source:
        block.append(str(record).rstrip("\n").encode())
        if len(block) == _TEXT_BLOCK:
            yield block
            block = []
    yield block

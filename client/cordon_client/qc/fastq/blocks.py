"""Reads in blocks of about a mebibyte: line positions as arrays, the format checked as a whole.

The fast way takes four lines per read, which is how sequencers write. A file that does not keep
to it is read again by `syntax.records`, which either names the fault or unwraps its lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cordon_client.qc.fastq.syntax import FastqFault, FastqRule, records
from cordon_client.qc.streams import DAMAGED, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

BLOCK_BYTES = 2**20
PADDING = 96
"""Bytes after the last line, so that fixed-width windows may start anywhere in the block."""
_UNWRAPPED_READS = 4096
_NEWLINE, _AT, _PLUS = 10, 64, 43


class NotFourLinesError(Exception):
    """The block does not hold four well-formed lines per read."""


@dataclass(frozen=True)
class Block:
    """Whole reads. `text`: their bytes, then PADDING zeros; `size`: the bytes without padding.

    starts, ends: int64 [reads, 4], where title, sequence, + and quality lines begin and end.
    """

    text: bytes
    size: int
    bytes_of: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @property
    def reads(self) -> int:
        """How many reads."""
        return len(self.starts)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Bases of each read, int64 [reads]."""
        lengths: npt.NDArray[np.int64] = self.ends[:, 1] - self.starts[:, 1]
        return lengths

    @property
    def width(self) -> int | None:
        """The common length of all reads, or None."""
        lengths = self.lengths
        first = int(lengths[0])
        return first if bool((lengths == first).all()) else None

    def line(self, which: int) -> npt.NDArray[np.uint8]:
        """One of the four lines of all reads, end to end: uint8 [sum of their lengths]."""
        starts, lengths = self.starts[:, which], self.ends[:, which] - self.starts[:, which]
        if len(starts) and bool((lengths == lengths[0]).all()):
            return self.windows(which, int(lengths[0])).reshape(-1)
        before = np.cumsum(lengths) - lengths
        where = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        taken: npt.NDArray[np.uint8] = self.bytes_of[where]
        return taken

    def windows(self, which: int, width: int) -> npt.NDArray[np.uint8]:
        """The first `width` bytes from where a line begins: uint8 [reads, width]."""
        if not width:
            return np.zeros((self.reads, 0), np.uint8)
        view = np.lib.stride_tricks.sliding_window_view(self.bytes_of, width)
        taken: npt.NDArray[np.uint8] = view[self.starts[:, which]]
        return taken


def block_of(text: bytes) -> Block:
    """Lay out whole four-line reads.

    Raises:
        NotFourLinesError: when any line breaks the four-line form or the format's rules.
    """
    padded = text + bytes(PADDING)
    array = np.frombuffer(padded, np.uint8)
    newlines = np.flatnonzero(array[: len(text)] == _NEWLINE)
    if not len(newlines) or len(newlines) % 4:
        raise NotFourLinesError
    starts = np.empty(len(newlines), np.int64)
    starts[0], starts[1:] = 0, newlines[:-1] + 1
    block = Block(padded, len(text), array, starts.reshape(-1, 4), newlines.reshape(-1, 4))
    if not _well_formed(block):
        raise NotFourLinesError
    return block


def _well_formed(block: Block) -> bool:
    """Check the rules of `syntax.records` for all reads at once."""
    marks = block.bytes_of[block.starts]
    lengths = block.ends - block.starts
    if not (marks[:, 0] == _AT).all() or not (marks[:, 2] == _PLUS).all():
        return False
    if not (lengths[:, 1] == lengths[:, 3]).all() or not _separators_repeat(block, lengths):
        return False
    bases, qualities = block.line(1), block.line(3)
    if not len(bases):
        return True
    printable = int(qualities.min()) >= 33 and int(qualities.max()) <= 126
    # No byte of a sequence may be a space or lower, and none may start a title or separator.
    letters = int(bases.min()) > 32 and int(bases.max()) < 127
    first = marks[:, 1][lengths[:, 1] > 0]
    return printable and letters and not np.isin(first, (_AT, _PLUS)).any()


def _separators_repeat(block: Block, lengths: npt.NDArray[np.int64]) -> bool:
    """Whether every + line is bare or repeats its title."""
    for read in np.flatnonzero(lengths[:, 2] > 1).tolist():
        (title, _, plus, _), (title_end, _, plus_end, _) = block.starts[read], block.ends[read]
        if block.text[plus + 1 : plus_end] != block.text[title + 1 : title_end]:
            return False
    return True


def blocks(path: Path, role: str, told: Callable[[int], None]) -> Iterator[Block]:
    """Read a FASTQ file; `told` gets the compressed bytes read so far.

    Guarantee: every read is checked against the rules of `syntax.records` before it is yielded.

    Raises:
        FastqFault: DA040 naming the rule and the line.
    """
    seen = 0
    try:
        for text in _texts(path, told):
            block = block_of(text)
            seen += block.reads
            yield block
    except NotFourLinesError:
        # What was yielded are whole, valid reads, so the exact reader goes on behind them.
        for text in _unwrapped(path, role, seen):
            block = block_of(text)
            seen += block.reads
            yield block
    except DAMAGED:
        raise FastqFault(FastqRule.COMPRESSION, role) from None
    if not seen:
        raise FastqFault(FastqRule.EMPTY, role)


def _texts(path: Path, told: Callable[[int], None]) -> Iterator[bytes]:
    with opened(path, told) as stream:
        yield from _four_lines(stream)


def _four_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Cut the stream behind every so many whole reads; line ends become single newlines."""
    rest = b""
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        # A line end in two bytes may straddle two chunks: leave its first half for the next.
        held = rest.endswith(b"\r")
        text = rest.replace(b"\r\n", b"\n") if b"\r" in rest[:-1] or held else rest
        end = _end_of_reads(text)
        if end:
            yield text[:end]
        rest = text[end:]
    if rest.strip():
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _end_of_reads(text: bytes) -> int:
    """Where the last whole read of four lines ends."""
    spare = int(np.count_nonzero(np.frombuffer(text, np.uint8) == _NEWLINE)) % 4
    end = len(text)
    for _ in range(spare + 1):
        end = text.rfind(b"\n", 0, end)
    return end + 1


def _unwrapped(path: Path, role: str, skip: int) -> Iterator[bytes]:
    """Read record by record behind the first `skip` reads, as texts of four lines per read."""
    try:
        with opened(path, lambda _: None) as stream:
            source = islice(records(stream, role), skip, None)
            while batch := list(islice(source, _UNWRAPPED_READS)):
                yield b"".join(
                    b"@%b\n%b\n+\n%b\n" % (read.title, read.sequence, read.quality)
                    for read in batch
                )
    except DAMAGED:
        raise FastqFault(FastqRule.COMPRESSION, role) from None

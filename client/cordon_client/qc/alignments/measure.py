"""What is counted over a BAM or CRAM file: integers whose merge is addition."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import pysam

from cordon_client.qc.alignments.depth import DEEPEST, DepthCounter, PlaceCounter
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

LONGEST_INSERT = 2000
"""Inserts from here on share one cell."""
GC_WINDOW = 1000
"""Bases of the reference whose reads are counted together for the GC bias."""
_BATCH = 50_000
_TELL_EVERY = 20_000
_BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_CRAM_EOF = {
    2: bytes.fromhex("0b000000ffffffffffe0454f460000000001000001000606010001000100"),
    3: bytes.fromhex(
        "0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"
    ),
}
# SAM flags (specification, section 1.4)
_PAIRED, _PROPER, _UNMAPPED, _MATE_UNMAPPED, _REVERSE = 0x1, 0x2, 0x4, 0x8, 0x10
_FIRST, _SECONDARY, _FAILED, _DUPLICATE, _SUPPLEMENTARY = 0x40, 0x100, 0x200, 0x400, 0x800
_NOT_PRIMARY = _SECONDARY | _SUPPLEMENTARY
_NOT_COUNTED = _UNMAPPED | _SECONDARY | _FAILED | _DUPLICATE
"""Reads without depth: as `samtools depth` leaves them out."""
_MATCHES, _SKIPS = {0, 7, 8}, {2, 3}


def _zeros(cells: int) -> Callable[[], npt.NDArray[np.int64]]:
    return lambda: np.zeros(cells, np.int64)


@dataclass(frozen=True)
class AlignmentMeasures:
    """Counts over alignments; every field adds up over files of different regions.

    flags: alignments by name of what their flag says (as samtools flagstat counts them). mapq:
    mapped primary reads by mapping quality. inserts: proper pairs by template length. depth: reference
    positions by depth, nothing where the file is not sorted. places: total, distinct, once, twice.
    gc_windows, gc_reads: windows of the reference by GC percent, and reads that start in them.
    """

    flags: Counter[str] = field(default_factory=Counter)
    mapq: npt.NDArray[np.int64] = field(default_factory=_zeros(256))
    inserts: npt.NDArray[np.int64] = field(default_factory=_zeros(LONGEST_INSERT + 1))
    lengths: npt.NDArray[np.int64] = field(default_factory=_zeros(1001))
    depth: npt.NDArray[np.int64] = field(default_factory=_zeros(DEEPEST + 1))
    places: npt.NDArray[np.int64] = field(default_factory=_zeros(4))
    gc_windows: npt.NDArray[np.int64] = field(default_factory=_zeros(101))
    gc_reads: npt.NDArray[np.int64] = field(default_factory=_zeros(101))

    def __add__(self, other: Self) -> AlignmentMeasures:
        return AlignmentMeasures(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )


_FLAG_NAMES: tuple[tuple[str, Callable[[int], int | bool]], ...] = (
    ("secondary", lambda f: f & _SECONDARY),
    ("supplementary", lambda f: f & _SUPPLEMENTARY and not f & _SECONDARY),
    ("duplicates", lambda f: f & _DUPLICATE),
    ("failed", lambda f: f & _FAILED),
    ("mapped", lambda f: not f & _UNMAPPED),
    ("primary", lambda f: not f & _NOT_PRIMARY),
    ("primary_mapped", lambda f: not f & (_NOT_PRIMARY | _UNMAPPED)),
    ("primary_duplicates", lambda f: not f & _NOT_PRIMARY and f & _DUPLICATE),
    ("paired", lambda f: not f & _NOT_PRIMARY and f & _PAIRED),
    ("proper", lambda f: not f & (_NOT_PRIMARY | _UNMAPPED) and f & _PAIRED and f & _PROPER),
    (
        "singletons",
        lambda f: not f & (_NOT_PRIMARY | _UNMAPPED) and f & _PAIRED and f & _MATE_UNMAPPED,
    ),
)


def _flag_counts(flags: npt.NDArray[np.int64]) -> Counter[str]:
    """Count alignments by what their flags say; there are few distinct flags."""
    counts: Counter[str] = Counter(total=len(flags))
    found, times = np.unique(flags, return_counts=True)
    for flag, count in zip(found.tolist(), times.tolist(), strict=True):
        for name, holds in _FLAG_NAMES:
            if holds(flag):
                counts[name] += count
    return counts


class AlignmentCounter:
    """Counts one file's alignments in batches of one contig."""

    def __init__(self, lengths: tuple[int, ...], reference: GcReference | None) -> None:
        self.measures = AlignmentMeasures()
        self.sorted = True
        self._lengths, self._reference = lengths, reference
        self._depth, self._places = DepthCounter(), PlaceCounter()
        self._seen: set[int] = set()
        self._contig, self._last = -1, 0

    def add(self, contig: int, rows: list[Row], blocks: list[tuple[int, int]]) -> None:
        """Take alignments of one contig: ROW of each, and the blocks that they cover."""
        flag, quality, length, start, end, template = np.array(rows, np.int64).T
        counts = self.measures
        counts.flags.update(_flag_counts(flag))
        primary = (flag & (_NOT_PRIMARY | _UNMAPPED)) == 0
        counts.mapq[:] += np.bincount(quality[primary], minlength=256)
        counts.lengths[:] += np.bincount(
            np.minimum(length[(flag & _NOT_PRIMARY) == 0], 1000), minlength=1001
        )
        proper = primary & ((flag & _PROPER) != 0) & (template > 0) & ((flag & _DUPLICATE) == 0)
        inserts = np.minimum(template[proper], LONGEST_INSERT)
        counts.inserts[:] += np.bincount(inserts, minlength=LONGEST_INSERT + 1)
        if contig < 0 or not self.sorted:
            return
        self._move(contig)
        if start[0] < self._last or (np.diff(start) < 0).any():
            self.sorted = False
            return
        self._last = int(start[-1])
        self._fragments(flag, start, end, template, primary)
        starts, ends = np.array(blocks, np.int64).reshape(-1, 2).T
        self._depth.add(starts, ends, self._last)
        if self._reference is not None:
            self._reference.reads(contig, start[primary])

    def _fragments(
        self, flag: Ints, start: Ints, end: Ints, template: Ints, primary: npt.NDArray[np.bool_]
    ) -> None:
        """Count places of fragments: pairs by their left read, single reads by themselves."""
        both = (flag & (_PAIRED | _PROPER)) == (_PAIRED | _PROPER)
        left = primary & ((both & (template > 0)) | ((flag & _PAIRED) == 0))
        far = np.where(both, start + template, end)
        strand = (flag & _REVERSE) // _REVERSE * 2 + (flag & _FIRST) // _FIRST
        self._places.add(start[left], (far * 4 + strand)[left])

    def _move(self, contig: int) -> None:
        if contig == self._contig:
            return
        self._finish()
        self.sorted &= contig not in self._seen
        self._seen.add(contig)
        self._contig, self._last = contig, 0

    def _finish(self) -> None:
        if self._contig >= 0:
            self._depth.end(self._lengths[self._contig])
            self._places.end()

    def result(self) -> AlignmentMeasures:
        """Return what was counted; depth and places are empty where the file is not sorted."""
        self._finish()
        counts = self.measures
        if self.sorted:
            unseen = [n for i, n in enumerate(self._lengths) if i not in self._seen]
            counts.depth[:] += self._depth.positions
            counts.depth[0] += sum(unseen)
            places = self._places
            counts.places[:] = (places.total, places.distinct, places.once, places.twice)
            if self._reference is not None:
                counts.gc_windows[:], counts.gc_reads[:] = self._reference.counts()
        return counts


class GcReference:
    """Reads by the GC content of the reference around their start."""

    def __init__(self, fasta: pysam.FastaFile, names: tuple[str, ...]) -> None:
        self._fasta, self._names = fasta, names
        self._reads: dict[int, Ints] = {}

    def reads(self, contig: int, starts: Ints) -> None:
        """Count reads by the window of their start."""
        windows = np.bincount(starts // GC_WINDOW)
        before = self._reads.get(contig, np.zeros(0, np.int64))
        size = max(len(windows), len(before))
        added = np.zeros(size, np.int64)
        added[: len(before)] += before
        added[: len(windows)] += windows
        self._reads[contig] = added

    def counts(self) -> tuple[Ints, Ints]:
        """Return windows and reads by GC percent, int64 [101] each; windows with N are left out."""
        windows, reads = np.zeros(101, np.int64), np.zeros(101, np.int64)
        for contig, counted in self._reads.items():
            name = self._names[contig]
            if name not in self._fasta.references:
                continue
            text = self._fasta.fetch(name).upper().encode()
            bases = np.frombuffer(text, np.uint8)[: len(text) // GC_WINDOW * GC_WINDOW]
            rows = bases.reshape(-1, GC_WINDOW)
            strong = ((rows == ord("G")) | (rows == ord("C"))).sum(axis=1)
            known = (rows != ord("N")).all(axis=1)
            percent = np.rint(100 * strong / GC_WINDOW).astype(np.int64)
            here = np.zeros(len(rows), np.int64)
            shared = min(len(rows), len(counted))
            here[:shared] = counted[:shared]
            windows += np.bincount(percent[known], minlength=101)
            reads += np.bincount(percent[known], weights=here[known], minlength=101).astype(
                np.int64
            )
        return windows, reads


def has_end_marker(path: Path) -> bool:
    """Whether the file ends with its format's end-of-file block; text files always do."""
    with path.open("rb") as file:
        start = file.read(5)
        file.seek(max(0, path.stat().st_size - 64))
        tail = file.read()
    if start.startswith(b"CRAM"):
        return any(tail.endswith(marker) for marker in _CRAM_EOF.values())
    return not start.startswith(b"\x1f\x8b") or tail.endswith(_BGZF_EOF)


Row = tuple[int, int, int, int, int, int]


def measure_alignments(
    path: Path, reference: Path | None, told: Callable[[int], None]
) -> tuple[AlignmentMeasures, bool]:
    """Count a BAM, CRAM or SAM file in one pass, index or not; returns whether it is sorted.

    reference: a FASTA file with the genome; needed to decode most CRAM files, and for GC bias.

    Raises:
        DataError: DA041 when it cannot be read to its end, DA043 when its reference is missing.
    """
    pysam.set_verbosity(0)
    # Never let the decoder fetch a reference from the network.
    os.environ.setdefault("REF_PATH", "/nonexistent")
    try:
        with (
            _quietly(),
            pysam.AlignmentFile(
                str(path),
                check_sq=False,
                ignore_truncation=True,  # a missing end marker is judged by `bam.complete`
                reference_filename=None if reference is None else str(reference),
            ) as source,
        ):
            fasta = None if reference is None else pysam.FastaFile(str(reference))
            gc = None if fasta is None else GcReference(fasta, source.references)
            counter = AlignmentCounter(tuple(source.lengths), gc)
            for contig, rows, blocks in _batches(source, told):
                counter.add(contig, rows, blocks)
            return counter.result(), counter.sorted
    except (OSError, ValueError) as error:
        raise _coded(path, reference, error) from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's warning about a missing end marker, which is judged by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _coded(path: Path, reference: Path | None, error: Exception) -> DataError:
    with path.open("rb") as file:
        is_cram = file.read(4) == b"CRAM"
    if is_cram and reference is None and has_end_marker(path):
        return DataError("DA043", why="no FASTA file lies beside it, and REF_PATH names no cache")
    kind = "cut off or damaged" if isinstance(error, OSError) else "not BAM, CRAM or SAM"
    return DataError("DA041", why=f"the file is {kind}")


def _batches(
    source: pysam.AlignmentFile, told: Callable[[int], None]
) -> Iterator[tuple[int, list[Row], list[tuple[int, int]]]]:
    """Yield alignments of one contig at a time, as rows and the blocks that count for depth."""
    rows: list[Row] = []
    blocks: list[tuple[int, int]] = []
    contig = -2
    for number, read in enumerate(source.fetch(until_eof=True)):
        if (read.reference_id != contig or len(rows) >= _BATCH) and rows:
            yield contig, rows, blocks
            rows, blocks = [], []
        contig = read.reference_id
        flag, start, end = read.flag, read.reference_start, read.reference_end or 0
        rows.append(
            (
                flag,
                read.mapping_quality,
                read.query_length,
                max(start, 0),
                end,
                read.template_length,
            )
        )
        if not flag & _NOT_COUNTED and start >= 0:
            blocks.extend(_blocks(read, start, end))
        if number % _TELL_EVERY == 0:
            told(source.tell() >> 16 if source.is_bam else 0)
    if rows:
        yield contig, rows, blocks


def _blocks(read: pysam.AlignedSegment, start: int, end: int) -> list[tuple[int, int]]:
    """Covered stretches of the reference; one, unless bases are deleted or skipped."""
    cigar = read.cigartuples or ()
    if not any(operation in _SKIPS for operation, _ in cigar):
        return [(start, end)]
    blocks: list[tuple[int, int]] = read.get_blocks()
    return blocks

"""BAM files made up for tests: proper pairs over two contigs, with duplicates and oddities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pysam

if TYPE_CHECKING:
    from pathlib import Path

CONTIGS = (("chr1", 60_000), ("chr2", 30_000), ("chrM", 5_000))
READ = 100


def write_reference(path: Path, *, seed: int = 1) -> None:
    """Write the contigs' FASTA file and its index; GC rises along chr1 from 30 to 70 %."""
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for name, length in CONTIGS:
            gc = np.linspace(0.3, 0.7, length) if name == "chr1" else np.full(length, 0.45)
            strong = rng.random(length) < gc
            bases = np.where(strong, rng.choice(list("GC"), length), rng.choice(list("AT"), length))
            file.write(f">{name}\n{''.join(bases)}\n")
    pysam.faidx(str(path))


def write_alignments(
    path: Path,
    pairs: int,
    *,
    reference: Path,
    seed: int = 5,
    duplicates: float = 0.1,
    gc_loss: float = 0.0,
    ordered: bool = True,
) -> None:
    """Write a BAM (or CRAM, by the name) file of read pairs, some unmapped, deleted or skipped.

    duplicates: share of pairs that copy the place of an earlier one and are marked. gc_loss: how
    many of the pairs on the second half of chr1, where GC is high, are left out.
    """
    rng = np.random.default_rng(seed)
    fasta = pysam.FastaFile(str(reference))
    texts = {name: fasta.fetch(name) for name, _ in CONTIGS}
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate" if ordered else "unsorted"},
        "SQ": [{"SN": name, "LN": length} for name, length in CONTIGS],
    }
    reads = []
    places: list[tuple[int, int, int]] = []
    for number in range(pairs):
        copied = places and rng.random() < duplicates
        if copied:
            place = places[rng.integers(len(places))]
        else:
            place = (int(rng.choice(2, p=[0.67, 0.33])), 0, int(rng.normal(300, 40)))
            place = (place[0], int(rng.integers(0, CONTIGS[place[0]][1] - 600)), place[2])
            if place[0] == 0 and place[1] > 30_000 and rng.random() < gc_loss:
                continue
        places.append(place)
        reads += _pair(rng, f"r{number}", place, texts, duplicate=bool(copied))
    if ordered:
        reads.sort(key=lambda read: (read["contig"] < 0, read["contig"], read["start"]))
    mode = "wc" if path.suffix == ".cram" else "wb"
    with pysam.AlignmentFile(
        str(path), mode, header=header, reference_filename=str(reference)
    ) as out:
        for read in reads:
            out.write(_segment(read, out.header))


def _pair(rng, name, place, texts, *, duplicate):
    contig, start, insert = place
    insert = max(insert, READ)
    far = start + insert - READ
    flags = (0x63, 0x93) if not duplicate else (0x463, 0x493)
    if rng.random() < 0.03:  # both unmapped
        return [_read(name, flag, -1, -1, -1, 0, "A" * READ, "*", 0) for flag in (0x4D, 0x8D)]
    kind = rng.random()
    cigar, length = f"{READ}M", READ
    if kind < 0.03:
        cigar, length = "50M5D50M", READ + 5
    elif kind < 0.05:
        cigar, length = "50M30N50M", READ + 30
    text = texts[CONTIGS[contig][0]]
    quality = int(rng.choice([0, 20, 60], p=[0.05, 0.1, 0.85]))
    first = (
        text[start : start + READ]
        if length == READ
        else text[start : start + 50] + (text[start + length - 50 : start + length])
    )
    return [
        _read(name, flags[0], contig, start, far, insert, first, cigar, quality),
        _read(
            name, flags[1], contig, far, start, -insert, text[far : far + READ], f"{READ}M", quality
        ),
    ]


def _read(name, flag, contig, start, mate, template, bases, cigar, quality):
    return {
        "name": name, "flag": flag, "contig": contig, "start": start, "mate": mate,
        "template": template, "bases": bases, "cigar": cigar, "quality": quality,
    }  # fmt: skip


def _segment(read, header):
    segment = pysam.AlignedSegment(header)
    segment.query_name, segment.flag = read["name"], read["flag"]
    segment.reference_id, segment.reference_start = read["contig"], read["start"]
    segment.mapping_quality = read["quality"]
    segment.cigarstring = None if read["cigar"] == "*" else read["cigar"]
    segment.next_reference_id, segment.next_reference_start = read["contig"], read["mate"]
    segment.template_length = read["template"]
    segment.query_sequence = read["bases"]
    segment.query_qualities = pysam.qualitystring_to_array("I" * len(read["bases"]))
    return segment

"""Read sequences one by one: FASTA, tables with a column `sequence`, and label,name,sequence lines."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
from typing import TYPE_CHECKING

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

Record = tuple[str, str | None]
"""A sequence in upper case, and its label if the file gives one."""

_FASTA = (".fa", ".fasta", ".fna", ".faa", ".ffn")
_LABELS = ("label", "class", "y", "outcome")
_BARE = re.compile(r"^([^,\s]{1,12}),\s*[^,]{1,80},\s*([A-Za-z]{12,})\s*$")
_SPACED = re.compile(r"^([A-Za-z]{2,12})( [A-Za-z]{2,12})+$")
_HEAD = 1 << 16


def sequence_kind(path: Path) -> str | None:
    """Tell fasta, table and bare lines by name and first line; None for anything else."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((*_FASTA, ".csv", ".tsv", ".txt", ".data")):
        return None
    try:
        with _open(path) as file:
            first = file.read(_HEAD).lstrip().partition("\n")[0]
    except (OSError, EOFError, UnicodeDecodeError):
        return "fasta" if name.endswith(_FASTA) else None
    if first.startswith(">") or name.endswith(_FASTA):
        return "fasta"
    words = [word.strip().strip('"').lower() for word in re.split(r"[,\t]", first)]
    if "sequence" in words or "seq" in words:
        return "table"
    return "bare" if _BARE.match(first) else None


def _open(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", errors="strict")
    return path.open(encoding="utf-8-sig", errors="strict", newline="")


def read_sequences(path: Path) -> Iterator[Record]:
    """Yield sequences in the order of the file; memory does not grow with it.

    k-mers that overlap by all but one letter are joined to the sequence that they were cut from.

    Raises:
        DataError: DA015 when it cannot be opened, DA069 when it is damaged or holds no sequences.
    """
    kind = sequence_kind(path)
    if kind is None:
        raise DataError("DA069", why="it is neither FASTA nor a table of sequences")
    found = False
    try:
        with _open(path) as file:
            readers = {"fasta": _fasta, "table": _table, "bare": _bare}
            for record in readers[kind](file):
                found = True
                yield record
    except FileNotFoundError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    except (EOFError, OSError):
        raise DataError("DA069", why="the compressed file is damaged or cut off") from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError("DA069", why="it is not UTF-8 text") from None
    if not found:
        raise DataError("DA069", why="it holds no sequences")


def _fasta(file: TextIO) -> Iterator[Record]:
    parts: list[str] = []
    begun = False
    for line in file:
        text = line.strip()
        if text.startswith(">"):
            if begun:
                yield "".join(parts).upper(), None
            parts, begun = [], True
        elif text and not text.startswith(";"):
            if not begun:
                raise DataError("DA069", why="letters stand before the first header")
            parts.append(text)
    if begun:
        yield "".join(parts).upper(), None


def _table(file: TextIO) -> Iterator[Record]:
    head = file.readline()
    delimiter = "\t" if "\t" in head else ","
    header = [w.strip().strip('"').lower() for w in head.strip().split(delimiter)]
    place = header.index("sequence") if "sequence" in header else header.index("seq")
    label = next((header.index(word) for word in _LABELS if word in header), None)
    for row in csv.reader(file, delimiter=delimiter):
        if not row:
            continue
        if len(row) <= max(place, label or 0):
            raise DataError("DA069", why="a line has fewer fields than the header")
        yield joined(row[place].strip()).upper(), None if label is None else row[label].strip()


def _bare(file: TextIO) -> Iterator[Record]:
    for line in file:
        if not line.strip():
            continue
        fields = line.strip().split(",")
        if len(fields) != 3:
            raise DataError("DA069", why="a line has other fields than label, name, sequence")
        yield fields[2].strip().upper(), fields[0].strip()


def joined(text: str) -> str:
    """Join k-mers that overlap by all but one letter; other text stays as it is."""
    if not _SPACED.match(text):
        return text
    words = text.split(" ")
    fits = all(a[1:] == b[:-1] for a, b in itertools.pairwise(words))
    return words[0] + "".join(word[-1] for word in words[1:]) if fits else text

"""Columns of sequences and series → one array per record, and the one number measured of it.

Every record is read by itself: no other one can change what it holds or whether it is possible.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cordon_client.qc.cells import (
    MISSING_TEXTS,
    NumberColumn,
    check_mistyped,
    read_number,
    trimmed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_common.protocol.dictionary import SequenceFeature, SeriesFeature

    SequenceArray = npt.NDArray[np.int8] | npt.NDArray[np.float64]
    """Bases int8 [records, length], or points float64 [records, length], NaN = missing."""

UNKNOWN_BASE, NO_BASE = 4, 5
_CODES = np.full(256, NO_BASE, dtype=np.int8)
_CODES[np.frombuffer(b"RYSWKMBDHVNryswkmbdhvn", dtype=np.uint8)] = UNKNOWN_BASE
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[np.frombuffer(_letters, dtype=np.uint8)] = _code

_MARK_BITS = 52
"""A float64 holds whole numbers of so many bits exactly."""


def read_sequence(
    column: pa.ChunkedArray, feature: SequenceFeature
) -> tuple[npt.NDArray[np.int8], NumberColumn]:
    """Read DNA texts as bases 0 to 3 (A, C, G, T) or UNKNOWN_BASE, int8 [records, length].

    Of a missing or impossible text all bases are unknown. The number is the share of G and C among
    the known bases. Source: IUPAC nucleotide codes (Cornish-Bowden 1985).

    Raises:
        DataError: DA019 when more than one text in twenty does not follow the study.
    """
    text = trimmed(column)
    missing = _bools(pc.is_in(text, value_set=pa.array(MISSING_TEXTS)))
    fitting = _bools(pc.equal(pc.binary_length(text), feature.length)) & ~missing
    whole = b"".join(cell.as_buffer().to_pybytes() for cell in text.filter(pa.array(fitting)))
    codes = _CODES[np.frombuffer(whole, dtype=np.uint8)].reshape(-1, feature.length)
    unknown = (codes == UNKNOWN_BASE).mean(axis=1)
    possible = ~(codes == NO_BASE).any(axis=1) & (unknown <= feature.max_unknown)
    bases = np.full((len(text), feature.length), UNKNOWN_BASE, dtype=np.int8)
    values = np.full(len(text), np.nan)
    rows = np.flatnonzero(fitting)[possible]
    bases[rows] = codes[possible]
    known = (bases[rows] < UNKNOWN_BASE).sum(axis=1)
    strong = ((bases[rows] == 1) | (bases[rows] == 2)).sum(axis=1)
    values[rows] = strong / np.maximum(known, 1)
    invalid = np.isnan(values) & ~missing
    what = f"the sequences of {feature.name} are not DNA of {feature.length} bases"
    check_mistyped(invalid, ~missing, "DA019", what)
    return bases, NumberColumn(values, invalid, 0)


def read_series(
    columns: Sequence[pa.ChunkedArray], feature: SeriesFeature
) -> tuple[npt.NDArray[np.float64], NumberColumn]:
    """Read one column per point, float64 [records, length], NaN = missing.

    Of a missing or impossible series all points are missing. The number is the mean of the points.

    Raises:
        DataError: DA008 when a column does not hold numbers.
    """
    read = [read_number(column, feature.measured) for column in columns]
    points = np.column_stack([column.values for column in read])
    wrong = np.column_stack([column.invalid for column in read]).any(axis=1)
    low, high = feature.range
    wrong |= ((points < low) | (points > high)).any(axis=1)
    absent = np.isnan(points).mean(axis=1)
    missing = (absent == 1) & ~wrong
    invalid = (wrong | (absent > feature.max_missing)) & ~missing
    points[invalid] = np.nan
    values = np.full(len(points), np.nan)
    kept = ~invalid & ~missing
    values[kept] = np.nanmean(points[kept], axis=1)
    return points, NumberColumn(values, invalid, 0)


def content_marks(array: SequenceArray) -> list[npt.NDArray[np.float64]]:
    """Return two numbers per record that are equal exactly for equal arrays, up to 2^-104."""
    marks = np.empty((2, len(array)))
    for index, row in enumerate(np.nan_to_num(array.astype(np.float64), nan=np.inf) + 0.0):
        digest = hashlib.sha256(row.tobytes()).digest()
        for half in range(2):
            word = int.from_bytes(digest[8 * half : 8 * half + 8], "big")
            marks[half, index] = float(word >> (64 - _MARK_BITS))
    return [marks[0], marks[1]]


def _bools(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column.to_numpy(), dtype=np.bool_)

"""Read tables of many samples: BIOM 1 (JSON), BIOM 2 (HDF5), and text."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.table import MAX_BYTES, FeatureMatrix, read_matrix
from cordon_client.qc.metagenomics.profile import TaxonProfile
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_GZIP_MAGIC = b"\x1f\x8b"
_MARK = b"Biological Observation Matrix"
_UNCLASSIFIED = ("unclassified", "unknown", "unassigned")
_SUMS_TO_ONE = 1.5
_SUMS_TO_HUNDRED = 150.0


def is_biom(path: Path) -> bool:
    """Tell BIOM by its ending, or by the keys that version 1 must have."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".biom"):
        return True
    return name.endswith(".json") and _MARK in _start(path)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if head.startswith(_GZIP_MAGIC):
            return zlib.decompressobj(wbits=31).decompress(head)
    except (OSError, zlib.error):
        return b""
    return head


def read_table(path: Path) -> FeatureMatrix:
    """Read a table of taxa × samples; BIOM's taxonomy is the note `taxonomy`.

    Raises:
        DataError: DA066 when a BIOM file is empty, damaged or breaks its format; else as
            `read_matrix`.
    """
    if not is_biom(path):
        return read_matrix(path)
    facts = path.stat()
    return _biom(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=2)
def _biom(path: Path, _changed_ns: int, size: int) -> FeatureMatrix:
    if not size:
        raise DataError("DA066", why="it is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = _load(path)
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
    ) as error:
        raise DataError("DA066", why=_fault(error)) from None
    except Exception as error:
        if type(error).__module__.startswith("biom"):
            raise DataError("DA066", why="its identifiers or shape do not fit") from None
        raise
    taxa, samples = table.shape
    if not taxa or not samples:
        raise DataError("DA063")
    if taxa * samples * 8 > MAX_BYTES:
        raise DataError("DA072", why=f"more than {MAX_BYTES // 2**20} MiB")
    notes = table.metadata(axis="observation") or ()
    lineages = tuple(_lineage(note) for note in notes)
    return FeatureMatrix(
        features=tuple(table.ids(axis="observation")),
        samples=tuple(table.ids()),
        values=np.asarray(table.matrix_data.toarray(), dtype=np.float64),
        notes={"taxonomy": lineages} if any(lineages) else {},
    )


def _load(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - biom has no types
    import biom

    with path.open("rb") as file:
        magic = file.read(8)
    if magic == _HDF5_MAGIC:
        import h5py

        with h5py.File(path, "r") as hdf5:
            return biom.Table.from_hdf5(hdf5)
    data = path.read_bytes()
    if magic.startswith(_GZIP_MAGIC):
        data = gzip.decompress(data)
    value = json.loads(data)
    value.setdefault("type", "OTU table")  # optional since version 2, and often left out before
    value.setdefault("matrix_type", "sparse")
    return biom.Table.from_json(value)


def _fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "it is neither HDF5 nor JSON"
    if isinstance(error, KeyError):
        return "a field that the format requires is missing"
    return "it is damaged or breaks the format"


def _lineage(note: object) -> str:
    value = note.get("taxonomy") if hasattr(note, "get") else None
    if value is None:
        return ""
    return value if isinstance(value, str) else ";".join(str(part) for part in value)


def profile_of(matrix: FeatureMatrix, sample: str) -> TaxonProfile:
    """Take one sample of a table; whether it holds reads or shares is told by the values.

    Raises:
        DataError: DA073 when there is no such sample.
    """
    values = matrix.column(sample)
    names = matrix.notes.get("taxonomy", matrix.features)
    taxa = tuple(name or feature for name, feature in zip(names, matrix.features, strict=True))
    total = float(np.nansum(values))
    if (np.nan_to_num(values) == np.rint(np.nan_to_num(values))).all() and total > _SUMS_TO_ONE:
        unknown = np.array([name.lower().strip("_") in _UNCLASSIFIED for name in taxa])
        reads = int(total)
        share = float(np.nansum(values[unknown])) / reads if unknown.any() and reads else None
        return TaxonProfile(taxa, values, shares=False, reads=reads, unclassified=share)
    scale = 1.0 if total <= _SUMS_TO_ONE else 100.0
    if total > _SUMS_TO_HUNDRED:
        return TaxonProfile(taxa, values, shares=False)
    return TaxonProfile(taxa, values / scale, shares=True)

"""Who is who, and who is held out: keyed hashes that mean nothing outside the hospital.

Every function of a patient here is a fixed function of the key and of that patient's own data, so
adding or removing a patient changes nobody else's hash or side.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

KEY_BYTES = 32
_PATIENT, _ROW, _CONTENT = b"cordon.patient.v1\0", b"cordon.row.v1\0", b"cordon.content.v1\0"


@dataclass(frozen=True)
class RowHashes:
    """Keyed hash of each record's content, in the study's terms.

    digests: 32 bytes per record. high, low: uint64 [records], its first 16 bytes, to sort and
    group by (equal content gives equal hashes; 128 bits rule out chance collisions).
    """

    digests: tuple[bytes, ...]
    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]


def check_key(key: bytes) -> None:
    """Refuse a split key of the wrong length.

    Raises:
        DataError: DA017 unless it has 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise DataError("DA017")


def patient_hashes(key: bytes, ids: Iterable[str]) -> list[bytes]:
    """Hash patient ids: HMAC-SHA256 (FIPS 198-1) under the site's split key."""
    return [hmac.digest(key, _PATIENT + text.encode(), "sha256") for text in ids]


def row_hashes(key: bytes, content: npt.NDArray[np.float64]) -> RowHashes:
    """Hash records by content.

    content: float64 [records, columns]; NaN = missing. Guarantee: rows that compare equal (0.0
    and -0.0, any two NaN) get equal hashes.
    """
    canonical = content + 0.0  # -0.0 becomes 0.0
    canonical[np.isnan(canonical)] = np.nan  # one bit pattern for every NaN
    data = canonical.astype("<f8").tobytes()
    width = canonical.shape[1] * 8
    digests = tuple(
        hmac.digest(key, _ROW + data[start : start + width], "sha256")
        for start in range(0, len(data), width)
    )
    words = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 4).astype(np.uint64)
    return RowHashes(digests, words[:, 0].copy(), words[:, 1].copy())


def content_hash(key: bytes, digests: Iterable[bytes]) -> bytes:
    """Hash a patient by the set of their records instead of by id."""
    return hmac.digest(key, _CONTENT + b"".join(sorted(digests)), "sha256")


def is_holdout(patient_hash: bytes, fraction: float) -> bool:
    """Say whether a patient is held out for evaluation.

    Guarantee: a fixed function of the patient's keyed hash; held out with probability `fraction`
    over the key, independently for each patient.
    """
    return int.from_bytes(patient_hash[:8], "big") < int(fraction * 2.0**64)


def holdout_mask(patients: Iterable[bytes], fraction: float) -> npt.NDArray[np.bool_]:
    """Return `is_holdout` for each patient hash: bool [records]."""
    return np.array([is_holdout(patient, fraction) for patient in patients], dtype=np.bool_)

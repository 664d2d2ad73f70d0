"""The hospital's records between two rooms: what passed QC, and the tensors made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class CleanTable:
    """Records that passed QC, in the study's terms; never leaves the vault.

    numbers: per numeric feature float64 [records], NaN = missing.
    categories: per category feature int64 [records], index into its categories, -1 = missing.
    labels: int8 [records], 0 or 1.
    arrays: per sequence bases int8 [records, length], 0 to 3, 4 = unknown; per series points
        float64 [records, length], NaN = missing.
    patients: keyed hash of the patient's identity, bytes of length 32, one per record. Records of
        one patient are equal here; the key is the site's own, so the hash means nothing outside.
    """

    numbers: dict[str, npt.NDArray[np.float64]]
    categories: dict[str, npt.NDArray[np.int64]]
    labels: npt.NDArray[np.int8]
    patients: tuple[bytes, ...]
    arrays: dict[str, npt.NDArray[np.int8] | npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tensors:
    """Model input of one population.

    inputs: float64 [records, inputs]; labels: float64 [records] of 0.0 or 1.0;
    patients: int64 [records], 0 … n_patients-1, every number used.
    """

    inputs: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]
    patients: npt.NDArray[np.int64]
    n_patients: int

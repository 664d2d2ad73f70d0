"""Patients in blocks of fixed shape, so that a patient's arithmetic never depends on the others.

A matrix product may round a row differently when the number of rows changes. Every block of one
kind therefore has the same shape, padded with rows of weight zero; the kind depends only on how
many records the patient has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.records import Tensors


@dataclass(frozen=True)
class PatientBlock:
    """Some patients, padded to [patients, slots] records.

    inputs: float64 [patients · slots, …]; labels: float64 [patients · slots];
    weights: float64 [patients · slots], 1 / (records of the patient), 0 for padding.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    slots: int

    @property
    def patients(self) -> int:
        """Number of patient places, padding included."""
        return len(self.weights) // self.slots


def patient_blocks(
    tensors: Tensors, taking_part: npt.NDArray[np.bool_], *, cap: int, rows: int
) -> Iterator[PatientBlock]:
    """Yield blocks of about `rows` records that hold every patient taking part exactly once.

    cap: at most this many records of a patient count, the first ones in table order.

    Guarantee: which kind of block a patient is in, and what is in its places, depends on that
    patient only.
    """
    order = np.argsort(tensors.patients, kind="stable")
    records_of = np.bincount(tensors.patients, minlength=tensors.n_patients)
    first = np.concatenate([[0], np.cumsum(records_of)[:-1]]) if records_of.size else records_of
    used = np.minimum(records_of, cap)
    slots_of = _next_power_of_two(used)
    for slots in np.unique(slots_of[taking_part]):
        members = np.flatnonzero(taking_part & (slots_of == slots))
        per_block = max(1, rows // int(slots))
        for start in range(0, members.size, per_block):
            chosen = members[start : start + per_block]
            yield _block(tensors, order, first[chosen], used[chosen], (per_block, int(slots)))


def _block(
    tensors: Tensors,
    order: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    used: npt.NDArray[np.int64],
    shape: tuple[int, int],
) -> PatientBlock:
    places, slots = shape
    slot = np.arange(slots)
    present = slot[None, :] < used[:, None]
    records = order[(first[:, None] + slot[None, :])[present]]
    target = np.flatnonzero(present.ravel())
    inputs = np.zeros((places * slots, *tensors.inputs.shape[1:]))
    labels = np.zeros(places * slots)
    weights = np.zeros(places * slots)
    inputs[target] = tensors.inputs[records]
    labels[target] = tensors.labels[records]
    weights[target] = np.repeat(1.0 / used, used)
    return PatientBlock(
        torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(weights), slots
    )


def _next_power_of_two(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    safe = np.maximum(counts, 1)
    return 1 << np.ceil(np.log2(safe)).astype(np.int64)

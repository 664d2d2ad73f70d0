"""Patients in blocks of fixed shape, so that a patient's arithmetic never depends on the others.

A matrix product may round a row differently when the number of rows changes. Every block of one
kind therefore has the same shape, padded with rows of weight zero; the kind depends only on how
many records the patient has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_common.protocol.study import Poisson

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study


_FEWEST_ROWS = 32


@dataclass(frozen=True)
class PatientBlock:
    """Some patients, padded to [patients, slots] records.

    inputs: float64 or float32 [patients · slots, …]; labels: float64 [patients · slots];
    weights: float64 [patients · slots], 1 / (records of the patient), 0 for padding.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    slots: int

    @property
    def patients(self) -> int:
        """Number of patient places, padding included."""
        return self.weights.shape[0] // self.slots

    def on(self, device: torch.device) -> PatientBlock:
        """Return the block on a device; itself when it is there."""
        if self.inputs.device == device:
            return self
        inputs, labels = self.inputs.to(device), self.labels.to(device)
        return PatientBlock(inputs, labels, self.weights.to(device), self.slots)


def block_rows(study: Study, most: int) -> int:
    """Return how many records a block of this study has: room for twice a usual draw, 32 to `most`.

    most: what suits the model where draws are not small. Guarantee: a function of the study alone
    (rate, divisor, roster), not of anybody's records.
    """
    training = study.training
    if not isinstance(training.sampling, Poisson) or not study.roster:
        return most
    usual = training.divisor * training.sampling.rate / len(study.roster)
    return min(most, max(_FEWEST_ROWS, 1 << math.ceil(math.log2(2 * usual))))


def patient_blocks(
    tensors: Tensors,
    taking_part: npt.NDArray[np.bool_],
    *,
    cap: int,
    rows: int,
    dtype: torch.dtype = torch.float64,
) -> Iterator[PatientBlock]:
    """Yield blocks of about `rows` records that hold every patient taking part exactly once.

    cap: at most this many records of a patient count, the first ones in table order.

    Guarantee: as `PatientIndex.blocks`.
    """
    return PatientIndex(tensors, cap=cap, dtype=dtype).blocks(taking_part, rows=rows)


class PatientIndex:
    """Where each patient's records are: looked up once, used for every draw."""

    def __init__(self, tensors: Tensors, *, cap: int, dtype: torch.dtype = torch.float64) -> None:
        """Look up every patient's records; dtype: of the blocks' inputs, the model's own."""
        self._tensors, self._dtype = tensors, dtype
        self._order = np.argsort(tensors.patients, kind="stable")
        records_of = np.bincount(tensors.patients, minlength=tensors.n_patients)
        self._first = np.cumsum(records_of) - records_of
        self._used = np.minimum(records_of, cap)
        self._slots_of = _next_power_of_two(self._used)
        self._kinds = [int(slots) for slots in np.unique(self._slots_of)]

    def blocks(self, taking_part: npt.NDArray[np.bool_], *, rows: int) -> Iterator[PatientBlock]:
        """Yield blocks of about `rows` records that hold every patient taking part exactly once.

        Guarantee: which kind of block a patient is in, and what is in its places, depends on that
        patient only.
        """
        for slots in self._kinds:
            members = np.flatnonzero(taking_part & (self._slots_of == slots))
            per_block = max(1, rows // slots)
            for start in range(0, members.size, per_block):
                chosen = members[start : start + per_block]
                yield _block(
                    self._tensors,
                    self._order,
                    self._first[chosen],
                    self._used[chosen],
                    (per_block, slots),
                    self._dtype,
                )


def _block(
    tensors: Tensors,
    order: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    used: npt.NDArray[np.int64],
    shape: tuple[int, int],
    dtype: torch.dtype,
) -> PatientBlock:
    places, slots = shape
    slot = np.arange(slots)
    present = slot[None, :] < used[:, None]
    records = order[(first[:, None] + slot[None, :])[present]]
    target = np.flatnonzero(present.ravel())
    inputs = torch.zeros((places * slots, *tensors.inputs.shape[1:]), dtype=dtype)
    labels = np.zeros(places * slots)
    weights = np.zeros(places * slots)
    # rounded once, before it goes to a device; from numpy, values out of range would warn
    inputs[torch.from_numpy(target)] = torch.from_numpy(tensors.inputs[records]).to(dtype)
    labels[target] = tensors.labels[records]
    weights[target] = np.repeat(1.0 / used, used)
    return PatientBlock(inputs, torch.from_numpy(labels), torch.from_numpy(weights), slots)


def _next_power_of_two(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    safe = np.maximum(counts, 1)
    return 1 << np.ceil(np.log2(safe)).astype(np.int64)

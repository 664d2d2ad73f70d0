"""Whether a device computes a patient alike in every place of a block: asked before a study trains.

The proof needs it (PROOF.md, §4 and §8): if a patient's last bits depended on the place, the
presence of one patient, which moves the others one place up, could move everybody's gradient. Held
on invented records, in the study's own shapes, on the very device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cordon_client.training.clipping import OneBackward
from cordon_client.training.packing import PatientBlock
from cordon_client.training.randomness import draw_aux
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cordon_client.models.base import Aux, PatientModel
    from cordon_client.training.clipping import ClippedSums

SHIFTS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
"""By how many places everybody moves; 0 asks whether the same twice gives the same bits."""


def check_places(
    engine: ClippedSums, model: PatientModel, *, inputs: int, rows: int, cap: int
) -> None:
    """Hold the device of a model, whose weights are set, against what the proof needs of it.

    inputs: values per record; rows: records per block; cap: records of a patient at most. Depends
    on the study and the device alone, on nobody's records.

    Raises:
        SystemFault: SY073 when a pass is not repeatable, when a bit depends on the place, or for
            the reference engine, which is not built for equal bits.
    """
    if not isinstance(engine, OneBackward):
        raise SystemFault("SY073", why="the model needs the reference engine: CPU only")
    device = next(model.parameters()).device
    for slots in _kinds(cap):
        patients = max(1, rows // slots)
        block = _invented(patients * slots, inputs, slots, model.input_dtype).on(device)
        aux = draw_aux(model, patients * slots, device)
        engine.add_clipped_sum(_zeros(model), block, aux)
        first = engine.per_patient(block, aux)
        for shift in SHIFTS:
            if shift < patients:
                found = engine.per_patient(*_moved(block, aux, shift))
                _require_equal(first, found, shift)


def _kinds(cap: int) -> Iterator[int]:
    """Yield how many places a patient may take in a block: powers of two that hold up to `cap`."""
    slots = 1
    while slots < cap:
        yield slots
        slots *= 2
    yield slots


def _invented(records: int, inputs: int, slots: int, dtype: torch.dtype) -> PatientBlock:
    generator = torch.Generator().manual_seed(records)
    values = torch.randn(records, inputs + 1, dtype=torch.float64, generator=generator)
    weights = torch.full((records,), 1.0 / slots, dtype=torch.float64)
    return PatientBlock(
        values[:, 1:].to(dtype).contiguous(), (values[:, 0] > 0).double(), weights, slots
    )


def _moved(block: PatientBlock, aux: Aux, shift: int) -> tuple[PatientBlock, Aux]:
    rows = shift * block.slots
    moved = PatientBlock(
        block.inputs.roll(rows, 0), block.labels.roll(rows), block.weights, block.slots
    )
    return moved, aux and {name: values.roll(rows, 0) for name, values in aux.items()}


def _require_equal(first: list[torch.Tensor], found: list[torch.Tensor], shift: int) -> None:
    for before, after in zip(first, found, strict=True):
        if not torch.equal(before.roll(shift, 0), after):
            why = (
                "its results depend on a patient's place" if shift else "its results do not repeat"
            )
            raise SystemFault("SY073", why=why)


def _zeros(model: PatientModel) -> torch.Tensor:
    parameters = list(model.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    return torch.zeros(size, dtype=torch.float64, device=parameters[0].device)

"""What a model must prove before it may train: checked when a family is registered, on drawn input.

None of this is a proof; each check finds one way in which per-patient clipping goes wrong silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cordon_client.models.base import Batch
from cordon_client.training.packing import PatientBlock
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_client.models.base import PatientModel
    from cordon_client.training.clipping import ClippedSums

    Summed = Callable[[PatientBlock], torch.Tensor]

HOSTILE = (1e6, 1e200, float("nan"), float("inf"))
"""Factors that a record's input is multiplied by; models of token ids pass none."""

RELATIVE_ERROR = 1e-5


def check_model(
    model: PatientModel,
    make_engine: Callable[[PatientModel, float], ClippedSums],
    example: Batch,
    *,
    hostile: tuple[float, ...] = HOSTILE,
) -> None:
    """Hold a model and its engine against the kernel's assumptions.

    make_engine: engine for a model and a clip norm. example: at least two different records. The
    model's parameters must be set; they are not changed.

    Raises:
        ProtocolError: PR042 naming what failed: records mix, engine differs from a loop, a hostile
            record exceeds the clip norm, a block without patients fails, a buffer changes.
    """
    buffers = [buffer.clone() for buffer in model.buffers()]
    _check_records_apart(model, example)
    gradients = [_record_gradient(model, example, row) for row in range(len(example.labels))]
    clip_norm = float(torch.stack([g.norm() for g in gradients]).median())
    engine = make_engine(model, clip_norm)

    def summed(block: PatientBlock) -> torch.Tensor:
        total = torch.zeros_like(gradients[0])
        engine.add_clipped_sum(total, block)
        return total

    _check_engine_equals_loop(summed, example, gradients, clip_norm)
    for factor in hostile:
        _check_hostile_record(summed, example, clip_norm, factor)
    _check_without_patients(summed, example)
    if any(not torch.equal(old, new) for old, new in zip(buffers, model.buffers(), strict=True)):
        raise ProtocolError("PR042", why="a buffer changes during training")


def _check_records_apart(model: PatientModel, example: Batch) -> None:
    changed = example.inputs.clone()
    changed[-1] = changed[0]
    with torch.no_grad():
        before = model.per_sample_loss(example, None)
        after = model.per_sample_loss(Batch(changed, example.labels), None)
    if before.shape != example.labels.shape:
        raise ProtocolError("PR042", why="the loss is not one number per record")
    if not torch.allclose(before[:-1], after[:-1], rtol=1e-10, atol=0.0):
        raise ProtocolError("PR042", why="one record's loss depends on another record")


def _record_gradient(model: PatientModel, example: Batch, row: int) -> torch.Tensor:
    for parameter in model.parameters():
        parameter.requires_grad = True
    batch = Batch(example.inputs[row : row + 1], example.labels[row : row + 1])
    loss = model.per_sample_loss(batch, None).sum()
    parts = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    if any(part is None for part in parts):
        raise ProtocolError("PR042", why="a parameter takes no part in the loss")
    return torch.cat([part.reshape(-1) for part in parts]).double()


def _check_engine_equals_loop(
    summed: Summed, example: Batch, gradients: list[torch.Tensor], clip_norm: float
) -> None:
    expected = sum(g * min(1.0, clip_norm / float(g.norm())) for g in gradients)
    found = summed(_block(example.inputs, example.labels))
    if not float((found - expected).norm()) <= RELATIVE_ERROR * clip_norm * len(gradients):
        raise ProtocolError("PR042", why="the engine differs from a loop over single records")


def _check_hostile_record(summed: Summed, example: Batch, clip_norm: float, factor: float) -> None:
    found = summed(_block(example.inputs[:1] * factor, example.labels[:1]))
    if not float(found.norm()) <= clip_norm * (1 + 1e-9):
        raise ProtocolError("PR042", why=f"a record scaled by {factor} exceeds the clip norm")


def _check_without_patients(summed: Summed, example: Batch) -> None:
    padding = PatientBlock(
        example.inputs[:1] * 0, example.labels[:1] * 0, torch.zeros(1, dtype=torch.float64), 1
    )
    if bool(summed(padding).any()):
        raise ProtocolError("PR042", why="padding adds to the sum")
    empty = summed(_block(example.inputs[:0], example.labels[:0]))
    if bool(empty.any()):
        raise ProtocolError("PR042", why="a block without patients adds to the sum")


def _block(inputs: torch.Tensor, labels: torch.Tensor) -> PatientBlock:
    return PatientBlock(inputs, labels, torch.ones(len(labels), dtype=torch.float64), 1)

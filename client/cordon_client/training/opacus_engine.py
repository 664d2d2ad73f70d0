"""The reference engine: every record's gradient written out by Opacus hooks, then clipped.

Slow and large in memory, but it knows many more layers; the only importer of opacus.
Source: Yousefpour et al. 2021, "Opacus". Only its gradients are used, neither noise nor accounting.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from opacus.grad_sample import GradSampleModule
from opacus.validators import ModuleValidator

from cordon_client.models.base import Batch
from cordon_client.training.clipping import clip_factors
from cordon_client.training.layers import WrittenTerms
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from cordon_client.models.base import Aux, PatientModel
    from cordon_client.training.packing import PatientBlock


class PerRecordHooks:
    """Clipped sums from materialised per-record gradients; not thread-safe."""

    def __init__(self, model: PatientModel, *, clip_norm: float) -> None:
        """Attach Opacus hooks; the model's parameters start requiring gradients.

        Raises:
            ProtocolError: PR042 for layers that mix records, such as batch normalisation.
        """
        problems = ModuleValidator.validate(model, strict=False)
        if problems:
            raise ProtocolError("PR042", why=str(problems[0]).split("\n", 1)[0])
        for parameter in model.parameters():
            parameter.requires_grad = True
        self._model = model
        self._clip_norm = clip_norm
        self._hooks = GradSampleModule(model, batch_first=True, loss_reduction="sum")

    def add_clipped_sum(self, total: torch.Tensor, block: PatientBlock, aux: Aux = None) -> None:
        """Add Σ clip(mean gradient of the patient, C) over the block to total, float64 [dimension].

        Guarantee: as `OneBackward.add_clipped_sum`.
        """
        if block.patients == 0:
            return
        self._hooks.zero_grad(set_to_none=True)
        losses = self._model.per_sample_loss(Batch(block.inputs, block.labels), aux)
        with warnings.catch_warnings():
            # the first layer's input needs no gradient: torch says so on every backward pass
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            torch.dot(block.weights, losses).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            shape = (block.patients, block.slots, -1)
            rows = [self._rows(parameter).reshape(shape) for parameter in self._model.parameters()]
            terms = WrittenTerms([row.double() for row in rows])
            factor = clip_factors([terms], clip_norm=self._clip_norm)
            sizes = [parameter.numel() for parameter in self._model.parameters()]
            terms.add_to(torch.split(total, sizes), factor)

    def _rows(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        rows = getattr(parameter, "grad_sample", None)
        if not isinstance(rows, torch.Tensor):
            raise ProtocolError("PR042", why="a parameter takes no part in the loss")
        return rows

"""Steps of feed-forward nets: two small ones, and one whose cost is memory traffic and noise."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmarks.dp_step.steps import Case, step_lines
from cordon_client.models.base import Batch, PatientModel

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from cordon_client.models.base import Aux


class Network(PatientModel):
    """Linear layers with tanh between them; one output: logistic loss, several: cross-entropy."""

    def __init__(self, widths: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in pairwise(widths))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer, [records, outputs]."""
        values = inputs.to(self._dtype)
        for layer in self.layers[:-1]:
            values = torch.tanh(layer(values))
        outputs: torch.Tensor = self.layers[-1](values)
        return outputs

    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return the loss of every record, [records], in the dtype of the labels."""
        outputs = self(batch.inputs).to(batch.labels.dtype)
        if outputs.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(
                outputs.squeeze(1), batch.labels, reduction="none"
            )
        return functional.cross_entropy(outputs, batch.labels.long(), reduction="none")

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs as they are; nothing here scores."""
        return self(inputs)


def small(repeats: int) -> list[Line]:
    """Nets of which a step costs more calls than arithmetic."""
    cases = [
        _case("logistic 30-1, B 256", (30, 1), 256, (2.0, 1.5), torch.float64),
        _case("MLP 30-64-1, B 256", (30, 64, 1), 256, (2.0, 1.5), torch.float64),
    ]
    return [line for case in cases for line in step_lines(case, repeats)]


def wide(repeats: int) -> list[Line]:
    """A net of 1.3 million weights, noise included."""
    case = _case("MLP 5000-256-5, B 128", (5000, 256, 5), 128, (2.5, 1.8), torch.float32)
    return step_lines(case, repeats)


def _case(
    name: str,
    widths: tuple[int, ...],
    records: int,
    bounds: tuple[float, float],
    dtype: torch.dtype,
) -> Case:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(records, widths[0], generator=generator)
    labels = torch.randint(0, 2, (records,), generator=generator).float()
    return Case(
        name,
        plain=lambda: Network(widths, torch.float32),
        private=lambda: Network(widths, dtype),
        batch=Batch(inputs, labels),
        must=bounds[0],
        aim=bounds[1],
        opacus_aim=5.0,
        inner=1 if widths[0] > 1000 else 20,
    )

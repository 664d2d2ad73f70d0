"""Steps of feed-forward nets: two small ones, and one whose cost is memory traffic and noise."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmarks.dp_step.steps import Case, step_lines
from cordon_client.models.aligned import AlignedLinear, aligned_rows
from cordon_client.models.base import Batch, PatientModel
from cordon_client.models.feedforward import FeedForward
from cordon_client.models.registry import FLOAT32_FROM

if TYPE_CHECKING:
    from benchmarks.lines import Line
    from cordon_client.models.base import Aux


class Network(PatientModel):
    """Linear layers with tanh between them; one output: logistic loss, several: cross-entropy."""

    def __init__(
        self, widths: tuple[int, ...], dtype: torch.dtype, linear: type[nn.Linear] = nn.Linear
    ) -> None:
        super().__init__()
        self.input_dtype = dtype
        self.layers = nn.ModuleList(linear(a, b, dtype=dtype) for a, b in pairwise(widths))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer, [records, outputs]."""
        aligned = isinstance(self.layers[0], AlignedLinear)
        values = aligned_rows(inputs, self.input_dtype) if aligned else inputs.to(self.input_dtype)
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
        _case("logistic 30-1, B 256", (30, 1), 256, (2.0, 1.5)),
        _case("MLP 30-64-1, B 256", (30, 64, 1), 256, (2.0, 1.5)),
    ]
    return [line for case in cases for line in step_lines(case, repeats)]


def wide(repeats: int) -> list[Line]:
    """A net of 1.3 million weights, noise included."""
    return step_lines(wide_case(), repeats)


def wide_case(width: int = 256) -> Case:
    """Return the wide net, or one like it."""
    return _case(f"MLP 5000-{width}-5, B 128", (5000, width, 5), 128, (2.5, 1.8))


def _case(
    name: str,
    widths: tuple[int, ...],
    records: int,
    bounds: tuple[float, float],
) -> Case:
    size = sum(fan_in * fan_out + fan_out for fan_in, fan_out in pairwise(widths))
    dtype = torch.float64 if size < FLOAT32_FROM else torch.float32
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(records, widths[0], generator=generator)
    labels = torch.randint(0, 2, (records,), generator=generator).float()
    return Case(
        name,
        plain=lambda: Network(widths, torch.float32),
        private=lambda: (
            FeedForward(list(widths), dtype=dtype)
            if widths[-1] == 1
            else Network(widths, dtype, AlignedLinear)
        ),
        batch=Batch(inputs, labels),
        must=bounds[0],
        aim=bounds[1],
        opacus_aim=5.0,
        inner=1 if widths[0] > 1000 else 20,
    )

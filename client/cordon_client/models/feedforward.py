"""Logistic regression and multi-layer perceptrons on tabular inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from cordon_client.models.aligned import AlignedLinear, aligned_rows
from cordon_client.models.base import PatientModel, tanh_slope

if TYPE_CHECKING:
    from cordon_client.models.base import Aux, Batch


class FeedForward(PatientModel):
    """Linear layers with tanh between them and one logit at the end; float64 outside.

    `widths` = [inputs, hidden …, 1]; two widths are logistic regression. tanh is bounded and smooth,
    which suits clipped gradients (Papernot et al. 2021, "Tempered Sigmoid Activations").
    """

    def __init__(self, widths: list[int], *, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.input_dtype = dtype
        self.layers = nn.ModuleList(
            AlignedLinear(fan_in, fan_out, dtype=dtype) for fan_in, fan_out in pairwise(widths)
        )

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the positive label, [records]."""
        values = aligned_rows(inputs, self.input_dtype)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            values = layer(values)
            if index != last:
                values = torch.tanh(values)
        return values.squeeze(-1).double()

    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return the logistic loss of every record, [records]."""
        return functional.binary_cross_entropy_with_logits(
            self.logits(batch.inputs), batch.labels, reduction="none"
        )

    def layer_traces(
        self,
        batch: Batch,
        weights: torch.Tensor,
        aux: Aux = None,  # noqa: ARG002 - draws nothing
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return (input, gradient of the output) of every layer, as `Analytic` asks."""
        given = [aligned_rows(batch.inputs, self.input_dtype)]
        layers = [cast("AlignedLinear", layer) for layer in self.layers]
        for layer in layers[:-1]:
            given.append(torch.tanh_(layer(given[-1])))
        logits = layers[-1](given[-1]).squeeze(-1).double()
        excess = logits.sigmoid_().sub_(batch.labels).mul_(weights)
        gradients = [excess.to(self.input_dtype).unsqueeze(1)]
        for layer, values in zip(layers[:0:-1], given[:0:-1], strict=True):
            gradients.append(layer.backward_of(gradients[-1]).mul_(tanh_slope(values)))
        return list(zip(given, reversed(gradients), strict=True))

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the predicted probability of the positive label, [records], in [0, 1]."""
        return torch.sigmoid(self.logits(inputs))

"""What the kernel asks of a model: losses and scores per record, and nothing shared between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    Aux = Mapping[str, torch.Tensor] | None
    """Randomness of a step (dropout masks, latents), drawn by the engine, one row per record."""


NORMALS = "normals"
"""Key of standard Gaussian values, [records, normals of the model]."""


@dataclass(frozen=True)
class Batch:
    """Records as tensors: inputs [records, …], float64 or rounded to the model's `input_dtype`;
    labels float64 [records], 0.0 or 1.0.
    """  # noqa: D205 - one sentence

    inputs: torch.Tensor
    labels: torch.Tensor


@runtime_checkable
class Analytic(Protocol):
    """A model that writes its backward pass out itself: no graph, and no loss, is computed."""

    def layer_traces(
        self, batch: Batch, weights: torch.Tensor, aux: Aux
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return (input, gradient of the output) of every layer, in the order of the parameters.

        weights: of every record's loss, float64 [records]. Equal to automatic differentiation up
        to rounding.
        """
        ...


class PatientModel(nn.Module, ABC):
    """A network whose loss for a record depends on that record, the aux row and parameters only.

    Takes and returns float64; what it computes in between may be float32.
    """

    input_dtype: torch.dtype = torch.float32
    """What the model rounds its inputs to before it computes anything of them."""

    normals: int = 0
    """Standard Gaussian values that the loss of a record asks for."""

    block_rows: int = 256
    """Records per block of the engine."""

    @abstractmethod
    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:
        """Return the loss of every record, [records]."""

    @abstractmethod
    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the predicted probability of the positive label, [records], in [0, 1]."""


def tanh_slope(values: torch.Tensor) -> torch.Tensor:
    """Return the derivative of tanh where it has these values."""
    return torch.rsub(values.square(), 1.0)

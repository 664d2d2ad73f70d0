"""A linear layer whose result for a row has the same bits wherever the row stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    import torch

ROW_LANES = 16
"""Rows of a matrix product are padded to a multiple of this many values (128 or 64 bytes)."""


class AlignedLinear(nn.Linear):
    """A linear layer that treats every row alike.

    Matrix kernels take a row that starts off a vector boundary in other pieces, which rounds it
    differently; with rows of odd length that depends on the row's number. Weights that cancel turn
    such a last bit into a whole gradient, so rows start at vector boundaries, in fresh memory.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """Return input · weightᵀ + bias, [rows, outputs]."""
        more_in, more_out = -self.in_features % ROW_LANES, -self.out_features % ROW_LANES
        if not more_in and not more_out:
            return functional.linear(input, self.weight, self.bias)
        product = functional.linear(
            functional.pad(input, (0, more_in)),
            functional.pad(self.weight, (0, more_in, 0, more_out)),
            functional.pad(self.bias, (0, more_out)),
        )
        return product[..., : self.out_features]

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
        return aligned_product(input, self.weight, self.bias)


def aligned_product(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Return rows · weightᵀ + bias, [rows, outputs], every row treated alike."""
    more_in, more_out = -weight.shape[1] % ROW_LANES, -weight.shape[0] % ROW_LANES
    if not more_in and not more_out:
        return functional.linear(rows, weight, bias)
    product = functional.linear(
        functional.pad(rows, (0, more_in)),
        functional.pad(weight, (0, more_in, 0, more_out)),
        bias if bias is None else functional.pad(bias, (0, more_out)),
    )
    return product[..., : weight.shape[0]]

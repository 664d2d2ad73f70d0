"""A linear layer whose result for a row has the same bits wherever the row stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_LANES = 16
"""Rows of a matrix product are padded to a multiple of this many values (128 or 64 bytes)."""


class AlignedLinear(nn.Linear):
    """A linear layer that treats every row alike.

    Matrix kernels take a row that starts off a vector boundary in other pieces, which rounds it
    differently; with rows of odd length that depends on the row's number. Weights that cancel turn
    such a last bit into a whole gradient, so rows start at vector boundaries.
    """

    def __init__(self, fan_in: int, fan_out: int, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(fan_in, fan_out, dtype=dtype)
        self._padding = (0, -fan_in % ROW_LANES, 0, -fan_out % ROW_LANES)
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def keep(self, room: torch.Tensor) -> None:
        """Move the weight into the first corner of zeros of its `aligned_shape`.

        Saves a padded copy in every pass. Whoever writes there leaves the rest zero.
        """
        self.weight.data = room[: self.out_features, : self.in_features]
        self._kept = self.weight, room

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """Return input · weightᵀ + bias, [rows, outputs].

        Rows may come padded with zeros, as `aligned_rows` hands them out.
        """
        product = self.padded_forward(input)
        return product[..., : self.out_features] if self._padding[3] else product

    def padded_forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the same, padded with zeros as by `aligned_rows`."""
        bias = (
            torch.constant_pad_nd(self.bias, self._padding[2:]) if self._padding[3] else self.bias
        )
        return functional.linear(aligned_rows(rows), self._padded_weight(), bias)

    def backward_of(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return gradient · weight, [rows, inputs]: the gradient of the input, every row alike."""
        if self.out_features == 1:
            return gradient * self.weight  # elementwise: nothing that could depend on the place
        product = functional.linear(aligned_rows(gradient), self._padded_weight().mT)
        return product[..., : self.in_features] if self._padding[1] else product

    def _padded_weight(self) -> torch.Tensor:
        weight = self.weight
        if self._kept is not None and weight is self._kept[0] and not weight.requires_grad:
            room = self._kept[1]
            if room.data_ptr() == weight.data_ptr():
                return room
        if self._padding[1] or self._padding[3]:
            return torch.constant_pad_nd(weight, self._padding)
        return weight


def aligned_rows(rows: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return [rows, width], padded with zeros to a multiple of `ROW_LANES`, in a dtype."""
    dtype, width = dtype or rows.dtype, rows.shape[-1]
    more = -width % ROW_LANES
    if not more:
        return rows.to(dtype)
    if dtype == rows.dtype:
        return torch.constant_pad_nd(rows, (0, more))
    padded = rows.new_zeros((*rows.shape[:-1], width + more), dtype=dtype)
    padded[..., :width] = rows
    return padded


def aligned_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a parameter's shape with every axis padded to a multiple of `ROW_LANES`."""
    return tuple(size + -size % ROW_LANES for size in shape)

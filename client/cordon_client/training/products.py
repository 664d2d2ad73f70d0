"""Weight gradients of sequences and convolutions, written out per patient in the model's precision.

A plain step computes the same products, summed over the batch; here they stay apart until they are
clipped. What is clipped and added is the product as computed, whatever its rounding, so a float32
product costs nothing in sensitivity; its norm and the sum over patients are float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.grad import conv1d_weight

from cordon_client.models.aligned import aligned_rows
from cordon_client.training.reductions import add_weighted, rows_of, square_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from cordon_client.training.workspace import Workspace

_WRITTEN_VALUES = 2**23
"""Products of a block are written out up to this many values, even where Gram matrices are smaller."""


class ProductTerms:
    """Gradients [P, …] as computed, and those of a bias, [P, out], if there is one."""

    def __init__(self, products: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Take what was computed, float32 or float64.

        `written` is what is clipped and added as it stands, each [P, …].
        """
        self.written = [products.flatten(1)] if bias is None else [products.flatten(1), bias]
        self._rows = [rows_of(values) for values in self.written]
        self.square = square_norms(self._rows[0])
        for rows in self._rows[1:]:
            self.square += square_norms(rows)
        self.roundings = sum(values.shape[1] for values in self.written) + 8
        self.mass_square = self.square  # a written vector is one term: nothing cancels

    def add_to(self, totals: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Add [Σ c G, Σ c g]."""
        for total, rows in zip(totals, self._rows, strict=True):
            add_weighted(total, rows, factor)


def worth_writing(a: torch.Tensor, g: torch.Tensor) -> bool:
    """Say whether products [P, out, in] are to be written out rather than Gram matrices formed.

    They take the arithmetic of a plain step; Gram matrices take more, and less memory for layers
    that are wide against the length of the sequence.
    """
    patients, steps, fan_in = a.shape
    fan_out = g.shape[2]
    written = fan_in * fan_out
    return written <= steps * (fan_in + fan_out) or patients * written <= _WRITTEN_VALUES


def sequence_products(a: torch.Tensor, g: torch.Tensor, space: Workspace) -> torch.Tensor:
    """Return Σ_s g_s a_sᵀ per patient, [P, out, in], from a [P, S, in] and g [P, S, out]."""
    fan_in, fan_out = a.shape[2], g.shape[2]
    a, g = aligned_rows(a), aligned_rows(g)
    products = space.empty((len(a), g.shape[2], a.shape[2]), a)
    torch.bmm(g.mT, a, out=products)
    return products[:, :fan_out, :fan_in]


def convolution_products(
    conv: nn.Conv1d, a: torch.Tensor, g: torch.Tensor, patients: int, space: Workspace
) -> torch.Tensor:
    """Return a convolution's weight gradient per patient, [P, out, in / groups · kernel].

    a [rows, in, length], g [rows, out, positions]. One record at a time through the same buffers:
    they stay in the cache, and no record's arithmetic can depend on its place.
    """
    (kernel,), (stride,), (dilation,) = conv.kernel_size, conv.stride, conv.dilation
    left, right = _padding(conv, dilation * (kernel - 1) + 1)
    rows, channels, length = a.shape
    record, gradient = a.new_zeros(1, channels, left + length + right), torch.empty_like(g[:1])
    inside = record[0, :, left : left + length]
    products = space.empty((patients, *conv.weight.shape), a)
    for row in range(rows):
        inside.copy_(a[row])
        gradient.copy_(g[row])
        product = conv1d_weight(  # type: ignore[no-untyped-call]
            record, conv.weight.shape, gradient, stride, dilation=dilation, groups=conv.groups
        )
        patient, later = divmod(row * patients, rows)
        if later:
            products[patient] += product
        else:
            products[patient] = product
    return products


def _padding(conv: nn.Conv1d, reach: int) -> tuple[int, int]:
    if conv.padding == "same":
        left = (reach - 1) // 2
        return left, reach - 1 - left
    (width,) = (0,) if isinstance(conv.padding, str) else conv.padding
    return width, width

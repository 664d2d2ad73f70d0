"""Per-layer rules of the one-backward engine: from (input, output gradient) to norms and sums.

A rule reads one layer's input a and output gradient g, both of all rows of a block and in the
model's precision, and returns what the layer contributes per patient. Shapes: P patients, S = rows
per patient · positions per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import nn
from torch.nn import functional

from cordon_client.models.aligned import AlignedLinear
from cordon_client.training.products import (
    ProductTerms,
    convolution_products,
    sequence_products,
    worth_writing,
)
from cordon_client.training.reductions import (
    add_outer,
    add_weighted,
    outer_squares,
    rows_of,
    without,
)
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cordon_client.training.workspace import Workspace


class Terms(Protocol):
    """One layer's gradients of all patients, not necessarily written out.

    square: squared L2 norm per patient, float64 [P]. mass_square: squared sum of the norms of the
    terms before they cancel, [P]. roundings: rounded operations behind `square`, relative to mass.
    """

    square: torch.Tensor
    mass_square: torch.Tensor
    roundings: int

    def add_to(self, totals: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Add Σ factor_p · gradient_p to one flat float64 vector per parameter, in module order.

        A patient with a factor of 0 counts as zero, whose rows may hold NaN or infinity.
        """
        ...


class OuterTerms:
    """Gradients Σ_s g_s a_sᵀ (and Σ_s g_s for a bias) that are never written out.

    The norm is the product of norms when S = 1, else it comes from Gram matrices.
    """

    def __init__(self, a: torch.Tensor, g: torch.Tensor, patients: int, *, bias: bool) -> None:
        """Take a [P · S, in] and g [P · S, out]; what is computed of them is float64."""
        self._a, self._g, self._bias = rows_of(a), rows_of(g), bias
        self._steps = a.shape[0] // patients
        terms = outer_squares(self._a, self._g, bias=bias)
        self.roundings = a.shape[1] + g.shape[1] + 8
        if self._steps == 1:
            self.square = self.mass_square = terms
            return
        self.mass_square = terms.sqrt_().view(patients, -1).sum(dim=1).square_()
        self.roundings += self._steps**2
        a, g = (rows.view(patients, self._steps, -1).double() for rows in (a, g))
        self.square = ((torch.bmm(a, a.mT) + float(bias)) * torch.bmm(g, g.mT)).sum(dim=(1, 2))

    def add_to(self, totals: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Add [Σ c g aᵀ, Σ c g]."""
        weights = factor.repeat_interleave(self._steps) if self._steps > 1 else factor
        add_outer(totals[0], self._a, self._g, weights)
        if self._bias:
            add_weighted(totals[1], self._g, weights)


class WrittenTerms:
    """Gradients written out per record that a patient's are sums of: what the reference engine has."""

    def __init__(self, parts: list[torch.Tensor]) -> None:
        """Take one tensor [P, S, size] per parameter: the terms whose sum over S is the gradient."""
        stacked = torch.cat(parts, dim=2)
        self._sums = [part.sum(dim=1) for part in parts]
        self.square = sum_of_squares(self._sums)
        self.mass_square = torch.linalg.vector_norm(stacked, dim=2).sum(dim=1).square()
        self.roundings = stacked.shape[1] + stacked.shape[2] + 4

    def add_to(self, totals: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Add the weighted sum over patients of every parameter's gradient."""
        for total, part in zip(totals, self._sums, strict=True):
            total.add_(_weigh(part, factor).sum(dim=0))


class LookupTerms:
    """Gradients of an embedding table: row i gets the g of every position that looked up i."""

    def __init__(self, rows: torch.Tensor, g: torch.Tensor) -> None:
        """Take rows int64 [P, S] and g [P, S, width]."""
        self._rows, self._g = rows, g
        same = (rows[:, :, None] == rows[:, None, :]).to(g.dtype)
        self.square = (same * torch.bmm(g, g.mT)).sum(dim=(1, 2))
        self.mass_square = torch.linalg.vector_norm(g, dim=2).sum(dim=1).square()
        self.roundings = g.shape[2] + g.shape[1] ** 2 + 4

    def add_to(self, totals: Sequence[torch.Tensor], factor: torch.Tensor) -> None:
        """Add to the table's gradient, [entries, width]."""
        g = _weigh(self._g, factor)
        totals[0].view(-1, g.shape[2]).index_add_(0, self._rows.flatten(), g.flatten(0, 1))


def sum_of_squares(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return the squared L2 norm over all parts per patient; parts are [P, …]."""
    return torch.stack([part.flatten(1).square().sum(dim=1) for part in parts]).sum(dim=0)


def _weigh(values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return without(values, factor) * factor.view(-1, *[1] * (values.dim() - 1))


def _linear(
    module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int, space: Workspace
) -> Terms:
    width = cast("nn.Linear", module).in_features
    if a.shape[-1] != width:
        a = a[..., :width]  # what lies behind is padding
    bias = isinstance(module.bias, torch.Tensor)
    if a.dim() > 2 or len(a) > patients:
        a, g = a.reshape(patients, -1, width), g.reshape(patients, -1, g.shape[-1])
        if a.shape[1] > 1 and worth_writing(a, g):
            return ProductTerms(sequence_products(a, g, space), g.sum(dim=1) if bias else None)
        a, g = a.flatten(0, 1), g.flatten(0, 1)
    return OuterTerms(a, g, patients, bias=bias)


def _conv1d(
    module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int, space: Workspace
) -> Terms:
    conv = cast("nn.Conv1d", module)
    if conv.padding_mode != "zeros":
        raise ProtocolError("PR040", why="Conv1d with padding other than zeros has no rule")
    products = convolution_products(conv, a, g, patients, space)
    if conv.bias is None:
        return ProductTerms(products, None)
    return ProductTerms(products, g.sum(dim=2).view(patients, -1, g.shape[1]).sum(dim=1))


def _layer_norm(
    module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int, _space: Workspace
) -> Terms:
    norm = cast("nn.LayerNorm", module)
    rows = (patients, -1, norm.weight.numel())
    scaled = functional.layer_norm(a, norm.normalized_shape, eps=norm.eps)
    bias = isinstance(norm.bias, torch.Tensor)
    return ProductTerms(
        (g * scaled).reshape(rows).sum(dim=1), g.reshape(rows).sum(dim=1) if bias else None
    )


def _group_norm(
    module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int, _space: Workspace
) -> Terms:
    norm = cast("nn.GroupNorm", module)
    # [rows, channels, …] → [patients, rows of each, channels, positions]
    parts = (patients, -1, norm.num_channels, a[0, 0].numel())
    scaled = functional.group_norm(a, norm.num_groups, eps=norm.eps)
    return ProductTerms(
        (g * scaled).reshape(parts).sum(dim=(1, 3)), g.reshape(parts).sum(dim=(1, 3))
    )


def _embedding(
    module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int, _space: Workspace
) -> Terms:
    table = cast("nn.Embedding", module)
    if table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
        raise ProtocolError("PR040", why="Embedding with max_norm, frequency scale or sparse")
    g = g.double()
    if table.padding_idx is not None:
        g = g.masked_fill((a == table.padding_idx)[..., None], 0.0)
    return LookupTerms(a.reshape(patients, -1), g.reshape(patients, -1, g.shape[-1]))


RULES: Mapping[
    type[nn.Module], Callable[[nn.Module, torch.Tensor, torch.Tensor, int, Workspace], Terms]
] = {
    nn.Linear: _linear,
    AlignedLinear: _linear,
    nn.Conv1d: _conv1d,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
}
"""Every layer the engine knows; any other kind goes to the reference engine."""

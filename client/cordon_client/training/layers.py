"""Per-layer rules of the one-backward engine: from (input, output gradient) to norms and sums.

A rule reads one layer's input a and output gradient g, both of all rows of a block, and returns
what the layer contributes per patient. Shapes: P patients, S = rows per patient · positions per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import nn
from torch.nn import functional

from cordon_client.models.feedforward import AlignedLinear
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Terms(Protocol):
    """One layer's gradients of all patients, not necessarily written out.

    square: squared L2 norm per patient, float64 [P]. mass_square: squared sum of the norms of the
    terms before they cancel, [P]. roundings: rounded operations behind `square`, relative to mass.
    """

    square: torch.Tensor
    mass_square: torch.Tensor
    roundings: int

    def add_to(
        self, totals: Sequence[torch.Tensor], factor: torch.Tensor, dropped: torch.Tensor | None
    ) -> None:
        """Add Σ factor_p · gradient_p to one flat float64 vector per parameter, in module order.

        dropped: patients whose rows may hold NaN or infinity and count as zero; None if nobody.
        """
        ...


class OuterTerms:
    """Gradients Σ_s g_s a_sᵀ (and Σ_s g_s for a bias): linear maps, also unfolded convolutions.

    Chooses the cheapest of three ways to the norm: the product of norms when S = 1, Gram matrices,
    or the products themselves, which are then kept for the sum.
    """

    def __init__(self, a: torch.Tensor, g: torch.Tensor, *, bias: bool) -> None:
        """Take a [P, S, in] and g [P, S, out]."""
        self._a, self._g, self._bias = a, g, bias
        self._products: torch.Tensor | None = None
        steps, fan_in, fan_out = a.shape[1], a.shape[2], g.shape[2]
        a_square = torch.linalg.vecdot(a, a) + float(bias)
        g_square = torch.linalg.vecdot(g, g)
        terms = a_square * g_square
        if steps == 1:
            self.square = self.mass_square = terms.squeeze(1)
            self.roundings = fan_in + fan_out + 4
            return
        self.mass_square = terms.sqrt().sum(dim=1).square()
        self.roundings = fan_in * fan_out + fan_in + fan_out + steps**2 + 4
        if steps * (fan_in + fan_out) < fan_in * fan_out:
            self.square = ((torch.bmm(a, a.mT) + float(bias)) * torch.bmm(g, g.mT)).sum(dim=(1, 2))
            return
        self._products = torch.bmm(g.mT, a)
        self.square = self._products.square().sum(dim=(1, 2))
        if bias:
            self.square = self.square + g.sum(dim=1).square().sum(dim=1)

    def add_to(
        self, totals: Sequence[torch.Tensor], factor: torch.Tensor, dropped: torch.Tensor | None
    ) -> None:
        """Add [Σ c g aᵀ, Σ c g]."""
        g = _weigh(self._g, factor, dropped)
        matrix = totals[0].view(g.shape[2], -1)
        if self._products is not None:
            matrix += _weigh(self._products, factor, dropped).sum(dim=0)
        else:
            matrix.addmm_(g.flatten(0, 1).mT, _clean(self._a, dropped).flatten(0, 1))
        if self._bias:
            totals[1].add_(g.sum(dim=(0, 1)))


class WrittenTerms:
    """Gradients small enough to write out per patient: normalisation layers."""

    def __init__(self, parts: list[torch.Tensor]) -> None:
        """Take one tensor [P, S, size] per parameter: the terms whose sum over S is the gradient."""
        stacked = torch.cat(parts, dim=2)
        self._sums = [part.sum(dim=1) for part in parts]
        self.square = sum_of_squares(self._sums)
        self.mass_square = torch.linalg.vector_norm(stacked, dim=2).sum(dim=1).square()
        self.roundings = stacked.shape[1] + stacked.shape[2] + 4

    def add_to(
        self, totals: Sequence[torch.Tensor], factor: torch.Tensor, dropped: torch.Tensor | None
    ) -> None:
        """Add the weighted sum over patients of every parameter's gradient."""
        for total, part in zip(totals, self._sums, strict=True):
            total.add_(_weigh(part, factor, dropped).sum(dim=0))


class LookupTerms:
    """Gradients of an embedding table: row i gets the g of every position that looked up i."""

    def __init__(self, rows: torch.Tensor, g: torch.Tensor) -> None:
        """Take rows int64 [P, S] and g [P, S, width]."""
        self._rows, self._g = rows, g
        same = (rows[:, :, None] == rows[:, None, :]).to(g.dtype)
        self.square = (same * torch.bmm(g, g.mT)).sum(dim=(1, 2))
        self.mass_square = torch.linalg.vector_norm(g, dim=2).sum(dim=1).square()
        self.roundings = g.shape[2] + g.shape[1] ** 2 + 4

    def add_to(
        self, totals: Sequence[torch.Tensor], factor: torch.Tensor, dropped: torch.Tensor | None
    ) -> None:
        """Add to the table's gradient, [entries, width]."""
        g = _weigh(self._g, factor, dropped)
        totals[0].view(-1, g.shape[2]).index_add_(0, self._rows.flatten(), g.flatten(0, 1))


def sum_of_squares(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return the squared L2 norm over all parts per patient; parts are [P, …]."""
    return torch.stack([part.flatten(1).square().sum(dim=1) for part in parts]).sum(dim=0)


def _weigh(
    values: torch.Tensor, factor: torch.Tensor, dropped: torch.Tensor | None
) -> torch.Tensor:
    return _clean(values, dropped) * factor.view(-1, *[1] * (values.dim() - 1))


def _clean(values: torch.Tensor, dropped: torch.Tensor | None) -> torch.Tensor:
    """Replace dropped patients' values by exact zeros: 0 · NaN would still be NaN."""
    if dropped is None:
        return values
    return values.masked_fill(dropped.view(-1, *[1] * (values.dim() - 1)), 0.0)


def _linear(module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int) -> Terms:
    return OuterTerms(
        a.reshape(patients, -1, a.shape[-1]),
        g.reshape(patients, -1, g.shape[-1]),
        bias=isinstance(module.bias, torch.Tensor),
    )


def _conv1d(module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int) -> Terms:
    conv = cast("nn.Conv1d", module)
    if conv.groups != 1 or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise ProtocolError("PR040", why="Conv1d with groups or special padding has no rule")
    (kernel,), (stride,), (dilation,) = conv.kernel_size, conv.stride, conv.dilation
    padded = functional.pad(a, (conv.padding[0], conv.padding[0]))
    reach = dilation * (kernel - 1) + 1
    windows = padded.unfold(2, reach, stride)[..., ::dilation]  # [rows, in, positions, kernel]
    columns = windows.permute(0, 2, 1, 3).flatten(2)
    return OuterTerms(
        columns.reshape(patients, -1, columns.shape[-1]),
        g.mT.reshape(patients, -1, g.shape[1]),
        bias=conv.bias is not None,
    )


def _layer_norm(module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int) -> Terms:
    norm = cast("nn.LayerNorm", module)
    size = norm.weight.numel()
    scaled = functional.layer_norm(a, norm.normalized_shape, eps=norm.eps)
    flat_g = g.reshape(patients, -1, size)
    parts = [flat_g * scaled.reshape(patients, -1, size)]
    if isinstance(norm.bias, torch.Tensor):
        parts.append(flat_g)
    return WrittenTerms(parts)


def _group_norm(module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int) -> Terms:
    norm = cast("nn.GroupNorm", module)
    scaled = functional.group_norm(a, norm.num_groups, eps=norm.eps)
    rows = (a.shape[0], norm.num_channels, -1)
    # [rows, channels, positions] → [patients, positions of all rows, channels]
    flat_g, flat_a = (
        x.reshape(rows).mT.reshape(patients, -1, norm.num_channels) for x in (g, scaled)
    )
    return WrittenTerms([flat_g * flat_a, flat_g])


def _embedding(module: nn.Module, a: torch.Tensor, g: torch.Tensor, patients: int) -> Terms:
    table = cast("nn.Embedding", module)
    if table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
        raise ProtocolError("PR040", why="Embedding with max_norm, frequency scale or sparse")
    if table.padding_idx is not None:
        g = g.masked_fill((a == table.padding_idx)[..., None], 0.0)
    return LookupTerms(a.reshape(patients, -1), g.reshape(patients, -1, g.shape[-1]))


RULES: Mapping[type[nn.Module], Callable[[nn.Module, torch.Tensor, torch.Tensor, int], Terms]] = {
    nn.Linear: _linear,
    AlignedLinear: _linear,
    nn.Conv1d: _conv1d,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
}
"""Every layer the engine knows; any other kind goes to the reference engine."""

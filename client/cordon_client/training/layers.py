"""Per-layer rules of the one-backward engine: norms from inputs and output gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Norms:
    """Squared gradient norm of one layer per patient, and what bounds its rounding error.

    square, mass_square: float64 [patients]; mass is the sum of the norms of the terms before they
    cancel. terms: number of rounded operations in `square`, relative to mass_square.
    """

    square: torch.Tensor
    mass_square: torch.Tensor
    terms: int


class LayerRule(Protocol):
    """How one kind of layer turns (input, output gradient) into norms and into gradients."""

    def norms(
        self, module: nn.Module, activation: torch.Tensor, gradient: torch.Tensor, patients: int
    ) -> Norms:
        """Return the norms of the layer's parameter gradient, per patient."""
        ...

    def weighted(
        self, module: nn.Module, activation: torch.Tensor, gradient: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the parameter gradients summed over all rows, in the module's order."""
        ...


class LinearRule:
    """`nn.Linear` on [rows, in] or on sequences [rows, …, in]: gradient = Σ g aᵀ."""

    def norms(
        self, module: nn.Module, activation: torch.Tensor, gradient: torch.Tensor, patients: int
    ) -> Norms:
        """Squared norm |a|²|g|² for one term; by Gram matrices or the product for several."""
        a = activation.reshape(patients, -1, activation.shape[-1])
        g = gradient.reshape(patients, -1, gradient.shape[-1])
        bias = float(_has_bias(module))
        a_square = torch.linalg.vecdot(a, a) + bias
        g_square = torch.linalg.vecdot(g, g)
        steps, fan_in, fan_out = a.shape[1], a.shape[2], g.shape[2]
        mass_square = (a_square * g_square).sqrt().sum(dim=1).square()
        if steps == 1:
            return Norms((a_square * g_square).squeeze(1), mass_square, fan_in + fan_out + 4)
        if steps * (fan_in + fan_out) < fan_in * fan_out:
            gram = (torch.bmm(a, a.mT) + bias) * torch.bmm(g, g.mT)
            square = gram.sum(dim=(1, 2))
        else:
            product = torch.bmm(g.mT, a)
            square = product.square().sum(dim=(1, 2)) + bias * g.sum(dim=1).square().sum(dim=1)
        return Norms(square, mass_square, fan_in * fan_out + fan_in + fan_out + steps**2 + 4)

    def weighted(
        self, module: nn.Module, activation: torch.Tensor, gradient: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return [Σ g aᵀ, Σ g]."""
        a = activation.reshape(-1, activation.shape[-1])
        g = gradient.reshape(-1, gradient.shape[-1])
        parts = [g.mT @ a]
        if _has_bias(module):
            parts.append(g.sum(dim=0))
        return parts


def _has_bias(module: nn.Module) -> bool:
    return isinstance(module.bias, torch.Tensor)


RULES: Mapping[type[nn.Module], LayerRule] = {nn.Linear: LinearRule()}
"""Every layer the engine knows; any other kind goes to the reference engine."""

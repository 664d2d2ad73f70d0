"""Per-patient clipped gradient sums with one backward pass, without per-patient gradients.

Hooks keep every layer's input a; one backward pass gives the gradient g of every layer's output.
A patient's gradient norm follows from a and g alone (Goodfellow 2015; Li et al. 2022, "ghost
clipping"), and the clipped sum is (c · g)ᵀ a. Everything is float64; see PROOF.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from cordon_client.models.base import Batch
from cordon_client.training.layers import RULES
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from torch import nn

    from cordon_client.models.base import Aux, PatientModel
    from cordon_client.training.layers import LayerRule
    from cordon_client.training.packing import PatientBlock

CANCELLATION_LIMIT = 128.0
"""A patient's layer-wise terms may exceed C by this factor before they cancel; beyond, the factor
shrinks further, so that rounding errors stay within the proved slack."""

_ROUND_DOWN = 1.0 - 2.0**-48
_UNIT_ROUNDOFF = 2.0**-53


class ClippedSums(Protocol):
    """An engine: the sum over a block's patients of the clipped mean gradient."""

    def clipped_sum(self, block: PatientBlock, aux: Aux = None) -> torch.Tensor:
        """Return Σ clip(mean gradient of the patient, C), float64 [dimension]."""
        ...


@dataclass
class _Trace:
    """What one layer saw in the current forward pass."""

    module: nn.Module
    rule: LayerRule
    seen: list[tuple[torch.Tensor, torch.Tensor]]


class OneBackward:
    """The one-backward engine for models made of the layers in `layers.RULES`."""

    def __init__(self, model: PatientModel, *, clip_norm: float) -> None:
        """Attach to a model, whose parameters stop requiring gradients.

        Raises:
            ProtocolError: PR040 for a layer without a rule, PR041 for a shared parameter.
        """
        self._model = model
        self._clip_norm = clip_norm
        self._traces = [_Trace(module, rule, []) for module, rule in _layers(model)]
        for trace in self._traces:
            trace.module.register_forward_hook(_recorder(trace))
        model.requires_grad_(requires_grad=False)

    def clipped_sum(self, block: PatientBlock, aux: Aux = None) -> torch.Tensor:
        """Return Σ clip(mean gradient of the patient, C) over the block, float64 [dimension].

        Guarantee: each patient adds a vector of L2 norm ≤ C; one whose gradient is not finite adds
        zero.

        Raises:
            ProtocolError: PR041 when a layer is used more than once in a forward pass.
        """
        for trace in self._traces:
            trace.seen.clear()
        losses = self._model.per_sample_loss(Batch(block.inputs, block.labels), aux)
        layers = [_only(trace) for trace in self._traces]
        gradients = torch.autograd.grad(
            losses, [output for _, output in layers], grad_outputs=block.weights
        )
        with torch.no_grad():
            return self._sum(block, [activation for activation, _ in layers], gradients)

    def _sum(
        self,
        block: PatientBlock,
        activations: list[torch.Tensor],
        gradients: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        square = torch.zeros(block.patients, dtype=torch.float64)
        mass_square = torch.zeros_like(square)
        terms = 0
        for trace, activation, gradient in zip(self._traces, activations, gradients, strict=True):
            norms = trace.rule.norms(trace.module, activation, gradient, block.patients)
            square += norms.square
            mass_square += norms.mass_square
            terms += norms.terms
        factor = clip_factors(square, mass_square, clip_norm=self._clip_norm, terms=terms)
        dropped = factor == 0.0
        parts = []
        for trace, activation, gradient in zip(self._traces, activations, gradients, strict=True):
            clean, scaled = _scaled(activation, gradient, factor, dropped, block.slots)
            parts += trace.rule.weighted(trace.module, clean, scaled)
        return torch.cat([part.reshape(-1) for part in parts])


def clip_factors(
    square: torch.Tensor, mass_square: torch.Tensor, *, clip_norm: float, terms: int
) -> torch.Tensor:
    """Return the factor that brings each patient's gradient to norm ≤ C, rounded down.

    square: computed squared norm [patients]; mass_square: squared sum of the norms of the terms
    before any cancellation; terms: number of rounded operations behind `square`.

    Guarantee: factor · true norm ≤ C and factor · mass ≤ CANCELLATION_LIMIT · C; zero where either
    is not finite.
    """
    slack = 4.0 * terms * _UNIT_ROUNDOFF
    upper = square.clamp(min=0.0) + slack * mass_square
    bound = torch.maximum(upper, mass_square / CANCELLATION_LIMIT**2)
    factor = (clip_norm * _ROUND_DOWN / bound.sqrt()).clamp(max=1.0)
    return torch.where(torch.isfinite(bound), factor, torch.zeros_like(factor))


def float_slack(*, patients: int, rows: int) -> float:
    """Return η: by how much, relative to C, two neighbouring computed sums may differ beyond C.

    Guarantee: 2 · n · (rows per block + blocks + 8) · u · CANCELLATION_LIMIT (Higham 2002, §4.2).
    """
    blocks = math.ceil(patients / max(1, rows)) + math.ceil(math.log2(max(rows, 2)))
    return 2.0 * patients * (rows + blocks + 8) * _UNIT_ROUNDOFF * CANCELLATION_LIMIT


def _scaled(
    activation: torch.Tensor,
    gradient: torch.Tensor,
    factor: torch.Tensor,
    dropped: torch.Tensor,
    slots: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiply each patient's rows by its factor; rows of dropped patients become exact zeros."""
    rows = factor.repeat_interleave(slots) if slots > 1 else factor
    scaled = gradient * _per_row(rows, gradient)
    if not bool(dropped.any()):
        return activation, scaled
    keep = ~(dropped.repeat_interleave(slots) if slots > 1 else dropped)
    clean = torch.where(_per_row(keep, activation), activation, torch.zeros_like(activation))
    return clean, torch.where(_per_row(keep, scaled), scaled, torch.zeros_like(scaled))


def _per_row(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _layers(model: PatientModel) -> list[tuple[nn.Module, LayerRule]]:
    """List the modules that own parameters, in the order of the flat weight vector."""
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if len(names) != len(list(model.parameters())):
        raise ProtocolError("PR041", why="a parameter is used under two names")
    layers: list[tuple[nn.Module, LayerRule]] = []
    for module in model.modules():
        if not list(module.parameters(recurse=False)):
            continue
        rule = RULES.get(type(module))
        if rule is None:
            raise ProtocolError("PR040", why=f"{type(module).__name__} has no rule")
        layers.append((module, rule))
    return layers


def _recorder(trace: _Trace):  # type: ignore[no-untyped-def]  # noqa: ANN202 - torch's hook type
    def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if not output.requires_grad:
            output.requires_grad_()
        trace.seen.append((inputs[0].detach(), output))

    return hook


def _only(trace: _Trace) -> tuple[torch.Tensor, torch.Tensor]:
    if len(trace.seen) != 1:
        raise ProtocolError(
            "PR041", why=f"{type(trace.module).__name__} ran {len(trace.seen)} times in one pass"
        )
    return trace.seen[0]

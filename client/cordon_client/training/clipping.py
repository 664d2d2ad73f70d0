"""Per-patient clipped gradient sums with one backward pass, without per-patient gradients.

Hooks keep every layer's input a; one backward pass gives the gradient g of every layer's output.
A patient's gradient norm follows from a and g alone (Goodfellow 2015; Li et al. 2022, "ghost
clipping"), and the clipped sum is (c · g)ᵀ a. The model may run in float32; norms, factors and sums
are float64 all the same. See PROOF.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from cordon_client.models.base import Analytic, Batch
from cordon_client.training import reductions
from cordon_client.training.layers import RULES
from cordon_client.training.products import ProductTerms
from cordon_client.training.workspace import Workspace
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from cordon_client.models.base import Aux, PatientModel
    from cordon_client.training.layers import Terms
    from cordon_client.training.packing import PatientBlock

CANCELLATION_LIMIT = 128.0
"""A patient's layer-wise terms may exceed C by this factor before they cancel; beyond, the factor
shrinks further, so that rounding errors stay within the proved slack."""

_ROUND_DOWN = 1.0 - 2.0**-48
_UNIT_ROUNDOFF = 2.0**-53


class ClippedSums(Protocol):
    """An engine: the sum over a block's patients of the clipped mean gradient."""

    def add_clipped_sum(self, total: torch.Tensor, block: PatientBlock, aux: Aux = None) -> None:
        """Add Σ clip(mean gradient of the patient, C) to a float64 [dimension] vector."""
        ...


@dataclass
class _Trace:
    """What one layer saw in the current forward pass: (input, output)."""

    module: nn.Module
    parameters: int
    seen: list[tuple[torch.Tensor, torch.Tensor]]


class OneBackward:
    """The one-backward engine for models made of the layers in `layers.RULES`; not thread-safe."""

    def __init__(self, model: PatientModel, *, clip_norm: float) -> None:
        """Attach to a model, whose parameters stop requiring gradients.

        Raises:
            ProtocolError: PR040 for a layer without a rule, PR041 for a shared parameter.
        """
        self._model = model
        self._clip_norm = clip_norm
        self._traces = [_Trace(module, _count(module), []) for module in _layers(model)]
        self._sizes = [parameter.numel() for parameter in model.parameters()]
        self._space = Workspace()
        self._analytic = model if isinstance(model, Analytic) else None
        if self._analytic is None:
            for trace in self._traces:
                trace.module.register_forward_hook(_recorder(trace))
        for parameter in model.parameters():
            parameter.requires_grad = False

    def add_clipped_sum(self, total: torch.Tensor, block: PatientBlock, aux: Aux = None) -> None:
        """Add Σ clip(mean gradient of the patient, C) over the block to total, float64 [dimension].

        Guarantee: each patient adds a vector of L2 norm ≤ C; one whose gradient is not finite adds
        zero.

        Raises:
            ProtocolError: PR041 when a layer is used more than once in a forward pass.
        """
        if block.patients == 0:
            return
        traces = self._passes(Batch(block.inputs, block.labels), block.weights, aux)
        with torch.no_grad():
            terms = self._terms(traces, block.patients)
            factor = clip_factors(terms, clip_norm=self._clip_norm)
            pieces = iter(torch.split_with_sizes(total, self._sizes))
            for trace, term in zip(self._traces, terms, strict=True):
                term.add_to([next(pieces) for _ in range(trace.parameters)], factor)

    def per_patient(self, block: PatientBlock, aux: Aux = None) -> list[torch.Tensor]:
        """Return what must depend on a patient alone, to the bit, each [patients, …].

        The input and output gradient of every layer, and gradients where they are written out.
        """
        traces = self._passes(Batch(block.inputs, block.labels), block.weights, aux)
        with torch.no_grad():
            terms = self._terms(traces, block.patients)
        found = [values for pair in traces for values in pair]
        for term in terms:
            if isinstance(term, ProductTerms):
                found += term.written
        # copies: the next pass writes into the same memory
        return [values.reshape(block.patients, -1).clone() for values in found]

    def _terms(self, traces: list[tuple[torch.Tensor, torch.Tensor]], patients: int) -> list[Terms]:
        self._space.restart(traces[0][1].device)
        return [
            RULES[type(trace.module)](trace.module, inputs, gradient, patients, self._space)
            for trace, (inputs, gradient) in zip(self._traces, traces, strict=True)
        ]

    def _passes(
        self, batch: Batch, weights: torch.Tensor, aux: Aux
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Run forward and backward: (input, gradient of the output) of every layer."""
        if self._analytic is not None:
            with torch.no_grad():
                return self._analytic.layer_traces(batch, weights, aux)
        for trace in self._traces:
            trace.seen.clear()
        losses = self._model.per_sample_loss(batch, aux)
        seen = [_only(trace) for trace in self._traces]
        gradients = torch.autograd.grad(
            losses, [output for _, output in seen], grad_outputs=weights
        )
        return [(inputs, g) for (inputs, _), g in zip(seen, gradients, strict=True)]


def clip_factors(terms: Sequence[Terms], *, clip_norm: float) -> torch.Tensor:
    """Return the factor that brings each patient's gradient to norm ≤ C, rounded down, [P].

    Guarantee: factor · true norm ≤ C, and factor · mass ≤ CANCELLATION_LIMIT · C; zero where a norm
    is not finite.
    """
    slack = 4.0 * sum(term.roundings for term in terms) * _UNIT_ROUNDOFF
    square = _total([term.square for term in terms])
    mass_square = square
    if any(term.mass_square is not term.square for term in terms):
        mass_square = _total([term.mass_square for term in terms])
    bounds = clip_norm * _ROUND_DOWN, CANCELLATION_LIMIT**2
    return reductions.factors(square, mass_square, slack, bounds)


def _total(parts: list[torch.Tensor]) -> torch.Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def float_slack(*, patients: int, records: int, rows: int) -> float:
    """Return η: by how much, relative to C, two neighbouring computed sums may differ beyond C.

    records: at most this many, over all patients; rows: per block. Guarantee: η = 2 n M (R + B + 8)
    u with n patients, M = CANCELLATION_LIMIT, R rows in a block, B blocks (Higham 2002, §4.2); padding
    at most doubles the records, and every kind of block may have one that is not full.
    """
    blocks = math.ceil(2 * records / rows) + math.ceil(math.log2(records + 2))
    return 2.0 * patients * CANCELLATION_LIMIT * (rows + blocks + 8) * _UNIT_ROUNDOFF


def _layers(model: PatientModel) -> list[nn.Module]:
    """List the modules that own parameters, in the order of the flat weight vector."""
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if len(names) != len(list(model.parameters())):
        raise ProtocolError("PR041", why="a parameter is used under two names")
    layers = [module for module in model.modules() if list(module.parameters(recurse=False))]
    for module in layers:
        if type(module) not in RULES:
            raise ProtocolError("PR040", why=f"{type(module).__name__} has no rule")
    return layers


def _count(module: nn.Module) -> int:
    return len(list(module.parameters(recurse=False)))


def _recorder(
    trace: _Trace,
) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
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

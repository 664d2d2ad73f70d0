"""The flat weight vector: the one order of parameters that travels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.aligned import AlignedLinear, aligned_shape
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from torch import nn

    from cordon_client.models.base import PatientModel

    Piece = tuple[slice, torch.Tensor]
    """A part of the travelling vector, and where the model keeps it."""

_WORTH_PADDING = 2**14
"""Values of a parameter from which on a copy of it in every pass costs more than a piece of its own."""

_STEPPED = 2**17
"""Values that a step converts at a time: they stay in the cache."""


class FlatWeights:
    """Moves a model's parameters into one piece of memory, in `named_parameters` order.

    The vector that travels is float64; a model that computes in float32 rounds it when loaded. The
    parameters stay on the model's device. Large ones of an aligned layer are kept with their padding.
    """

    def __init__(self, model: PatientModel) -> None:
        owned = list(_owned(model))
        sizes = [math.prod(_kept_shape(*pair)) for pair in owned]
        first = owned[0][1]
        memory = torch.zeros(sum(sizes), dtype=first.dtype, device=first.device)
        kept = [
            room.view(_kept_shape(*pair))
            for room, pair in zip(memory.split_with_sizes(sizes), owned, strict=True)
        ]
        for (module, parameter), room in zip(owned, kept, strict=True):
            parameter.requires_grad = False
            if isinstance(module, AlignedLinear) and room.shape != parameter.shape:
                module.keep(room)
            else:
                parameter.data = room
        self.size = sum(parameter.numel() for _, parameter in owned)
        self._pieces = list(_pieces([parameter for _, parameter in owned], kept, memory))

    def load(self, weights: npt.NDArray[np.float64]) -> None:
        """Set all parameters; weights float64 [size].

        Raises:
            ProtocolError: PR008 when shape or dtype differ, or a weight is not finite.
        """
        if weights.shape != (self.size,) or weights.dtype != np.float64:
            raise ProtocolError("PR008", why=f"the model has {self.size} parameters")
        if not math.isfinite(float(weights.min()) + float(weights.max())):
            raise ProtocolError("PR008", why="a weight is not finite")
        for part, values in self._pieces:
            # rounded before it goes to a device, so that all devices start from the same bits
            rounded = torch.from_numpy(weights[part]).to(values.dtype)
            values.copy_(rounded.view(values.shape))

    def step(self, direction: npt.NDArray[np.int64], scale: float) -> None:
        """Subtract scale · direction, an integer vector [size], as a descent step does."""
        for part, values in self._pieces:
            downhill = torch.from_numpy(direction[part]).view(values.shape)
            if values.numel() <= _STEPPED:
                values.sub_(downhill.to(values.device), alpha=scale)
                continue
            rows = max(1, _STEPPED * values.shape[0] // values.numel())
            for some, down in zip(
                torch.split(values, rows), torch.split(downhill, rows), strict=True
            ):
                some.sub_(down.to(values.device), alpha=scale)

    def read(self) -> npt.NDArray[np.float64]:
        """Return a copy of all parameters, float64 [size]."""
        found = np.empty(self.size)
        for part, values in self._pieces:
            found[part] = values.cpu().numpy().ravel()
        return found


def _owned(model: PatientModel) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """Yield (owner, parameter), every parameter once, in `named_parameters` order."""
    seen = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield module, parameter


def _kept_shape(module: nn.Module, parameter: nn.Parameter) -> tuple[int, ...]:
    shape = tuple(parameter.shape)
    if isinstance(module, AlignedLinear) and len(shape) > 1 and math.prod(shape) >= _WORTH_PADDING:
        return aligned_shape(shape)
    return shape


def _pieces(
    parameters: list[nn.Parameter], kept: list[torch.Tensor], memory: torch.Tensor
) -> Iterator[Piece]:
    """Yield every padded parameter by itself, and the others between two such in one piece."""
    start = stop = begins = ends = 0
    for parameter, room in zip(parameters, kept, strict=True):
        if room.shape == parameter.shape:
            stop, ends = stop + parameter.numel(), ends + room.numel()
            continue
        if stop > start:
            yield slice(start, stop), memory[begins:ends]
        yield slice(stop, stop + parameter.numel()), parameter.data
        start = stop = stop + parameter.numel()
        begins = ends = ends + room.numel()
    if stop > start:
        yield slice(start, stop), memory[begins:ends]

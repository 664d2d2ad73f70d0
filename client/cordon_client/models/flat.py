"""The flat weight vector: the one order of parameters that travels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.models.base import PatientModel


class FlatWeights:
    """Makes a model's parameters views of one vector, in `named_parameters` order.

    The vector that travels is float64; a model that computes in float32 rounds it when loaded. The
    parameters stay on the model's device.
    """

    def __init__(self, model: PatientModel) -> None:
        parameters = list(model.parameters())
        self.size = sum(parameter.numel() for parameter in parameters)
        self._host = torch.zeros(self.size, dtype=parameters[0].dtype)
        self._vector = self._host.to(parameters[0].device)
        offset = 0
        for parameter in parameters:
            count = parameter.numel()
            parameter.requires_grad = False
            parameter.data = self._vector[offset : offset + count].view(parameter.shape)
            offset += count

    def load(self, weights: npt.NDArray[np.float64]) -> None:
        """Set all parameters; weights float64 [size].

        Raises:
            ProtocolError: PR008 when shape or dtype differ, or a weight is not finite.
        """
        if weights.shape != (self.size,) or weights.dtype != np.float64:
            raise ProtocolError("PR008", why=f"the model has {self.size} parameters")
        if not math.isfinite(float(weights.min()) + float(weights.max())):
            raise ProtocolError("PR008", why="a weight is not finite")
        np.copyto(self._host.numpy(), weights, casting="same_kind")
        if self._vector is not self._host:
            self._vector.copy_(self._host)

    def step(self, direction: npt.NDArray[np.int64], scale: float) -> None:
        """Subtract scale · direction, an integer vector [size], as a descent step does."""
        self._vector.sub_(torch.from_numpy(direction).to(self._vector.device), alpha=scale)

    def read(self) -> npt.NDArray[np.float64]:
        """Return a copy of all parameters, float64 [size]."""
        return np.array(self._vector.cpu().numpy(), dtype=np.float64)

"""What a model's loss draws for itself (latent values), from the cryptographic generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cordon_client.models.base import NORMALS
from cordon_client.training.device import CPU
from cordon_client.training.noise import rounded_gaussian

if TYPE_CHECKING:
    from cordon_client.models.base import Aux, PatientModel

_STEPS = 2.0**20
"""Grid steps per standard deviation."""


def draw_aux(model: PatientModel, records: int, device: torch.device = CPU) -> Aux:
    """Return fresh standard Gaussian values for every record, or None for a model that needs none.

    Guarantee: independent of all records, so a record's loss depends on that record, its own draw
    and the weights; the draws are neither kept nor released.
    """
    if not model.normals:
        return None
    values = rounded_gaussian(records * model.normals, std=_STEPS)
    return {NORMALS: torch.from_numpy(values / _STEPS).view(records, model.normals).to(device)}

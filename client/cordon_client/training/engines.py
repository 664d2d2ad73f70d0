"""Which engine clips a model: the one-backward engine where it can, the reference where it must."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.training.clipping import OneBackward
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from cordon_client.models.base import PatientModel
    from cordon_client.training.clipping import ClippedSums


def engine_for(model: PatientModel, *, clip_norm: float) -> ClippedSums:
    """Return an engine for a model; parameters shared between layers are refused, not worked around.

    Raises:
        ProtocolError: PR041 for shared parameters, PR042 for layers that mix records.
    """
    try:
        return OneBackward(model, clip_norm=clip_norm)
    except ProtocolError as error:
        if error.code != "PR040":
            raise
    # opacus takes seconds to import and most studies never need it
    from cordon_client.training.opacus_engine import PerRecordHooks

    return PerRecordHooks(model, clip_norm=clip_norm)

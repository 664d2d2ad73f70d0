"""The digest under which weights are asked on, logged and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.wire import arrays_digest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def weights_digest(weights: npt.NDArray[np.float64]) -> str:
    """Return the digest of a flat weight vector, as requests carry it."""
    return arrays_digest({"weights": weights})

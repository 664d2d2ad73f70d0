"""What a round of releases does to the model: the one place where the algorithms part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.privacy.schedule import gradient_grid, update_grid
from cordon_common.protocol.study import FedAvg
from cordon_server import optimizer
from cordon_server.aggregate import dequantise, mean_gradient
from cordon_server.strategies import combine

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from cordon_common.protocol.study import Study


def advance(
    state: optimizer.OptimizerState, releases: Mapping[str, npt.NDArray[np.int64]], study: Study
) -> optimizer.OptimizerState:
    """Apply one round's releases, int64 [dimension] per site; post-processing.

    Raises:
        SystemFault: SY043 when the sum leaves the range of integers.
        ProtocolError: PR008 when a release does not fit the weights.
    """
    training = study.training
    if isinstance(training, FedAvg):
        gamma = update_grid(training)
        updates = {
            site: dequantise(values, grid_per_unit=gamma) for site, values in releases.items()
        }
        return combine(state, updates, study, training)
    gradient = mean_gradient(
        releases.values(),
        grid_per_unit=gradient_grid(training),
        divisor=training.divisor,
    )
    return optimizer.step(state, gradient, study)

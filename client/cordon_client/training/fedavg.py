"""One round of DP-FedAvg at one site: private gradient steps, then the change of the weights leaves
(McMahan et al. 2017 and 2018; proximal term: Li et al. 2020, FedProx).

Every step is a release of its own in the account: clipped sum, rounded, noised, exactly as in
DP-FedSGD. From these integers and public numbers everything else follows, so that what leaves is
post-processing: no batch size, loss or norm of exact gradients enters it. See PROOF.md, section 6.
"""  # noqa: D205 - one sentence

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training.noise import encode_grid, release_over
from cordon_common.errors import ProtocolError
from cordon_common.privacy.events import mechanism_runs
from cordon_common.privacy.schedule import gradient_grid, update_grid
from cordon_common.protocol.strategies import Proximal
from cordon_common.protocol.study import FedAvg, Poisson

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.training.fedsgd import PatientSums
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study

    Vector = npt.NDArray[np.float64]


def release_update(
    sums: PatientSums, weights: Vector, study: Study, event: Event, *, share: float
) -> npt.NDArray[np.int64]:
    """Return the site's change of the weights on the integer grid, int64 [dimension].

    event: the training event that the ledger has reserved for this very release; as many steps are
    taken as it charges. share: the site's public share of all patients (`schedule.site_weight`).

    Raises:
        ProtocolError: PR008 when the weights do not fit the model or the algorithm, or a step left
            the real numbers.
        SystemFault: SY041 when the update does not fit the grid.
    """
    training = study.training
    if not isinstance(training, FedAvg):
        raise ProtocolError("PR008", why="the study is not one of dp-fedavg")
    local = weights.copy()
    for _ in range(mechanism_runs(event)):
        noised = _noised_gradient(sums.at(local), training, event, share)
        local = local - training.local_learning_rate * (
            noised + _pull(training) * (local - weights)
        )
    return encode_grid(
        bounded(local - weights, training.update_norm), grid_per_unit=update_grid(training)
    )


def bounded(change: Vector, update_norm: float) -> Vector:
    """Return the change of the weights, shortened to `update_norm` in L2 where it is longer."""
    length = float(np.linalg.norm(change))
    return change if length <= update_norm else change * (update_norm / length)


def _noised_gradient(total: Vector, training: FedAvg, event: Event, share: float) -> Vector:
    """Noise an exact sum and divide it by the public number of patients that are expected in it."""
    gamma = gradient_grid(training)
    integers = release_over(total, grid_per_unit=gamma, noise_std_grid=event.noise_std_grid)
    rate = training.sampling.rate if isinstance(training.sampling, Poisson) else 1.0
    gradient: Vector = integers / (gamma * training.divisor * share * rate)
    return gradient


def _pull(training: FedAvg) -> float:
    return training.strategy.proximal_mu if isinstance(training.strategy, Proximal) else 0.0

"""What a logistic model says about each input, and how far privacy noise alone can move it.

The bound: with gradient descent (momentum m, rate η), noise e_r of round r moves the iterate k rounds
later by η h_k e_r with h_k = (1 - m^(k+1)) / (1 - m), when the loss is flat. Curvature λ ≥ 0 only
pulls back: for a locally quadratic loss and a stable step (η λ ≤ 2 (1 + m)) the response along an
eigenvector is m^(k/2) U_k(x), U_k the Chebyshev polynomial of the second kind, with |x| ≤ x_0 and
x_0 = (1 + m) / (2 √m) ≥ 1 the flat case; |U_k| on [-x_0, x_0] is largest at x_0. So the flat response
bounds every curved one, the covariance is below a multiple of the identity, and the standard
deviation of each weight is at most the one computed here (exact when flat). The gradient of a
clipped logistic loss is that of another convex function (Song, Steinke, Thakkar, Thakurta 2021).
Adam rescales by the data: no bound is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.protocol.layout import input_columns
from cordon_common.protocol.study import FedSgd, Sgd
from cordon_server.optimizer import first_tail_round

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from cordon_common.protocol.study import Study

Z95 = 1.959964


@dataclass(frozen=True)
class Coefficient:
    """One input of a logistic model: log-odds per unit of the scaled input.

    noise_std: upper bound on the standard deviation that privacy noise alone gives it; None when no
    bound is known. It does not include the uncertainty of having seen these patients only.
    """

    name: str
    value: float
    noise_std: float | None

    @property
    def clear_of_noise(self) -> bool | None:
        """Whether 95 % of the noise, at its bound, leaves the sign as it is."""
        return None if self.noise_std is None else abs(self.value) > Z95 * self.noise_std


def coefficients(
    study: Study, weights: npt.NDArray[np.float64], sites_per_round: Sequence[int]
) -> tuple[Coefficient, ...]:
    """Read the coefficients of a logistic model from its flat weights, bias left out.

    sites_per_round: how many releases each executed round summed. Empty for other model families.
    """
    if study.model.family != "logistic":
        return ()
    std = noise_std_bound(study, sites_per_round)
    columns = input_columns(study.cohort)
    return tuple(
        Coefficient(column.label, float(weight), std)
        for column, weight in zip(columns, weights[: len(columns)], strict=True)
    )


def noise_std_bound(study: Study, sites_per_round: Sequence[int]) -> float | None:
    """Return the bound on the noise of one averaged weight, None for Adam and DP-FedAvg."""
    training = study.training
    if not isinstance(training, FedSgd) or not isinstance(training.optimizer, Sgd):
        return None
    release_std = planned_events(study).training.noise_std_grid / release_grid(study).training
    rounds = len(sites_per_round)
    first_kept = min(first_tail_round(training.rounds, training.tail_fraction), rounds - 1)
    variance = 0.0
    for number, sites in enumerate(sites_per_round):
        kept = range(max(number, first_kept), rounds)
        response = math.fsum(_momentum_sum(training.optimizer.momentum, k - number) for k in kept)
        gain = training.optimizer.learning_rate * response / (rounds - first_kept)
        variance += sites * (gain * release_std / training.divisor) ** 2
    return math.sqrt(variance)


def _momentum_sum(momentum: float, rounds_later: int) -> float:
    return (1 - momentum ** (rounds_later + 1)) / (1 - momentum)

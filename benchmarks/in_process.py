"""A whole federation in one process: the sites' and the coordinator's own code, without transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.models.registry import initial_weights
from cordon_client.training.fedsgd import release_round, round_sum
from cordon_client.training.noise import encode_grid
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_server.aggregate import mean_gradient
from cordon_server.optimizer import averaged_weights, start, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study

    Vector = npt.NDArray[np.float64]


def train(study: Study, sites: Sequence[Tensors], *, private: bool) -> Vector:
    """Run all rounds over the sites' training patients; return the final weights [dimension].

    private: add each site's noise (local trust); else the same path without it.
    """
    event = planned_events(study).training
    gamma = release_grid(study).training
    state = start(initial_weights(study))
    for _ in range(study.training.rounds):
        if private:
            releases = [release_round(site, state.weights, study, event) for site in sites]
        else:
            releases = [
                encode_grid(round_sum(site, state.weights, study), grid_per_unit=gamma)
                for site in sites
            ]
        gradient = mean_gradient(releases, grid_per_unit=gamma, divisor=study.training.divisor)
        state = step(state, gradient, study)
    return averaged_weights(state)


def rank_auc(scores: Vector, labels: Vector) -> float:
    """Return the exact area under the ROC curve (Mann-Whitney), ties counted half."""
    order = np.argsort(scores, kind="stable")
    values, first, counts = np.unique(scores[order], return_index=True, return_counts=True)
    del values
    ranks = np.empty(scores.size)
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    positives = labels == 1
    n_positive, n_negative = int(positives.sum()), int((~positives).sum())
    wins = ranks[positives].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))

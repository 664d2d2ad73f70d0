"""A whole federation in one process: the sites' and the coordinator's own code, without transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.models.registry import initial_weights
from cordon_client.training.fedsgd import PatientSums
from cordon_client.training.noise import encode_grid, release_over
from cordon_common.privacy.schedule import gradient_grid, planned_events
from cordon_server.optimizer import averaged_weights, start
from cordon_server.rounds import advance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study

    Vector = npt.NDArray[np.float64]


def train(study: Study, sites: Sequence[Tensors], *, private: bool) -> Vector:
    """Run all rounds over the sites' training patients; return the final weights [dimension].

    private: each site adds its noise, by itself (local trust) or its share of the sum's
    (secure-sum; masks cancel and are left out); else the same path without it.
    """
    event = planned_events(study).training
    gamma = gradient_grid(study.training)
    sums = [PatientSums(site, study) for site in sites]
    state = start(initial_weights(study))
    for _ in range(study.training.rounds):
        totals = [site.at(state.weights) for site in sums]
        releases = {
            str(number): release_over(
                total, grid_per_unit=gamma, noise_std_grid=event.noise_std_grid
            )
            if private
            else encode_grid(total, grid_per_unit=gamma)
            for number, total in enumerate(totals)
        }
        state = advance(state, releases, study)
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

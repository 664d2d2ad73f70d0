"""What a site could do alone, without noise: for its own report, never for release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.base import Batch
from cordon_client.models.registry import build, initial_weights
from cordon_client.training.scoring import patient_scores
from cordon_common.evaluation import exact_auc
from cordon_common.protocol.models import Tabular

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.models.base import PatientModel
    from cordon_client.records import Tensors
    from cordon_common.evaluation import AucEstimate
    from cordon_common.protocol.study import Study

    Vector = npt.NDArray[np.float64]

MAX_ITERATIONS = 300
MAX_ITERATIONS_DEEP = 60
"""Of models whose steps are long; they differ little after that."""

RIDGE = 1.0
"""Penalty RIDGE / 2 · |weights|² on the sum of losses (biases free): logistic regression's usual 1."""


@dataclass(frozen=True)
class SiteModels:
    """Exact AUC on the site's held-out patients; stays at the site.

    federated: the study's model; alone: one that saw this site's training patients only.
    """

    federated: AucEstimate
    alone: AucEstimate


def compare_on_holdout(
    train: Tensors, holdout: Tensors, federated_weights: Vector, study: Study
) -> SiteModels:
    """Score the study's model and the site's own one on the same held-out patients.

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
    """
    confidence = study.evaluation.confidence
    federated, alone = (
        exact_auc(*patient_scores(holdout, weights, study), confidence=confidence)
        for weights in (federated_weights, train_alone(train, study))
    )
    return SiteModels(federated, alone)


def train_alone(train: Tensors, study: Study) -> Vector:
    """Return the weights of the study's model fitted to one site without noise, float64 [dimension].

    Same inputs and family as the study; full-batch L-BFGS with strong Wolfe line search on the sum
    over patients of their mean loss plus a fixed ridge, from the study's initial weights. Repeats
    bit for bit.
    """
    model = build(study)
    names = [name for name, _ in model.named_parameters()]
    parameters = list(model.parameters())
    start = torch.tensor(initial_weights(study), dtype=parameters[0].dtype)
    torch.nn.utils.vector_to_parameters(start, parameters)
    batch = Batch(torch.tensor(train.inputs), torch.tensor(train.labels))
    share = torch.tensor(_record_shares(train))
    iterations = MAX_ITERATIONS if isinstance(study.model, Tabular) else MAX_ITERATIONS_DEEP
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=iterations, line_search_fn="strong_wolfe", tolerance_grad=1e-8
    )

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        loss = _penalised_loss(model, names, batch, share)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    fitted: Vector = torch.nn.utils.parameters_to_vector(parameters).detach().double().numpy()
    return np.where(np.isfinite(fitted), fitted, 0.0)


def _penalised_loss(
    model: PatientModel, names: list[str], batch: Batch, share: torch.Tensor
) -> torch.Tensor:
    loss = torch.dot(share, model.per_sample_loss(batch, None))
    for name, parameter in zip(names, model.parameters(), strict=True):
        if name.endswith("weight"):
            loss = loss + RIDGE / 2 * parameter.square().sum()
    return loss


def _record_shares(tensors: Tensors) -> Vector:
    """Return 1 / (records of the patient) for every record."""
    records = np.bincount(tensors.patients, minlength=tensors.n_patients)
    shares: Vector = 1.0 / records[tensors.patients]
    return shares

"""Scores of held-out patients as one histogram on public bins; exact counts, never released raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import build
from cordon_client.training.packing import patient_blocks
from cordon_common.evaluation import HISTOGRAM_ROWS, bin_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study


def score_counts(
    tensors: Tensors, weights: npt.NDArray[np.float64], study: Study
) -> npt.NDArray[np.float64]:
    """Count patients by label and score bin, float64 [2 · bins], negatives first.

    Guarantee: a patient is in exactly one cell, chosen by that patient's records alone, so that
    adding one patient moves the vector by 1 in L2. A score that is not finite counts as 0.

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
    """
    bins = study.evaluation.bins
    scores, labels = patient_scores(tensors, weights, study)
    cells = labels.astype(np.int64) * bins + bin_of(scores, bins)
    return np.bincount(cells, minlength=HISTOGRAM_ROWS * bins).astype(np.float64)


def patient_scores(
    tensors: Tensors, weights: npt.NDArray[np.float64], study: Study
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (scores, labels) of all patients, float64 [patients] each, in one common order.

    A patient's score is the mean over the records; the label is 1 when at least half of the records
    are positive. Stays at the site.

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
    """
    model = build(study)
    FlatWeights(model).load(weights)
    everyone = np.ones(tensors.n_patients, dtype=np.bool_)
    scores, labels = [np.empty(0)], [np.empty(0)]
    for block in patient_blocks(
        tensors,
        everyone,
        cap=study.cohort.max_records_per_patient,
        rows=model.block_rows,
        dtype=model.input_dtype,
    ):
        with torch.no_grad():
            score = torch.nan_to_num(model.scores(block.inputs), nan=0.0)
        share = block.weights.view(block.patients, block.slots)
        present = share.sum(dim=1) > 0
        for values, means in ((score, scores), (block.labels, labels)):
            mean = (values.view_as(share) * share).sum(dim=1)
            means.append(mean[present].numpy())
    return np.concatenate(scores), (np.concatenate(labels) >= 0.5).astype(np.float64)

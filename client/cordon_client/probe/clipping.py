"""Can one patient move a release by more than the clip norm, or look at another patient?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.base import Batch
from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import build
from cordon_client.probe.mechanism import joined, patients
from cordon_client.records import Tensors
from cordon_client.training.engines import engine_for
from cordon_client.training.validation import check_model
from cordon_common.audit.result import judge
from cordon_common.errors import ProtocolError

if TYPE_CHECKING:
    from cordon_client.probe.mechanism import Mechanism, Vector
    from cordon_common.audit.result import Row

_OTHERS = 24
_DIVISOR_ERROR = 1e-4
"""Relative; models that compute in float32 inside stay well below it."""

HOSTILE: dict[str, float] = {
    "inputs × 10⁶": 1e6,
    "inputs × 10²⁰⁰": 1e200,
    "inputs × -10⁶": -1e6,
    "not a number": float("nan"),
    "infinite": float("inf"),
}


def clipping_rows(mechanism: Mechanism, generator: np.random.Generator) -> tuple[Row, ...]:
    """Judge clipping, the divisor and the coupling of patients."""
    weights = mechanism.weights(generator)
    others = patients(mechanism.study, generator, count=_OTHERS)
    return (
        _hostile_row(mechanism, others, weights, generator),
        _records_row(mechanism, others, weights, generator),
        _divisor_row(mechanism, others, weights),
        _coupling_row(mechanism, generator),
    )


def _hostile_row(
    mechanism: Mechanism, others: Tensors, weights: Vector, generator: np.random.Generator
) -> Row:
    problems, largest = [], 0.0
    for name, factor in HOSTILE.items():
        for _ in range(4):
            hostile = scaled(patients(mechanism.study, generator, count=1), factor)
            moved = _moved(mechanism, others, hostile, weights)
            largest = max(largest, moved) if np.isfinite(moved) else np.inf
            if not moved <= mechanism.largest_norm:
                problems.append(f"a patient with {name} moves the sum by {moved:.3g}")
            elif not np.isfinite(factor) and moved > 0:
                problems.append(f"a patient with {name} values still contributes {moved:.3g}")
    clip = mechanism.study.training.clip_norm
    return judge(
        "clipping",
        f"no patient moves the clipped sum by more than the clip norm {clip:g}",
        f"{4 * len(HOSTILE)} hostile patients, the largest moved it by {largest:.4g}",
        problems=problems,
    )


def _records_row(
    mechanism: Mechanism, others: Tensors, weights: Vector, generator: np.random.Generator
) -> Row:
    """A patient with many hostile records is still one patient."""
    problems = []
    hostile = scaled(patients(mechanism.study, generator, count=1, records=12), 1e6)
    moved = _moved(mechanism, others, hostile, weights)
    if not moved <= mechanism.largest_norm:
        problems.append(f"a patient with 12 records moves the sum by {moved:.3g}")
    return judge(
        "unit",
        "the unit is the patient: twelve records move no more than one",
        f"12 hostile records of one patient moved the sum by {moved:.4g}",
        problems=problems,
    )


def _divisor_row(mechanism: Mechanism, others: Tensors, weights: Vector) -> Row:
    """Take one patient away: what is missing must be this patient's own contribution."""
    last = others.n_patients - 1
    alone = only(others, others.patients == last)
    rest = only(others, others.patients != last)
    missing = mechanism.whole_sum(others, weights) - mechanism.whole_sum(rest, weights)
    own = mechanism.whole_sum(alone, weights)
    apart = float(np.linalg.norm(missing - own))
    allowed = _DIVISOR_ERROR * mechanism.study.training.clip_norm
    return judge(
        "divisor",
        "the sum is divided by nothing that depends on the cohort",
        f"without one of {others.n_patients} patients exactly that contribution is missing "
        f"(difference {apart:.1e})",
        problems=() if apart <= allowed else (f"the others' contributions move by {apart:.3g}",),
    )


def _coupling_row(mechanism: Mechanism, generator: np.random.Generator) -> Row:
    some = patients(mechanism.study, generator, count=6)
    model = build(mechanism.study)
    FlatWeights(model).load(mechanism.weights(generator))
    batch = Batch(torch.from_numpy(some.inputs), torch.from_numpy(some.labels))
    try:
        check_model(model, lambda m, clip: engine_for(m, clip_norm=clip), batch)
    except ProtocolError as error:
        return judge("coupling", _COUPLING, "", problems=(error.why or error.what,))
    return judge("coupling", _COUPLING, "losses, gradients, empty batches and buffers compared")


_COUPLING = "no patient's loss depends on another patient, and the engine equals a loop"


def _moved(mechanism: Mechanism, others: Tensors, one: Tensors, weights: Vector) -> float:
    """Return by how much one more patient moves the sum, L2; NaN when it is not finite."""
    with_one = mechanism.whole_sum(joined(others, one), weights)
    return float(np.linalg.norm(with_one - mechanism.whole_sum(others, weights)))


def scaled(tensors: Tensors, factor: float) -> Tensors:
    """Multiply a cohort's inputs."""
    with np.errstate(invalid="ignore", over="ignore"):
        inputs = tensors.inputs * factor
    return Tensors(inputs, tensors.labels, tensors.patients, tensors.n_patients)


def only(tensors: Tensors, rows: np.ndarray) -> Tensors:
    """Keep some records; patients are numbered anew."""
    kept, numbers = np.unique(tensors.patients[rows], return_inverse=True)
    return Tensors(tensors.inputs[rows], tensors.labels[rows], numbers.astype(np.int64), len(kept))

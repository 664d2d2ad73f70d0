"""The training mechanism as the vault calls it, and made-up patients to feed it.

The probe never touches the hospital's data: it needs the study's dictionary alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.models.registry import initial_weights
from cordon_client.records import Tensors
from cordon_client.training import fedsgd
from cordon_client.training.noise import encode_grid
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.privacy.sensitivity import FLOAT_SLACK
from cordon_common.protocol.layout import dimension, input_columns
from cordon_common.protocol.study import FullBatch, Poisson, Study

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.privacy.events import Event

    Vector = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mechanism:
    """One study's training release at one site; every call runs the vault's own code."""

    study: Study
    event: Event

    @classmethod
    def of(cls, study: Study) -> Mechanism:
        """Take the mechanism that the study implies.

        Raises:
            ProtocolError: PR007 when the study carries no noise multipliers.
        """
        return cls(study, planned_events(study).training)

    @property
    def sample_rate(self) -> float:
        """Chance of a patient to take part in a round; 1 for full batch."""
        sampling = self.study.training.sampling
        return sampling.rate if isinstance(sampling, Poisson) else 1.0

    @property
    def largest_norm(self) -> float:
        """What one patient may move the clipped sum by, L2, in gradient units."""
        return self.study.training.clip_norm * (1 + FLOAT_SLACK)

    def release(self, tensors: Tensors, weights: Vector) -> Integers:
        """Make one release, as the vault would: sampled, clipped, summed, rounded, noised."""
        return fedsgd.release_round(tensors, weights, self.study, self.event)

    def sampled_sum(self, tensors: Tensors, weights: Vector) -> Vector:
        """Return the clipped sum before rounding and noise, over those whom sampling picks."""
        return fedsgd.round_sum(tensors, weights, self.study)

    def whole_sum(self, tensors: Tensors, weights: Vector) -> Vector:
        """Return the clipped sum over everybody, whatever the study samples."""
        training = self.study.training.model_copy(update={"sampling": FullBatch()})
        return fedsgd.round_sum(
            tensors, weights, self.study.model_copy(update={"training": training})
        )

    def on_grid(self, values: Vector) -> Integers:
        """Round gradient units to steps of the release's grid."""
        return encode_grid(values, grid_per_unit=release_grid(self.study).training)

    def weights(self, generator: np.random.Generator) -> Vector:
        """Return weights as an adversary may choose them: near where the study starts."""
        return initial_weights(self.study) + 0.1 * generator.standard_normal(dimension(self.study))


def nobody(study: Study) -> Tensors:
    """Return a cohort without patients: a release on it is pure noise."""
    return patients(study, np.random.default_rng(0), count=0)


def patients(
    study: Study, generator: np.random.Generator, *, count: int, records: int = 1
) -> Tensors:
    """Make up patients in the study's own shape, `records` records each, inputs in [-1, 1]."""
    width = len(input_columns(study.cohort))
    rows = count * records
    return Tensors(
        inputs=generator.uniform(-1, 1, size=(rows, width)),
        labels=generator.integers(0, 2, size=rows).astype(np.float64),
        patients=np.repeat(np.arange(count, dtype=np.int64), records),
        n_patients=count,
    )


def joined(first: Tensors, second: Tensors) -> Tensors:
    """Put two cohorts together."""
    return Tensors(
        inputs=np.concatenate([first.inputs, second.inputs]),
        labels=np.concatenate([first.labels, second.labels]),
        patients=np.concatenate([first.patients, second.patients + first.n_patients]),
        n_patients=first.n_patients + second.n_patients,
    )


def repeated(one: Tensors, times: int) -> Tensors:
    """Make `times` patients with the same records."""
    records = len(one.labels)
    return Tensors(
        inputs=np.tile(one.inputs, (times, 1)),
        labels=np.tile(one.labels, times),
        patients=np.repeat(np.arange(times, dtype=np.int64), records),
        n_patients=times,
    )

"""The training mechanism as the vault calls it, and made-up patients to feed it.

The probe never touches the hospital's data: it needs the study's dictionary alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.models.registry import initial_weights
from cordon_client.records import Tensors
from cordon_client.training import fedavg, fedsgd
from cordon_client.training.noise import encode_grid
from cordon_common.privacy.events import LocalStepsRelease
from cordon_common.privacy.schedule import gradient_grid, planned_events, site_weight, update_grid
from cordon_common.privacy.sensitivity import FLOAT_SLACK
from cordon_common.protocol.layout import dimension, input_columns
from cordon_common.protocol.study import FedAvg, FullBatch, Poisson, Study

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.privacy.events import Event

    Vector = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


_MOST_PATIENTS = 200
"""Made-up cohorts are smaller."""


@dataclass(frozen=True)
class Mechanism:
    """One noised gradient step of a study at one site; every call runs the vault's own code.

    event: one step's, whatever the algorithm; a round of DP-FedAvg makes `steps_per_round` of them.
    """

    study: Study
    event: Event
    steps_per_round: int = 1

    @classmethod
    def of(cls, study: Study) -> Mechanism:
        """Take the mechanism that the study implies.

        Raises:
            ProtocolError: PR007 when the study carries no noise multipliers.
        """
        event = planned_events(study).training
        if isinstance(event, LocalStepsRelease):
            return cls(study, event.model_copy(update={"steps": 1}), event.steps)
        return cls(study, event)

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
        """Make one noised step, as the vault would: sampled, clipped, summed, rounded, noised."""
        if isinstance(self.study.training, FedAvg):
            return self._local_step(tensors, weights, self.study.training)
        return fedsgd.release_round(tensors, weights, self.study, self.event)

    def _local_step(self, tensors: Tensors, weights: Vector, training: FedAvg) -> Integers:
        """Take one local step and read its noised integers off the change of the weights.

        The bound on the change is widened so that it neither shortens nor coarsens the step.
        """
        rate, name = self.sample_rate, self.study.roster[0].site if self.study.roster else ""
        share = site_weight(self.study, name)
        step = training.local_learning_rate / (
            gradient_grid(training) * training.divisor * share * rate
        )
        largest = _MOST_PATIENTS * 2.0**training.grid_bits
        reach = step * (10 * self.event.noise_std_grid * self.event.dimension**0.5 + largest)
        wide = training.model_copy(update={"update_norm": reach})
        study = self.study.model_copy(update={"training": wide})
        sums = fedsgd.PatientSums(tensors, study)
        change = fedavg.release_update(sums, weights, study, self.event, share=share)
        return np.rint(change / (-step * update_grid(wide))).astype(np.int64)

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
        return encode_grid(values, grid_per_unit=gradient_grid(self.study.training))

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

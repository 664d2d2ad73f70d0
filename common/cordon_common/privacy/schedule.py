"""What a study will release, as events, computed from the protocol alone before any data is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cordon_common.errors import ProtocolError
from cordon_common.privacy.events import (
    GaussianRelease,
    LocalStepsRelease,
    SampledGaussianRelease,
    SecureSumRelease,
)
from cordon_common.privacy.sensitivity import (
    MAX_PATIENTS,
    NOISE_SPAN,
    grid_per_unit,
    grid_sensitivity,
    patients_cap,
)
from cordon_common.protocol.layout import dimension
from cordon_common.protocol.study import FedAvg, Poisson
from cordon_common.qc.rules import exclusion_stability
from cordon_common.qc.summary import qc_layout

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Noise, Study, Training

SIZE_MARGIN = 4
"""A hospital may turn out this many times larger than the roster expects."""


@dataclass(frozen=True)
class Schedule:
    """The releases of one study at one site: QC once, training `rounds` times, evaluation once."""

    qc: Event
    training: Event
    rounds: int
    evaluation: Event

    def all_events(self) -> list[Event]:
        """List every release in the order in which it is executed."""
        return [self.qc, *[self.training] * self.rounds, self.evaluation]

    def training_among(self, sites: int) -> Event:
        """Return the training release of an attempt in which this many sites take part.

        Without masks the others do not matter; with them the share of noise depends on them.
        """
        if not isinstance(self.training, SecureSumRelease):
            return self.training
        return SecureSumRelease.model_validate(self.training.model_dump() | {"sites": sites})

    def with_noise(self, noise: Noise) -> Schedule:
        """Return the same releases with other noise multipliers."""
        return replace(
            self,
            qc=self.qc.model_copy(update={"noise_multiplier": noise.qc}),
            training=self.training.model_copy(update={"noise_multiplier": noise.training}),
            evaluation=self.evaluation.model_copy(update={"noise_multiplier": noise.evaluation}),
        )


@dataclass(frozen=True)
class Grid:
    """The integer grid of each release: steps per unit of its statistic (γ)."""

    qc: float
    training: float
    evaluation: float


def planned_events(study: Study) -> Schedule:
    """Return the events that the study's protocol implies.

    Raises:
        ProtocolError: PR007 when the study carries no noise multipliers.
    """
    noise = study.privacy.noise
    if noise is None:
        raise ProtocolError("PR007")
    return schedule_with(study, noise)


def schedule_with(study: Study, noise: Noise) -> Schedule:
    """Return the events that the study implies with the given noise multipliers.

    Guarantee: `sensitivity_grid` holds for adding or removing one patient, exclusion rules
    included; a held-out patient is counted in one cell of the evaluation's histograms (L2 1).
    """
    stability = exclusion_stability(study)
    bits = study.training.grid_bits

    def release(
        purpose: str, population: str, integers: int, *, inherent: bool = False
    ) -> dict[str, Json]:
        bound = grid_sensitivity(
            grid_bits=bits, dimension=integers, stability=1 if inherent else stability
        )
        return {
            "purpose": purpose,
            "population": population,
            "sensitivity_grid": bound,
            "stability": stability,
            "dimension": integers,
        }

    # The L2 bound of the QC summary contains the stability already (qc/PROOF.md, section 3).
    qc = release("qc", "all", qc_layout(study).dimension, inherent=True)
    training = release("training", "train", dimension(study))
    evaluation = release("evaluation", "holdout", 2 * study.evaluation.bins)
    return Schedule(
        qc=GaussianRelease(noise_multiplier=noise.qc, **qc),
        training=_training(study, noise.training, training),
        rounds=study.training.rounds,
        evaluation=GaussianRelease(noise_multiplier=noise.evaluation, **evaluation),
    )


def smallest_sum(study: Study) -> int:
    """Return how many sites a masked sum must have at least."""
    return max(study.qc.gate.min_sites, study.privacy.colluding_sites + 2)


def sum_sites(study: Study) -> int:
    """Return how many sites take part in a masked sum when nobody is missing."""
    return max(len(study.roster), smallest_sum(study))


def _training(study: Study, multiplier: float, fields: dict[str, Json]) -> Event:
    sampling = study.training.sampling
    rate = sampling.rate if isinstance(sampling, Poisson) else 1.0
    if study.privacy.trust_model == "secure-sum":
        return SecureSumRelease(
            noise_multiplier=multiplier,
            sites=sum_sites(study),
            colluding=study.privacy.colluding_sites,
            sample_rate=rate,
            **fields,
        )
    if isinstance(study.training, FedAvg):
        return LocalStepsRelease(
            noise_multiplier=multiplier, sample_rate=rate, steps=study.training.steps, **fields
        )
    if isinstance(sampling, Poisson):
        return SampledGaussianRelease(
            noise_multiplier=multiplier, sample_rate=sampling.rate, **fields
        )
    return GaussianRelease(noise_multiplier=multiplier, **fields)


def release_grid(study: Study) -> Grid:
    """Return γ for each release: its L2 bound per patient is 2^grid_bits grid steps."""
    bits = study.training.grid_bits
    return Grid(
        qc=grid_per_unit(qc_layout(study).l2_sensitivity(study), bits),
        training=gradient_grid(study.training),
        evaluation=grid_per_unit(1.0, bits),
    )


def gradient_grid(training: Training) -> float:
    """Return γ of a clipped sum: `clip_norm` is 2^grid_bits grid steps."""
    return grid_per_unit(training.clip_norm, training.grid_bits)


def update_grid(training: FedAvg) -> float:
    """Return γ of a released change of weights: `update_norm` is 2^grid_bits grid steps."""
    return grid_per_unit(training.update_norm, training.grid_bits)


def site_weight(study: Study, site: str) -> float:
    """Return a site's public share of all patients, by the roster; 1 when it is not on it."""
    expected = {entry.site: entry.expected_patients for entry in study.roster}
    return expected[site] / sum(expected.values()) if site in expected else 1.0


def site_patients_cap(study: Study) -> int:
    """Return how many patients one site may hold; the vault refuses a larger cohort.

    Guarantee: with at most this many, the sum of all sites' noised releases fits the ring.

    Raises:
        ProtocolError: PR007 without noise multipliers.
    """
    planned = planned_events(study)
    return min(
        patients_cap(
            grid_bits=study.training.grid_bits,
            noise_std_grid=event.noise_std_grid,
            sites=max(1, len(study.roster)),
            ring_bits=study.training.ring_bits if event is planned.training else 64,
        )
        for event in (planned.qc, planned.training, planned.evaluation)
    )


def largest_sum(study: Study, sites: int) -> int:
    """Return the largest magnitude of an integer in an honest masked sum over this many sites.

    Anything larger means that masks did not cancel (but for a chance of 1.5e-23 per integer).
    """
    noise = planned_events(study).training_among(sites).noise_std_grid
    patients = math.ldexp(site_patients_cap(study), study.training.grid_bits)
    per_site = patients + NOISE_SPAN * noise
    return math.ceil(sites * per_site)


def check_headroom(study: Study) -> None:
    """Refuse a study whose sums may not fit the ring of integers.

    Raises:
        ProtocolError: PR030 when the largest hospital that the roster expects does not fit, with
            `SIZE_MARGIN` to spare.
    """
    cap = site_patients_cap(study)
    expected = max((entry.expected_patients for entry in study.roster), default=1)
    if expected > MAX_PATIENTS:
        raise ProtocolError(
            "PR030",
            why=f"the roster expects {expected} patients; a site may hold {MAX_PATIENTS}",
            fix="let the hospital take part as several sites with disjoint patients",
        )
    wanted = min(expected * SIZE_MARGIN, MAX_PATIENTS)
    if wanted > cap:
        bits = study.training.grid_bits
        finest = bits - math.ceil(math.log2(wanted / max(cap, 1)))
        raise ProtocolError(
            "PR030",
            why=(
                f"with training.grid_bits: {bits}, training.ring_bits: {study.training.ring_bits} "
                f"and {max(1, len(study.roster))} sites a hospital "
                f"may hold {cap} patients; it should be able to hold {wanted}"
            ),
            fix=f"lower training.grid_bits, for example to {max(16, finest)}",
        )

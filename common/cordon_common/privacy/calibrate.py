"""From the promised ε to noise multipliers: data-independent, so that planning spends nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import patient_paths, pld_of, study_epsilon
from cordon_common.privacy.gaussian import crossing, gdp_mu
from cordon_common.privacy.schedule import schedule_with
from cordon_common.privacy.sensitivity import DELTA_RESERVE, tail_delta
from cordon_common.protocol.study import Noise

if TYPE_CHECKING:
    from cordon_common.privacy.schedule import Schedule
    from cordon_common.protocol.study import Study

SIGNIFICANT_DIGITS = 5
MAX_MULTIPLIER = 1e6


def calibrate_noise(study: Study) -> Noise:
    """Return the smallest noise multipliers with which the study keeps its (ε, δ).

    The budget μ² of (ε, δ) is split: `qc_share` to QC over all patients, the rest to training, and
    the same rest to evaluation, which looks at other patients (parallel composition).

    Guarantee: `study_epsilon` of the whole study is at most ε and within 1e-3 of it; 2^-10 of δ is
    left to the tails of the noise generator.

    Raises:
        ProtocolError: PR031 when no noise within the protocol's limits keeps the promise.
    """
    budget = gdp_mu(study.privacy.epsilon, study.privacy.delta * (1 - DELTA_RESERVE)) ** 2
    rest = budget * (1 - study.privacy.qc_share)
    rounds = study.training.rounds
    noise = _noise(
        qc=1 / math.sqrt(budget - rest),
        training=math.sqrt(rounds / rest),
        evaluation=1 / math.sqrt(rest),
    )
    if not _amplified(schedule_with(study, noise)):
        return _checked(study, noise)
    multiplier = crossing(
        lambda sigma: _keeps(study, noise.model_copy(update={"training": sigma})),
        low=noise.training * 1e-3,
        high=noise.training,
        tolerance=1e-5,
    )
    sampled = _noise(qc=noise.qc, training=multiplier, evaluation=noise.evaluation)
    return _checked(study, sampled)


def resolve(study: Study) -> Study:
    """Return the study with its noise multipliers filled in; as it is if it has them.

    Raises:
        ProtocolError: PR031 when no noise within the protocol's limits keeps the promise.
    """
    if study.privacy.noise is not None:
        return study
    privacy = study.privacy.model_copy(update={"noise": calibrate_noise(study)})
    return study.model_copy(update={"privacy": privacy})


def round_up(value: float) -> float:
    """Round a positive number up to 5 significant digits, so that its JSON is short."""
    exponent = math.floor(math.log10(value)) - (SIGNIFICANT_DIGITS - 1)
    scaled = math.ceil(value / 10.0**exponent - 1e-9)
    return float(f"{scaled}e{exponent}")


def _noise(*, qc: float, training: float, evaluation: float) -> Noise:
    values = {
        "qc": round_up(qc),
        "training": round_up(training),
        "evaluation": round_up(evaluation),
    }
    for name, value in values.items():
        if value > MAX_MULTIPLIER:
            raise ProtocolError(
                "PR031",
                why=f"privacy.noise.{name} would be {value:g}, above the limit {MAX_MULTIPLIER:g}",
                fix="raise privacy.epsilon or privacy.delta, or ask for fewer rounds",
            )
    return Noise(**values)


def _amplified(planned: Schedule) -> bool:
    train_path, _ = patient_paths([planned.training])
    return any(rate != 1 for (_, rate), _ in train_path)


def _keeps(study: Study, noise: Noise) -> bool:
    delta = study.privacy.delta * (1 - DELTA_RESERVE)
    paths = patient_paths(schedule_with(study, noise).all_events())
    return max(pld_of(path, delta) for path in paths) <= study.privacy.epsilon


def _checked(study: Study, noise: Noise) -> Noise:
    """Hold the promise against the accountant that everybody else will use, and the tails."""
    planned = schedule_with(study, noise)
    spent = study_epsilon(planned.all_events(), study.privacy.delta).pld
    tails = sum(
        tail_delta(noise_multiplier=event.noise_multiplier, integers=event.dimension)
        for event in planned.all_events()
    )
    if spent > study.privacy.epsilon or tails > study.privacy.delta * DELTA_RESERVE:
        raise ProtocolError(
            "PR031",
            why=(
                f"the calibrated noise gives epsilon {spent:.6g}, and the tails of the noise "
                f"generator add {tails:.2g} to delta"
            ),
            fix="lower privacy.epsilon: the noise generator cannot prove so weak a promise",
        )
    return noise

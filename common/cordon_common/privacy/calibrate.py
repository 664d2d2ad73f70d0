"""From the promised ε to noise multipliers: data-independent, so that planning spends nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import patient_paths, pld_of, slack_of, study_epsilon
from cordon_common.privacy.events import SecureSumRelease, mechanism_runs
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.gaussian import crossing, gdp_mu
from cordon_common.privacy.renyi import rdp_at
from cordon_common.privacy.schedule import schedule_with
from cordon_common.privacy.sensitivity import DELTA_RESERVE, defect_epsilon, tail_delta
from cordon_common.protocol.study import Noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cordon_common.privacy.accounting import Tally
    from cordon_common.privacy.events import Event
    from cordon_common.privacy.schedule import Schedule
    from cordon_common.protocol.study import Privacy, Study

SIGNIFICANT_DIGITS = 5
MAX_MULTIPLIER = 1e6

LARGEST_LOSS = 0.01
"""Share of ε that rounding may cost before a study is refused instead."""


def calibrate_noise(study: Study) -> Noise:
    """Return the smallest noise multipliers with which the study keeps its (ε, δ).

    The budget μ² of (ε, δ) is split: `qc_share` to QC over all patients, the rest to training, and
    the same rest to evaluation, which looks at other patients (parallel composition).

    Guarantee: `study_epsilon` of the whole study is at most ε and within 1e-3 of it; what the noise
    generator lacks to a Gaussian is paid for out of ε and of 2^-10 of δ.

    Raises:
        ProtocolError: PR031 when no noise within the protocol's limits keeps the promise, PR033
            when masked sums would be too coarse.
    """
    return _search(study, _sampled_noise)


def draft_noise(study: Study) -> Noise:
    """Return noise multipliers that keep (ε, δ), found at once and up to a tenth too large.

    Raises:
        ProtocolError: PR031 when no noise within the protocol's limits keeps the promise.
    """
    return _search(study, _renyi_noise)


def resolve(study: Study) -> Study:
    """Return the study with its noise multipliers filled in; as it is if it has them.

    Raises:
        ProtocolError: PR031 when no noise within the protocol's limits keeps the promise.
    """
    if study.privacy.noise is not None:
        return study
    return with_noise(study, calibrate_noise(study))


def with_noise(study: Study, noise: Noise) -> Study:
    """Return the study with the given noise multipliers."""
    privacy = study.privacy.model_copy(update={"noise": noise})
    return study.model_copy(update={"privacy": privacy})


def round_up(value: float) -> float:
    """Round a positive number up to 5 significant digits, so that its JSON is short."""
    exponent = math.floor(math.log10(value)) - (SIGNIFICANT_DIGITS - 1)
    scaled = math.ceil(value / 10.0**exponent)
    return float(f"{scaled}e{exponent}")


def _search(study: Study, sampled: Callable[[Privacy, Schedule, Noise], Noise]) -> Noise:
    """Calibrate to what the generator leaves of (ε, δ); `sampled` serves Poisson studies."""
    noise = _full_batch_noise(study, study.privacy)
    planned = schedule_with(study, noise)
    lost = _lost(study.privacy, planned)
    privacy = study.privacy.model_copy(update={"epsilon": study.privacy.epsilon - lost})
    noise = _full_batch_noise(study, privacy)
    if _amplified(planned):
        noise = sampled(privacy, planned, noise)
    planned = planned.with_noise(noise)
    _check_promise(study.privacy, planned)
    return noise


def _full_batch_noise(study: Study, privacy: Privacy) -> Noise:
    budget = gdp_mu(privacy.epsilon, _usable_delta(privacy)) ** 2
    rest = budget * (1 - privacy.qc_share)
    return _noise(
        qc=1 / math.sqrt(budget - rest),
        training=math.sqrt(study.training.rounds * study.training.steps / rest),
        evaluation=1 / math.sqrt(rest),
    )


def _sampled_noise(privacy: Privacy, planned: Schedule, full: Noise) -> Noise:
    """Lower the training noise of a full-batch plan to what Poisson sampling needs.

    A Rényi bound at one order gives a start from above; log ε is close to linear in log σ, so few
    evaluations follow; the last step walks up in units of the fifth digit until the promise holds.
    """

    def excess(log_sigma: float) -> float:
        path = _train_path(planned, full.model_copy(update={"training": math.exp(log_sigma)}))
        return math.log(pld_of(path, _usable_delta(privacy)) / privacy.epsilon)

    high = math.log(_renyi_noise(privacy, planned, full).training)
    multiplier = math.exp(_regula_falsi(excess, high - 0.2, high))
    while True:
        noise = _noise(qc=full.qc, training=multiplier, evaluation=full.evaluation)
        if pld_of(_train_path(planned, noise), _usable_delta(privacy)) <= privacy.epsilon:
            return noise
        multiplier = noise.training * (1 + 1e-5)


def _renyi_noise(privacy: Privacy, planned: Schedule, full: Noise) -> Noise:
    """Lower the training noise to what a Rényi bound at one order accepts, to a hundredth."""
    bound = BudgetFilter(privacy.epsilon, _usable_delta(privacy))

    def accepted(multiplier: float) -> bool:
        path = _train_path(planned, full.model_copy(update={"training": multiplier}))
        return rdp_at(path, bound.order) <= bound.capacity

    high = 2 * full.training
    multiplier = crossing(accepted, low=high * 1e-4, high=high, tolerance=0.01)
    return _noise(qc=full.qc, training=multiplier, evaluation=full.evaluation)


def _regula_falsi(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return where a decreasing function near a bracket is zero, to 1e-5 (Illinois variant)."""
    at_low, at_high = excess(low), excess(high)
    while at_low <= 0:
        low, high, at_high = low - 0.2, low, at_low
        at_low = excess(low)
    while at_high > 0:
        low, high, at_low = high, high + 0.2, at_high
        at_high = excess(high)
    for _ in range(60):
        middle = low + (high - low) * at_low / (at_low - at_high)
        value = excess(middle)
        if abs(value) < 1e-5:
            return middle
        # Halve the value of the end that stays, so that both ends close in.
        if value > 0:
            low, at_low, at_high = middle, value, at_high / 2
        else:
            high, at_high, at_low = middle, value, at_low / 2
    return high


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


def _lost(privacy: Privacy, planned: Schedule) -> float:
    """Return what noise that is not exactly Gaussian adds to ε: the generator's defect, rounding.

    Raises:
        ProtocolError: PR033 when it is no longer small beside ε.
    """
    events = planned.all_events()
    lost = _defects(events) + slack_of(events).epsilon
    if lost > privacy.epsilon * LARGEST_LOSS:
        raise ProtocolError("PR033", why=f"rounding alone would cost epsilon {lost:.2g}")
    return lost


def _defects(events: Iterable[Event]) -> float:
    """Return what the generator's defect adds to ε; a masked sum has the defects of its shares."""
    return defect_epsilon(sum(event.dimension * _draws(event) for event in events))


def _tails(event: Event) -> float:
    """Return what the generator's missing tails take from δ."""
    own = event.share_multiplier if isinstance(event, SecureSumRelease) else event.noise_multiplier
    return tail_delta(noise_multiplier=own, integers=event.dimension * _draws(event))


def _draws(event: Event) -> int:
    return event.shares if isinstance(event, SecureSumRelease) else mechanism_runs(event)


def _amplified(planned: Schedule) -> bool:
    train_path, _ = patient_paths([planned.training])
    return any(rate != 1 for (_, rate), _ in train_path)


def _train_path(planned: Schedule, noise: Noise) -> Tally:
    train_path, _ = patient_paths(planned.with_noise(noise).all_events(), "secure-sum")
    return train_path


def _usable_delta(privacy: Privacy) -> float:
    return privacy.delta * (1 - DELTA_RESERVE)


def _check_promise(privacy: Privacy, planned: Schedule) -> None:
    """Hold the promise against the accountant that everybody else will use."""
    events = planned.all_events()
    counted = study_epsilon(events, _usable_delta(privacy), privacy.trust_model)
    spent = counted.pld + _defects(events)
    tails = math.fsum(map(_tails, events))
    if spent > privacy.epsilon or tails > privacy.delta * DELTA_RESERVE:
        raise ProtocolError(
            "PR031",
            why=(
                f"the calibrated noise costs epsilon {spent:.6g}, and the tails that the noise "
                f"generator lacks add {tails:.2g} to delta"
            ),
            fix="lower privacy.epsilon: the noise generator cannot prove so weak a promise",
        )

"""What a privacy promise means for a person: odds, and the reach of the best possible test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.accounting import (
    delta_of,
    patient_paths,
    study_epsilon,
    total_mu,
)
from cordon_common.privacy.gaussian import gdp_true_positive_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.canonical import Json
    from cordon_common.privacy.accounting import Tally
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import TrustModel

FALSE_ALARM_RATE = 0.01
"""Share of non-participants whom the tester may wrongly accuse."""

_CURVE_POINTS = 140


@dataclass(frozen=True)
class Explanation:
    """One (ε, δ) in quantities that need no mathematics.

    odds_factor: whoever sees all releases and knows all other patients can multiply the odds that
        a given patient took part by at most this (e^ε).
    certainty: the same, from a coin's toss (50 %) to at most this probability.
    exceeded: probability that the releases turn out so that the odds grow by more; above δ.
    detection_rate: most participants that any test can find when it wrongly accuses 1 % of the
        non-participants; from the whole privacy curve, so sharper than ε alone.
    """

    epsilon: float
    delta: float
    odds_factor: float
    certainty: float
    exceeded: float
    detection_rate: float

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same as plain English sentences."""
        return (
            f"Somebody who sees everything that leaves, and knows every other patient, can raise "
            f"the odds that a given patient took part at most {_factor(self.odds_factor)}: from "
            f"50 % to at most {_percent(self.certainty)}. "
            f"The chance of more than that is at most {_one_in(self.exceeded)}.",
            f"The best test anybody could build, if it wrongly accuses 1 in 100 people who did not "
            f"take part, recognises at most {self.detection_rate * 100:.2g} in 100 of those who "
            f"did (blind guessing: 1 in 100).",
        )

    def as_json(self) -> Json:
        """Return the JSON value for reports."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "odds_factor": self.odds_factor,
            "certainty": self.certainty,
            "exceeded": self.exceeded,
            "detection_rate": self.detection_rate,
            "false_alarm_rate": FALSE_ALARM_RATE,
            "sentences": list(self.sentences),
        }


def explain(events: Sequence[Event], delta: float, trust: TrustModel = "local") -> Explanation:
    """Explain what one study's events mean for its worst-off patient.

    Raises:
        ProtocolError: PR005 for an event of an unknown kind.
        UsageError: US001 when delta is not in (0, 1).
    """
    epsilon = study_epsilon(events, delta, trust).pld
    factor = math.exp(min(epsilon, 700.0))
    paths = patient_paths(events, trust)
    return Explanation(
        epsilon=epsilon,
        delta=delta,
        odds_factor=factor,
        certainty=factor / (1 + factor),
        exceeded=max(exceed_probability(path, epsilon) for path in paths),
        detection_rate=max(detection_rate(path, FALSE_ALARM_RATE) for path in paths),
    )


def detection_rate(counted: Tally, false_alarm_rate: float) -> float:
    """Return an upper bound on the true positive rate of any test for one patient.

    Guarantee: exact for full-batch releases (Φ(Φ⁻¹(α) + μ)); otherwise the smallest of the lines
    δ(ε) + e^ε α and 1 - e^-ε (1 - α - δ(ε)) over a grid of ε. Source: Dong, Roth, Su 2022,
    proposition 2.5.
    """
    if not counted:
        return false_alarm_rate
    mu = total_mu(counted)
    if mu is not None:
        return gdp_true_positive_rate(mu, false_alarm_rate)
    bound = 1.0
    for step in range(_CURVE_POINTS):
        epsilon = 0.001 * 1.1**step
        delta = delta_of(counted, epsilon)
        if epsilon < 700:
            bound = min(bound, delta + math.exp(epsilon) * false_alarm_rate)
        bound = min(bound, 1 - math.exp(-epsilon) * (1 - false_alarm_rate - delta))
        if delta < 1e-6 * bound:
            break
    return bound


def exceed_probability(counted: Tally, epsilon: float) -> float:
    """Return an upper bound on the probability that the privacy loss exceeds ε.

    Guarantee: exact for full-batch releases (the loss is N(μ²/2, μ²)); otherwise the smallest
    δ(ε') / (1 - e^(ε' - ε)) over ε' < ε, since δ(ε') = E[(1 - e^(ε' - loss))₊].
    """
    if not counted:
        return 0.0
    mu = total_mu(counted)
    if mu is not None:
        return 0.5 * math.erfc((epsilon / mu - mu / 2) / math.sqrt(2))
    bound = 1.0
    for step in range(1, 30):
        lower = epsilon * (1 - step / 30)
        bound = min(bound, delta_of(counted, lower) / -math.expm1(lower - epsilon))
    return bound


def _factor(value: float) -> str:
    if value > 1e6:
        return "without a useful limit"
    return f"{value:.3g}-fold" if value < 100 else f"{value:,.0f}-fold"


def _percent(value: float) -> str:
    return f"{value * 100:.3g} %" if value < 0.999 else f"{min(value * 100, 99.9999):.4f} %"


def _one_in(probability: float) -> str:
    chance = 1 / max(probability, 1e-15)
    digits = max(0, math.floor(math.log10(chance)) - 1)
    return f"1 in {math.floor(chance / 10**digits) * 10**digits:,}"

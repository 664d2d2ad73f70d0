"""Attack the mechanism with a patient made to be found, and bound ε from how often that works.

The attacker is the strongest one that the proof allows: chooses the weights of every round, knows
all other patients, and sees every release of a run. A coin says whether the canary is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.probe.clipping import scaled
from cordon_client.probe.mechanism import nobody, patients
from cordon_common.audit.result import judge
from cordon_common.errors import SystemFault
from cordon_common.privacy.accounting import epsilon_pld, tally, total_mu
from cordon_common.privacy.empirical import (
    FAULTS,
    Trials,
    detection_power,
    direct_lower_bound,
    gaussian_lower_bound,
    one_run_lower_bound,
    thresholds_for,
)
from cordon_common.privacy.gaussian import gdp_epsilon

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_client.probe.mechanism import Mechanism, Vector
    from cordon_client.records import Tensors
    from cordon_common.audit.result import Row

CONFIDENCE = 0.999
MOST_ROUNDS = 30
_DRAWS = 200
_SURE = 3
"""Of the one-run guesses, the surest third counts."""


@dataclass(frozen=True)
class CanaryAudit:
    """What the attack reached, next to the claim; ε of `rounds` training releases at `delta`.

    lower: the bound that the gate uses. one_run: the bound of Steinke et al. beside it. power: how
    surely each injected fault would have pushed the bound above the claim.
    """

    trials: int
    rounds: int
    delta: float
    claimed: float
    lower: float
    one_run: float
    confidence: float
    power: tuple[tuple[str, float], ...]

    @property
    def violated(self) -> bool:
        """Whether the attack disproves the claim."""
        return self.lower > self.claimed


def audit_with_canary(
    mechanism: Mechanism,
    generator: np.random.Generator,
    *,
    trials: int,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> CanaryAudit:
    """Run the attack `trials` times, with the canary in half of them."""
    rounds = min(mechanism.study.training.rounds * mechanism.steps_per_round, MOST_ROUNDS)
    delta = mechanism.study.privacy.delta
    events = [mechanism.event] * rounds
    scores = _attack(mechanism, generator, trials=trials, rounds=rounds, progress=progress)
    mu = total_mu(tally(events))
    points = thresholds_for(mu if mu is not None else float(np.median(scores.inside)))
    if mu is None:
        # thresholds from half of the trials, the bound from the other half
        half = trials // 4
        points = thresholds_for(float(np.median(scores.inside[:half])))
        scores = Trials(scores.inside[half:], scores.outside[half:])
        lower = direct_lower_bound(scores, points, delta=delta, confidence=CONFIDENCE)
    else:
        lower = gdp_epsilon(gaussian_lower_bound(scores, points, confidence=CONFIDENCE), delta)
    return CanaryAudit(
        trials=trials,
        rounds=rounds,
        delta=delta,
        claimed=epsilon_pld(events, delta),
        lower=lower,
        one_run=_one_run(scores, points[len(points) // 2], delta),
        confidence=CONFIDENCE,
        power=_power(mu, delta, trials),
    )


def _attack(
    mechanism: Mechanism,
    generator: np.random.Generator,
    *,
    trials: int,
    rounds: int,
    progress: Callable[[int, int], None],
) -> Trials:
    """Return scores in units of the claimed noise: 0 ± 1 without the canary, μ ± 1 with it."""
    study = mechanism.study
    canary = scaled(patients(study, generator, count=1), 1e3)
    none = nobody(study)
    told = [_weights_that_tell(mechanism, canary, generator) for _ in range(rounds)]
    weights, signals = [w for w, _ in told], [signal for _, signal in told]
    length = np.sqrt(sum(float(signal @ signal) for signal in signals))
    scale = length * mechanism.event.noise_std_grid
    found: dict[bool, list[float]] = {True: [], False: []}
    for trial in range(trials):
        inside = trial % 2 == 0
        cohort = canary if inside else none
        score = sum(
            float(mechanism.release(cohort, w).astype(np.float64) @ signal)
            for w, signal in zip(weights, signals, strict=True)
        )
        found[inside].append(score / scale)
        progress(trial + 1, trials)
    return Trials(np.array(found[True]), np.array(found[False]))


def _weights_that_tell(
    mechanism: Mechanism, canary: Tensors, generator: np.random.Generator
) -> tuple[Vector, Vector]:
    """Draw weights that get the canary wrong: (weights, its contribution on the grid).

    One that they get right beyond doubt contributes nothing, and an attack would see nothing.
    """
    for _ in range(_DRAWS):
        weights = mechanism.weights(generator)
        signal = mechanism.on_grid(mechanism.whole_sum(canary, weights)).astype(np.float64)
        if signal.any():
            return weights, signal
    raise SystemFault("SY999", why="no weights were found that a made-up patient contributes to")


def _one_run(scores: Trials, middle: float, delta: float) -> float:
    """Guess the surest third of the coins and count; every coin is a canary of its own."""
    values = np.concatenate([scores.inside, scores.outside])
    truth = np.concatenate([np.ones(len(scores.inside)), np.zeros(len(scores.outside))]) > 0
    surest = np.argsort(-np.abs(values - middle))[: len(values) // _SURE]
    correct = int(((values[surest] > middle) == truth[surest]).sum())
    return one_run_lower_bound(
        correct, len(surest), canaries=len(values), delta=delta, confidence=CONFIDENCE
    )


def _power(mu: float | None, delta: float, trials: int) -> tuple[tuple[str, float], ...]:
    if mu is None:
        return ()
    return tuple(
        (
            fault.name,
            detection_power(fault, mu=mu, delta=delta, trials=trials, confidence=CONFIDENCE),
        )
        for fault in FAULTS
    )


def canary_row(audit: CanaryAudit) -> Row:
    """Judge the attack: only a bound above the claim decides anything."""
    power = ", ".join(f"{name}: {share:.0%}" for name, share in audit.power)
    problems = []
    if audit.violated:
        problems.append(
            f"the attack proves ε ≥ {audit.lower:.3g}, the claim is {audit.claimed:.3g} "
            f"(confidence {audit.confidence:.1%})"
        )
    return judge(
        "canary",
        f"no attack in {audit.trials} runs of {audit.rounds} rounds disproves the claimed ε",
        f"ε ≥ {audit.lower:.3g} and, in one run, ≥ {audit.one_run:.3g}, of {audit.claimed:.3g} claimed "
        f"at δ {audit.delta:g}: no violation found. Would have found {power or 'faults not simulated'}",
        problems=problems,
    )

"""The privacy facts of a campaign: what was spent, under which promise, what it covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.rules import exclusion_stability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cordon_common.canonical import Json
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study

_UNPROTECTED = {
    "participation": "That a hospital takes part in the study, and when its gateway is online.",
    "qc_verdict": (
        "The coarse verdict of each hospital's quality control: one of pass, warn or fail per "
        "kind of check, with reason codes, without counts or feature names; and when a cohort "
        "cannot be used at all, the error code of why."
    ),
}
_ALWAYS_OPEN = (
    "Public inputs: the study protocol, the hospitals' names and keys, expected sizes.",
    "What a hospital's staff tell others from their own local reports.",
)


@dataclass(frozen=True)
class Mechanism:
    """One kind of release. noise_std: standard deviation of the noise in `unit`."""

    name: str
    patients: str
    times: int
    numbers: int
    noise_std: float
    unit: str


@dataclass(frozen=True)
class PrivacyFacts:
    """ε of the hospital that spent most (PLD, and RDP as cross-check), and what it is about.

    Under the study's trust model; epsilon_local: what the same releases cost by themselves.
    """

    epsilon: float
    epsilon_rdp: float
    epsilon_local: float
    promised: float
    delta: float
    stability: int
    mechanisms: tuple[Mechanism, ...]
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    worst_events: tuple[Event, ...]

    def as_json(self) -> Json:
        """Return the JSON value; the events themselves are in the audit bundle."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["mechanisms"] = [vars(item) for item in self.mechanisms]
        del value["worst_events"]
        return value


def privacy_facts(study: Study, spent: Mapping[str, Sequence[Event]]) -> PrivacyFacts:
    """Recompute the cost from executed events; before any, everything is zero."""
    delta, trust = study.privacy.delta, study.privacy.trust_model
    worst: Sequence[Event] = max(
        spent.values(), key=lambda events: study_epsilon(events, delta, trust).pld, default=()
    )
    epsilon, local = study_epsilon(worst, delta, trust), study_epsilon(worst, delta)
    return PrivacyFacts(
        epsilon=epsilon.pld,
        epsilon_rdp=epsilon.rdp,
        epsilon_local=local.pld,
        promised=study.privacy.epsilon,
        delta=delta,
        stability=exclusion_stability(study),
        mechanisms=_mechanisms(study),
        covered=_covered(study),
        uncovered=(*(_UNPROTECTED[name] for name in study.privacy.unprotected), *_ALWAYS_OPEN),
        worst_events=tuple(worst),
    )


def _mechanisms(study: Study) -> tuple[Mechanism, ...]:
    plan, grid = planned_events(study), release_grid(study)

    def row(name: str, event: Event, times: int, steps: float, unit: str) -> Mechanism:
        std = event.noise_std_grid / steps
        return Mechanism(name, event.population, times, event.dimension, std, unit)

    return (
        row("Quality summary", plan.qc, 1, grid.qc, "patients per main count"),
        row(_update(study), plan.training, plan.rounds, grid.training, "gradient units"),
        row("Score histogram", plan.evaluation, 1, grid.evaluation, "patients per count"),
    )


def _update(study: Study) -> str:
    masked = study.privacy.trust_model == "secure-sum"
    return (
        "Training update, masked: a hospital's share of the noise" if masked else "Training update"
    )


def _covered(study: Study) -> tuple[str, ...]:
    rounds = study.training.rounds
    stability = exclusion_stability(study)
    excluded = (
        "Quality control itself: rules that leave records out"
        + (f" (one patient can change the fate of up to {stability})" if stability > 1 else "")
        + " are part of the proof."
    )
    sums = ", and sums of values for harmonisation" if study.qc.harmonise else ""
    return (
        f"The quality summary, once: noised patient counts on public histograms{sums}.",
        f"Every training update: {rounds} noised sums of clipped per-patient gradients.",
        "The score histograms of held-out patients, once, from which all metrics are computed.",
        excluded,
        "The number of patients: it is only ever visible through noised counts.",
    )

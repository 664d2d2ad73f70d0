"""A study before anything is spent: noise, ε per site, what stays of each budget, what to expect.

Everything follows from the protocol, the roster's public sizes and the budgets handed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.explain import explain
from cordon_common.privacy.schedule import check_headroom, planned_events, release_grid
from cordon_common.privacy.simulate import IDEAL_AUC, predict
from cordon_common.privacy.suggest import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.canonical import Json
    from cordon_common.privacy.accounting import Epsilon
    from cordon_common.privacy.events import Event
    from cordon_common.privacy.explain import Explanation
    from cordon_common.privacy.filter import BudgetFilter
    from cordon_common.privacy.schedule import Grid, Schedule
    from cordon_common.privacy.simulate import Utility
    from cordon_common.protocol.study import Study


@dataclass(frozen=True)
class PlannedRelease:
    """One kind of release at every site.

    noise_std: standard deviation of the noise in each released number, in units of the statistic;
    `bound`: L2 length, in the same unit, of the most that one patient contributes. epsilon_once: ε
    of a single release alone; epsilon_all: of all `times` together; both at the study's δ.
    """

    purpose: str
    population: str
    times: int
    integers: int
    noise_multiplier: float
    noise_std: float
    bound: float
    epsilon_once: float
    epsilon_all: float


@dataclass(frozen=True)
class Budget:
    """What a lifetime budget would look like with this study in it.

    admitted: whether the filter lets the study in. share: used part of the lifetime budget
    afterwards. remaining: ε, at the lifetime δ, of the largest further study.
    """

    admitted: bool
    share: float
    remaining: float


@dataclass(frozen=True)
class PlannedSite:
    """One hospital of the roster; `budget` only where a budget was handed in."""

    site: str
    expected_patients: int
    epsilon: Epsilon
    budget: Budget | None


@dataclass(frozen=True)
class Plan:
    """All that `plan` knows; `study` carries its noise multipliers.

    epsilon: under the study's trust model; epsilon_local: what the releases cost by themselves.
    """

    study: Study
    epsilon: Epsilon
    epsilon_local: Epsilon
    explanation: Explanation
    releases: tuple[PlannedRelease, ...]
    sites: tuple[PlannedSite, ...]
    utility: Utility | None
    suggestion: str | None

    def release_rows(self) -> list[tuple[str, ...]]:
        """Return table rows: release, patients, times, numbers, σ, noise, ε once, ε all."""
        return [
            (
                item.purpose,
                item.population,
                str(item.times),
                str(item.integers),
                f"{item.noise_multiplier:g}",
                f"{item.noise_std:.3g} ({item.bound:.3g})",
                f"{item.epsilon_once:.3g}",
                f"{item.epsilon_all:.3g}",
            )
            for item in self.releases
        ]

    def site_rows(self) -> list[tuple[str, ...]]:
        """Return table rows: site, patients, ε (PLD), ε (RDP), fits, budget used, ε left."""
        return [
            (
                item.site,
                str(item.expected_patients),
                f"{item.epsilon.pld:.3f}",
                f"{item.epsilon.rdp:.3f}",
                *_budget_cells(item.budget),
            )
            for item in self.sites
        ]

    def utility_sentence(self) -> str:
        """Say what to expect in one sentence."""
        if self.utility is None:
            return (
                "No prediction: left out on request, or the model is too large to simulate quickly."
            )
        found = self.utility
        return (
            f"On invented patients of this shape (independent features; the best possible model has "
            f"an AUC of {IDEAL_AUC:g}) the study reaches {found.auc:.3f} "
            f"({found.low:.3f} to {found.high:.3f} over {found.seeds} seeds); without noise "
            f"{found.auc_without_noise:.3f}."
        )

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        return {
            "kind": "plan.v1",
            "study": self.study.name,
            "version": self.study.version,
            "trust_model": self.study.privacy.trust_model,
            "delta": self.study.privacy.delta,
            "colluding_sites": self.study.privacy.colluding_sites,
            "epsilon": {"pld": self.epsilon.pld, "rdp": self.epsilon.rdp},
            "epsilon_local": {"pld": self.epsilon_local.pld, "rdp": self.epsilon_local.rdp},
            "explanation": self.explanation.as_json(),
            "releases": [vars(item) for item in self.releases],
            "sites": [
                {
                    "site": item.site,
                    "expected_patients": item.expected_patients,
                    "epsilon": {"pld": item.epsilon.pld, "rdp": item.epsilon.rdp},
                    "budget": None if item.budget is None else vars(item.budget),
                }
                for item in self.sites
            ],
            "utility": None if self.utility is None else vars(self.utility),
            "suggestion": self.suggestion,
        }


def plan(
    study: Study, *, budgets: Mapping[str, BudgetFilter] | None = None, simulate: bool = True
) -> Plan:
    """Plan a study: fill in its noise, cost it, predict its use. Nothing is spent.

    budgets: per site a lifetime budget that is assumed to be untouched, where one is known.

    Raises:
        ProtocolError: PR030 when the sums do not fit the ring, PR031 when no noise keeps the
            promise.
    """
    resolved = resolve(study)
    check_headroom(resolved)
    schedule, grid = planned_events(resolved), release_grid(resolved)
    events = schedule.all_events()
    delta, trust = resolved.privacy.delta, resolved.privacy.trust_model
    epsilon = study_epsilon(events, delta, trust)
    utility = predict(resolved, _summed(resolved, schedule, grid)) if simulate else None
    known = budgets or {}
    return Plan(
        study=resolved,
        epsilon=epsilon,
        epsilon_local=study_epsilon(events, delta),
        explanation=explain(events, delta, trust),
        releases=_releases(resolved, schedule, grid),
        sites=tuple(
            PlannedSite(
                site=entry.site,
                expected_patients=entry.expected_patients,
                epsilon=epsilon,
                budget=_budget(known[entry.site], events) if entry.site in known else None,
            )
            for entry in resolved.roster
        ),
        utility=utility,
        suggestion=None if utility is None else suggest(resolved, utility, summed_noise_std),
    )


def summed_noise_std(study: Study) -> float:
    """Return the noise in a training round's sum over all sites, in the gradient's unit.

    Under local trust every site adds the whole noise, under secure-sum its share.
    """
    return _summed(study, planned_events(study), release_grid(study))


def _summed(study: Study, schedule: Schedule, grid: Grid) -> float:
    sites = max(1, len(study.roster))
    return math.sqrt(sites) * schedule.training.noise_std_grid / grid.training


def _releases(study: Study, schedule: Schedule, grid: Grid) -> tuple[PlannedRelease, ...]:
    delta, trust = study.privacy.delta, study.privacy.trust_model

    def row(event: Event, times: int, steps_per_unit: float) -> PlannedRelease:
        return PlannedRelease(
            purpose=event.purpose,
            population=event.population,
            times=times,
            integers=event.dimension,
            noise_multiplier=event.noise_multiplier,
            noise_std=event.noise_std_grid / steps_per_unit,
            bound=math.ldexp(1.0, study.training.grid_bits) / steps_per_unit,
            epsilon_once=study_epsilon([event], delta, trust).pld,
            epsilon_all=study_epsilon([event] * times, delta, trust).pld,
        )

    return (
        row(schedule.qc, 1, grid.qc),
        row(schedule.training, schedule.rounds, grid.training),
        row(schedule.evaluation, 1, grid.evaluation),
    )


def _budget(budget: BudgetFilter, events: list[Event]) -> Budget:
    return Budget(
        admitted=budget.admits([], events),
        share=budget.share([events]),
        remaining=budget.remaining([events]),
    )


def _budget_cells(budget: Budget | None) -> tuple[str, str, str]:
    if budget is None:
        return ("", "", "")
    fits = "yes" if budget.admitted else "no"
    return (fits, f"{budget.share * 100:.0f} %", f"{budget.remaining:.2f}")

"""The lifetime budget of a hospital's patients: decided before a study runs, adaptive over studies.

A Rényi filter at one order, fixed by the budget alone: refuse as soon as the divergences of all
mechanisms, spent and asked, would add up to more than the budget allows at that order. Sound even
when each study is chosen after the results of the ones before it.
Source: Feldman, Zrnic 2021 ("Individual Privacy Accounting via a Rényi Filter").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import UsageError
from cordon_common.privacy.accounting import patient_paths, slack_of
from cordon_common.privacy.gaussian import check_delta, gdp_epsilon
from cordon_common.privacy.renyi import (
    ORDERS,
    curve_epsilon,
    epsilon_offset,
    rdp_at,
    rdp_curve,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import TrustModel

SLACK_RESERVE = 2.0**-10
"""Share of a lifetime budget under secure-sum that pays for rounding in masked sums."""

_ROUNDING = 1e-12  # sums of divergences are exact to this


@dataclass(frozen=True)
class BudgetFilter:
    """Admits or refuses studies against a lifetime (epsilon, delta), counted under `trust`.

    Under `secure-sum` a 2^-10 of both is kept back for what masked sums lack to exact Gaussians.

    Raises:
        UsageError: US001 when epsilon is not positive and finite, or delta is not in (0, 1).
    """

    epsilon: float
    delta: float
    trust: TrustModel = "local"

    def __post_init__(self) -> None:
        check_delta(self.delta)
        if not 0 < self.epsilon < math.inf:
            raise UsageError("US001", "a lifetime epsilon must be positive", why=f"{self.epsilon}")

    @cached_property
    def order(self) -> float:
        """The order at which divergences add up: it admits the most Gaussian releases.

        It maximises ρ(a) = (ε - offset(a)) / a, the zCDP that fits the budget at order a.
        """
        low, high = -6.0, 12.0  # log10(order - 1); ρ has one maximum
        for _ in range(200):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            if self._zcdp(1 + 10**left) < self._zcdp(1 + 10**right):
                low = left
            else:
                high = right
        return 1 + 10 ** ((low + high) / 2)

    @cached_property
    def capacity(self) -> float:
        """How much divergence fits the lifetime budget at the filter's order."""
        return self._usable_epsilon - epsilon_offset(self.order, self._usable_delta)

    def cost(self, events: Iterable[Event]) -> float:
        """Return the divergence of one study at the filter's order, for the worst-off patient.

        Raises:
            ProtocolError: PR005 for an event of an unknown kind.
        """
        return max(rdp_at(path, self.order) for path in patient_paths(events, self.trust))

    def admits(self, spent: Sequence[Collection[Event]], asked: Collection[Event]) -> bool:
        """Return whether a further study fits beside those that were spent or are held.

        spent: per study its events; a running study counts with its whole plan.
        Guarantee: if every study passed, all of them together are (epsilon, delta)-DP.
        """
        total = self._total(spent) + self.cost(asked)
        return total <= self.capacity * (1 - _ROUNDING) and self._covers_slack([*spent, asked])

    def share(self, studies: Iterable[Collection[Event]]) -> float:
        """Return the used part of the lifetime budget, 0 to 1; studies add up linearly."""
        return self._total(studies) / self.capacity

    def spent(self, studies: Iterable[Collection[Event]]) -> float:
        """Return the ε, at the lifetime delta, that the filter's arithmetic proves for studies."""
        held = [patient_paths(events, self.trust) for events in studies]
        curve = np.zeros(len(ORDERS))
        at_order = 0.0
        for paths in held:
            curve += np.maximum(*(rdp_curve(path) for path in paths))
            at_order += max(rdp_at(path, self.order) for path in paths)
        if at_order == 0:
            return 0.0
        fixed = at_order + epsilon_offset(self.order, self._usable_delta)
        reserve = self.epsilon - self._usable_epsilon
        return max(0.0, min(fixed, curve_epsilon(curve, self._usable_delta))) + reserve

    def remaining(self, studies: Iterable[Collection[Event]]) -> float:
        """Return the ε, at the lifetime delta, of the largest full-batch study that still fits."""
        left = self.capacity - self._total(studies)
        if left <= 0:
            return 0.0
        return gdp_epsilon(math.sqrt(2 * left / self.order), self.delta)

    def _total(self, studies: Iterable[Iterable[Event]]) -> float:
        return math.fsum(self.cost(events) for events in studies)

    def _zcdp(self, order: float) -> float:
        return (self._usable_epsilon - epsilon_offset(order, self._usable_delta)) / order

    @property
    def _usable_epsilon(self) -> float:
        return self.epsilon * (1 - SLACK_RESERVE) if self.trust == "secure-sum" else self.epsilon

    @property
    def _usable_delta(self) -> float:
        return self.delta * (1 - SLACK_RESERVE) if self.trust == "secure-sum" else self.delta

    def _covers_slack(self, studies: Sequence[Collection[Event]]) -> bool:
        """Tell whether the reserve pays for the slack of all masked sums together."""
        if self.trust == "local":
            return True
        slack = slack_of(event for events in studies for event in events)
        if slack.epsilon > self.epsilon * SLACK_RESERVE:
            return False
        taken = slack.delta(self.epsilon) + math.expm1(slack.log_ratio) * self.delta
        return taken <= self.delta * SLACK_RESERVE

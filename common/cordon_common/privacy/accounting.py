"""What the events cost: ε by privacy loss distributions, cross-checked by Rényi divergences.

Train and holdout patients are disjoint, so a patient is touched by the releases over everyone and
by those over one of the two parts: ε is the larger of both paths (parallel composition).
`trust` says who looks on: `local` counts a site's own noise alone, `secure-sum` the noise of all
honest sites in a masked sum. For releases that are not masked both are the same.
Every function refuses an event that it does not know.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cordon_common.errors import ProtocolError
from cordon_common.privacy.counting import EventCounts
from cordon_common.privacy.events import (
    GaussianRelease,
    LocalStepsRelease,
    SampledGaussianRelease,
    SecureSumRelease,
    mechanism_runs,
)
from cordon_common.privacy.gaussian import check_delta, gdp_delta, gdp_epsilon
from cordon_common.privacy.renyi import rdp_epsilon
from cordon_common.privacy.sensitivity import sum_log_ratio, sum_missing_mass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import TrustModel

Mechanism = tuple[float, float]
"""(noise multiplier, sampling rate); rate 1 means that every patient takes part."""

Tally = tuple[tuple[Mechanism, int], ...]
"""Mechanisms and how often each ran, sorted: equal ledgers give equal tallies in any order."""


@dataclass(frozen=True)
class Epsilon:
    """ε at one δ: `pld` is the headline, `rdp` an independent bound that is never smaller."""

    pld: float
    rdp: float


def epsilon_pld(events: Iterable[Event], delta: float) -> float:
    """Return ε of events that touch one patient one after the other, by privacy loss distributions.

    Guarantee: an upper bound, exact to 1e-12 when every release is full-batch (closed form),
    otherwise within 1e-3 of the true value. Source: Balle, Wang 2018; Koskela, Jälkö, Honkela 2020;
    Doroshenko et al. 2022.

    Raises:
        ProtocolError: PR005 for an event of an unknown kind.
        UsageError: US001 when delta is not in (0, 1).
    """
    check_delta(delta)
    return pld_of(tally(events), delta)


def epsilon_rdp(events: Iterable[Event], delta: float) -> float:
    """Return ε of events that touch one patient one after the other, by Rényi divergences.

    Guarantee: an upper bound, never below `epsilon_pld`.

    Raises:
        ProtocolError: PR005 for an event of an unknown kind.
        UsageError: US001 when delta is not in (0, 1).
    """
    check_delta(delta)
    return rdp_of(tally(events), delta)


@dataclass(frozen=True)
class Slack:
    """How far masked sums of rounded noise may be from the Gaussian that is accounted for.

    log_ratio: bound on |log| of the ratio of the two densities, over all releases. missing: bound on
    the probability that it does not hold. Both are zero without masked sums.
    """

    log_ratio: float = 0.0
    missing: float = 0.0

    @property
    def epsilon(self) -> float:
        """What it adds to ε: the ratio is met twice, with the patient and without."""
        return 2 * self.log_ratio

    def and_of(self, others: Slack) -> Slack:
        """Return the slack of these releases and others together."""
        return Slack(self.log_ratio + others.log_ratio, self.missing + others.missing)

    def delta(self, epsilon: float) -> float:
        """Return what it takes from δ, given any bound on ε."""
        exponent = epsilon + 3 * self.log_ratio
        return 2 * self.missing * math.exp(exponent) if exponent < 700 else math.inf


NO_SLACK = Slack()


def slack_of(events: Iterable[Event]) -> Slack:
    """Add up what the masked sums among the events lack to exact Gaussians.

    Source: securesum/PROOF.md §3.
    """
    log_ratios, missing = [], []
    for event, count in EventCounts.of(events).distinct():
        if not isinstance(event, SecureSumRelease):
            continue
        std, shares, integers = event.noise_std_grid, event.shares, event.dimension
        log_ratios.append(count * sum_log_ratio(share_std=std, shares=shares, dimension=integers))
        missing.append(count * sum_missing_mass(share_std=std, shares=shares, dimension=integers))
    return Slack(math.fsum(log_ratios), math.fsum(missing))


def with_slack(epsilon_at: Callable[[float], float], delta: float, slack: Slack) -> float:
    """Return ε at δ of releases that are within a slack of others, whose ε at a δ is given.

    Guarantee: an upper bound; infinite when the slack takes half of δ or more.
    """
    if slack == NO_SLACK:
        return epsilon_at(delta)
    taken = slack.delta(epsilon_at(delta / 4))
    if taken >= delta / 2:
        return math.inf
    usable = (delta - taken) * math.exp(-slack.log_ratio)
    return epsilon_at(max(usable, delta / 4)) + slack.epsilon if usable >= delta / 4 else math.inf


def study_epsilon(events: Iterable[Event], delta: float, trust: TrustModel = "local") -> Epsilon:
    """Return ε of one study's events for the worst-off patient, train and holdout in parallel.

    Raises:
        ProtocolError: PR005 for an event of an unknown kind or population.
        UsageError: US001 when delta is not in (0, 1).
    """
    check_delta(delta)
    events = EventCounts.of(events)
    slack = slack_of(events) if trust == "secure-sum" else NO_SLACK
    return paths_epsilon(patient_paths(events, trust), delta, slack)


def paths_epsilon(paths: Iterable[Tally], delta: float, slack: Slack = NO_SLACK) -> Epsilon:
    """Return ε of the worst of several paths that patients may take."""
    paths = list(paths)
    return Epsilon(
        pld=with_slack(lambda at: max(pld_of(path, at) for path in paths), delta, slack),
        rdp=with_slack(lambda at: max(rdp_of(path, at) for path in paths), delta, slack),
    )


def lifetime_epsilon(
    studies: Iterable[Iterable[Event]], delta: float, trust: TrustModel = "local"
) -> Epsilon:
    """Return ε of several studies on the same patients: information, never used to admit more.

    Each study splits the patients anew, so a patient may meet the dearer path in every study. Where
    two paths cannot be ordered, both are counted.

    Raises:
        ProtocolError: PR005 for an event of an unknown kind or population.
        UsageError: US001 when delta is not in (0, 1).
    """
    check_delta(delta)
    total: Counter[Mechanism] = Counter()
    slack = NO_SLACK
    for events in map(EventCounts.of, studies):
        total.update(dict(_dearer(*patient_paths(events, trust))))
        if trust == "secure-sum":
            slack = slack.and_of(slack_of(events))
    return paths_epsilon([tuple(sorted(total.items()))], delta, slack)


def patient_paths(events: Iterable[Event], trust: TrustModel = "local") -> tuple[Tally, Tally]:
    """Return the tallies that a training patient and a held-out patient meet in one study."""
    train: Counter[Mechanism] = Counter()
    holdout: Counter[Mechanism] = Counter()
    for event, times in EventCounts.of(events).distinct():
        population, mechanism = _keyed(event, trust)
        count = times * mechanism_runs(event)
        if population != "holdout":
            train[mechanism] += count
        if population != "train":
            holdout[mechanism] += count
    return tuple(sorted(train.items())), tuple(sorted(holdout.items()))


def tally(events: Iterable[Event], trust: TrustModel = "local") -> Tally:
    """Count equal mechanisms, whatever the population."""
    counts: Counter[Mechanism] = Counter()
    for event, times in EventCounts.of(events).distinct():
        counts[_keyed(event, trust)[1]] += times * mechanism_runs(event)
    return tuple(sorted(counts.items()))


def total_mu(counted: Tally) -> float | None:
    """Return μ of the composition when every release is full-batch, else None."""
    if any(rate != 1 for (_, rate), _ in counted):
        return None
    return _gaussian_mu(counted)


@lru_cache(maxsize=4096)
def pld_of(counted: Tally, delta: float) -> float:
    """Return ε of a tally: closed form when every release is full-batch, else numerical."""
    mu = total_mu(counted)
    return pld_numeric(counted, delta) if mu is None else gdp_epsilon(mu, delta)


@lru_cache(maxsize=4096)
def rdp_of(counted: Tally, delta: float) -> float:
    """Return ε of a tally by Rényi divergences."""
    return rdp_epsilon(counted, delta)


def pld_numeric(counted: Tally, delta: float) -> float:
    """Return ε of a tally through dp-accounting's discretised distributions, closed form or not."""
    if not counted:
        return 0.0
    return float(_distribution(counted, _interval(counted, delta)).get_epsilon_for_delta(delta))


def delta_of(counted: Tally, epsilon: float) -> float:
    """Return the smallest δ at which a tally is (ε, δ)-DP: one point of its privacy curve."""
    mu = total_mu(counted)
    if mu is not None:
        return gdp_delta(mu, epsilon)
    interval = _interval(counted, 1e-5)
    return float(_distribution(counted, interval).get_delta_for_epsilon(epsilon))


def _keyed(event: Event, trust: TrustModel) -> tuple[str, Mechanism]:
    """Return (population, mechanism) as seen under a trust model.

    A sampled release whose rules let one patient change several others counts as full-batch: the
    coins of several patients do not amplify as one patient's coin does (see PROOF.md).
    """
    if isinstance(event, GaussianRelease):
        return event.population, (event.noise_multiplier, 1.0)
    if isinstance(event, SampledGaussianRelease | LocalStepsRelease):
        rate = event.sample_rate if event.stability == 1 else 1.0
        return event.population, (event.noise_multiplier, rate)
    if isinstance(event, SecureSumRelease):
        rate = event.sample_rate if event.stability == 1 else 1.0
        seen = event.noise_multiplier if trust == "secure-sum" else event.share_multiplier
        return event.population, (seen, rate)
    raise ProtocolError("PR005", "a privacy event is not of a known kind")


def _dearer(train: Tally, holdout: Tally) -> Tally:
    mu_train, mu_holdout = total_mu(train), total_mu(holdout)
    if mu_train is not None and mu_holdout is not None:
        return train if mu_train >= mu_holdout else holdout
    return tuple(sorted((Counter(dict(train)) | Counter(dict(holdout))).items()))


def _gaussian_mu(counted: Tally) -> float:
    return math.sqrt(math.fsum(count / sigma**2 for (sigma, rate), count in counted if rate == 1))


def _interval(counted: Tally, delta: float) -> float:
    """Choose the grid of the privacy loss: ε/4000 or finer, a power of two, at most 2^-10."""
    scale = max(rdp_of(counted, delta), 1e-4) / 4000
    return min(2.0**-10, 2.0 ** math.floor(math.log2(scale)))


@lru_cache(maxsize=8)
def _distribution(counted: Tally, interval: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution as pld

    mu = _gaussian_mu(counted)
    parts = [
        _sampled(sigma, rate, interval).self_compose(count)
        for (sigma, rate), count in counted
        if rate != 1
    ]
    if mu > 0:
        parts.append(pld.from_gaussian_mechanism(1 / mu, value_discretization_interval=interval))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.compose(part)
    return whole


@lru_cache(maxsize=16)
def _sampled(sigma: float, rate: float, interval: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution as pld

    return pld.from_gaussian_mechanism(
        sigma, value_discretization_interval=interval, sampling_prob=rate
    )

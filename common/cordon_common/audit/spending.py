"""ε per study, per year and over the ledger's life, recomputed from events by two accountants.

Masked sums are counted under both trust models: what a hospital's share costs by itself, and what
the sum costs when as many sites are honest as the study assumes. A budget stands beside the one
that it is kept under: the study's own trust model, and for the lifetime that of the policy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from cordon_common.audit.result import Spending, judge
from cordon_common.ledger.entries import PolicySet, ReleaseReserved
from cordon_common.privacy.accounting import (
    NO_SLACK,
    Epsilon,
    Tally,
    paths_epsilon,
    patient_paths,
    slack_of,
    study_epsilon,
    tally,
    total_mu,
)
from cordon_common.privacy.events import Event, SecureSumRelease

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.views import View
    from cordon_common.protocol.study import TrustModel

_ROUNDING = 1e-9  # relative; a plan that uses its budget exactly must not fail on the last bit
_MOST_PATHS = 64

ByStudy = dict[str, list[Event]]


def check_spending(bundle: Bundle, view: View) -> tuple[tuple[Row, ...], tuple[Spending, ...]]:
    """Recompute every ε of a hospital's ledger and hold it against study and policy."""
    studies = _per_study(bundle, view)
    lifetime = _lifetime(bundle, view)
    spending = (*studies, *_per_year(bundle, view), *lifetime)
    rows = (
        judge(
            "epsilon",
            "no study cost more than the epsilon it declares",
            _evidence(studies),
            problems=_over(studies),
        ),
        judge(
            "lifetime",
            "all studies together stay within the hospital's lifetime budget",
            _evidence(lifetime),
            problems=_over(_at_each_policy(bundle, view)),
            unproven=() if lifetime else ("the ledger names no policy",),
        ),
        judge(
            "accountants",
            "two independent accountants agree: Rényi never below privacy loss distributions",
            f"{len(spending)} values compared",
            problems=[
                f"{item.scope}: {item.epsilon_rdp:.6g} is below {item.epsilon_pld:.6g}"
                for item in spending
                if item.epsilon_rdp < item.epsilon_pld * (1 - _ROUNDING)
            ],
        ),
    )
    return rows, spending


def composed_epsilon(
    studies: Sequence[Sequence[Event]], delta: float, trust: TrustModel = "local"
) -> Epsilon:
    """Return ε of several studies for the worst-off patient.

    A patient may be a training patient in one study and held out in another; every such path is
    composed, and the largest ε counts. Beyond 64 different paths the remaining studies count as if
    one patient met all of their releases, which is never too small.
    """
    paths: set[Tally] = {()}
    for events in studies:
        few = len(paths) < _MOST_PATHS
        options = _options(events, trust) if few else (tally(events, trust),)
        paths = {_joined(path, option) for path in paths for option in options}
    everything = (event for events in studies for event in events)
    return paths_epsilon(paths, delta, slack_of(everything) if trust == "secure-sum" else NO_SLACK)


def _options(events: Sequence[Event], trust: TrustModel) -> tuple[Tally, ...]:
    """Return the paths through one study that some patient may be worst off on."""
    train, holdout = patient_paths(events, trust)
    mu_train, mu_holdout = total_mu(train), total_mu(holdout)
    if mu_train is not None and mu_holdout is not None:  # the larger Gaussian dominates the smaller
        return (train if mu_train >= mu_holdout else holdout,)
    return (train, holdout)


def _joined(first: Tally, second: Tally) -> Tally:
    counts = Counter(dict(first))
    counts.update(dict(second))
    return tuple(sorted(counts.items()))


def _per_study(bundle: Bundle, view: View) -> tuple[Spending, ...]:
    found = []
    for study, events in _by_study(view).items():
        carried = view.studies.get(study)
        if carried is None or carried.study is None:
            continue  # the rows on approval and studies fail
        promise = carried.study.privacy
        for trust in _trust_models([events], promise.trust_model):
            cost = study_epsilon(events, promise.delta, trust)
            spent = _spending(bundle, carried.name, trust, len(events), (promise.delta, cost))
            found.append(_within(spent, promise.epsilon) if trust == promise.trust_model else spent)
    return tuple(found)


def _trust_models(
    studies: Iterable[Sequence[Event]], first: TrustModel = "local"
) -> tuple[TrustModel, ...]:
    """Return the trust models that tell something: one, or both once anything was masked."""
    if not any(isinstance(event, SecureSumRelease) for events in studies for event in events):
        return (first,)
    return ("local", "secure-sum")


def _per_year(bundle: Bundle, view: View) -> tuple[Spending, ...]:
    delta = _delta(view)
    years = sorted({entry.time[:4] for entry, _ in view.all(ReleaseReserved)})
    found = []
    for year in years:
        studies = list(_by_study(view, year).values())
        for trust in _trust_models(studies):
            cost = composed_epsilon(studies, delta, trust)
            found.append(_spending(bundle, year, trust, sum(map(len, studies)), (delta, cost)))
    return tuple(found)


def _lifetime(bundle: Bundle, view: View) -> tuple[Spending, ...]:
    """Return what was ever spent beside the newest policy."""
    studies = _by_study(view)
    return tuple(
        _under(bundle, policy, studies, trust)
        for _, policy in view.all(PolicySet)[-1:]
        for trust in _trust_models(studies.values(), policy.lifetime_trust_model)
    )


def _at_each_policy(bundle: Bundle, view: View) -> list[Spending]:
    """Return what had been spent when each policy's last release was made.

    A hospital that lowers its budget later has not overspent; one that raises it may not have
    overspent before.
    """
    policies = view.all(PolicySet)
    reserved = [entry.seq for entry, _ in view.all(ReleaseReserved)]
    found = []
    for i, (entry, policy) in enumerate(policies):
        end = policies[i + 1][0].seq if i + 1 < len(policies) else len(view.entries)
        made = [seq for seq in reserved if entry.seq < seq < end]
        if made:
            counted = _by_study(view, until=made[-1])
            found.append(_under(bundle, policy, counted, policy.lifetime_trust_model))
    return found


def _under(bundle: Bundle, policy: PolicySet, studies: ByStudy, trust: TrustModel) -> Spending:
    delta = policy.lifetime_delta
    cost = composed_epsilon(list(studies.values()), delta, trust)
    spent = _spending(bundle, "lifetime", trust, sum(map(len, studies.values())), (delta, cost))
    counts = trust == policy.lifetime_trust_model
    return _within(spent, policy.lifetime_epsilon) if counts else spent


def _delta(view: View) -> float:
    """Return the δ at which a year is reported: the policy's, else the smallest of the studies."""
    policies = view.all(PolicySet)
    if policies:
        return policies[-1][1].lifetime_delta
    return min((s.study.privacy.delta for s in view.studies.values() if s.study), default=1e-6)


def _by_study(view: View, year: str = "", until: int | None = None) -> ByStudy:
    """Group the charged events by study; a reservation counts whether it was settled or not."""
    found: ByStudy = {}
    for entry, body in view.all(ReleaseReserved):
        if entry.time.startswith(year) and (until is None or entry.seq <= until):
            found.setdefault(body.slot.study, []).append(body.event)
    return found


def _spending(
    bundle: Bundle, scope: str, trust: TrustModel, releases: int, cost: tuple[float, Epsilon]
) -> Spending:
    """Write down a cost, given as (δ, ε at it)."""
    manifest = bundle.manifest
    return Spending(
        site=manifest.name,
        dataset=manifest.dataset or "",
        scope=scope,
        trust_model=trust,
        releases=releases,
        delta=cost[0],
        epsilon_pld=cost[1].pld,
        epsilon_rdp=cost[1].rdp,
        budget=None,
    )


def _within(spent: Spending, budget: float) -> Spending:
    return replace(spent, budget=budget)


def _evidence(items: Sequence[Spending]) -> str:
    return (
        "; ".join(
            f"{item.scope}: {item.epsilon_pld:.4g} of {item.budget:.4g} at delta {item.delta:.3g}"
            f"{' (secure-sum)' if item.trust_model == 'secure-sum' else ''}"
            for item in items
            if item.budget is not None
        )
        or "nothing was released"
    )


def _over(items: Sequence[Spending]) -> list[str]:
    return [
        f"{item.scope} cost {item.epsilon_pld:.6g}, allowed are {item.budget:.6g}"
        for item in items
        if item.budget is not None and item.epsilon_pld > item.budget * (1 + _ROUNDING)
    ]

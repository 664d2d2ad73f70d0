"""ε per study, per year and over the ledger's life, recomputed from events by two accountants."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cordon_common.audit.result import Spending, judge
from cordon_common.ledger.entries import PolicySet, ReleaseReserved
from cordon_common.privacy.accounting import (
    Epsilon,
    Tally,
    patient_paths,
    pld_of,
    rdp_of,
    study_epsilon,
    tally,
    total_mu,
)
from cordon_common.privacy.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.views import View

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


def composed_epsilon(studies: Sequence[Sequence[Event]], delta: float) -> Epsilon:
    """Return ε of several studies for the worst-off patient.

    A patient may be a training patient in one study and held out in another; every such path is
    composed, and the largest ε counts. Beyond 64 different paths the remaining studies count as if
    one patient met all of their releases, which is never too small.
    """
    paths: set[Tally] = {()}
    for events in studies:
        options = _options(events) if len(paths) < _MOST_PATHS else (tally(events),)
        paths = {_joined(path, option) for path in paths for option in options}
    return Epsilon(
        pld=max(pld_of(path, delta) for path in paths),
        rdp=max(rdp_of(path, delta) for path in paths),
    )


def _options(events: Sequence[Event]) -> tuple[Tally, ...]:
    """Return the paths through one study that some patient may be worst off on."""
    train, holdout = patient_paths(events)
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
        cost = study_epsilon(events, promise.delta)
        found.append(
            _spending(bundle, carried.name, len(events), promise.delta, cost, promise.epsilon)
        )
    return tuple(found)


def _per_year(bundle: Bundle, view: View) -> tuple[Spending, ...]:
    delta = _delta(view)
    years = sorted({entry.time[:4] for entry, _ in view.all(ReleaseReserved)})
    found = []
    for year in years:
        studies = _by_study(view, year)
        cost = composed_epsilon(list(studies.values()), delta)
        found.append(_spending(bundle, year, sum(map(len, studies.values())), delta, cost, None))
    return tuple(found)


def _lifetime(bundle: Bundle, view: View) -> tuple[Spending, ...]:
    """Return what was ever spent beside the newest policy."""
    policies = view.all(PolicySet)
    return tuple(_under(bundle, policy, _by_study(view)) for _, policy in policies[-1:])


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
            found.append(_under(bundle, policy, _by_study(view, until=made[-1])))
    return found


def _under(bundle: Bundle, policy: PolicySet, studies: ByStudy) -> Spending:
    cost = composed_epsilon(list(studies.values()), policy.lifetime_delta)
    releases = sum(map(len, studies.values()))
    return _spending(
        bundle, "lifetime", releases, policy.lifetime_delta, cost, policy.lifetime_epsilon
    )


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
    bundle: Bundle, scope: str, releases: int, delta: float, cost: Epsilon, budget: float | None
) -> Spending:
    manifest = bundle.manifest
    return Spending(
        site=manifest.name,
        dataset=manifest.dataset or "",
        scope=scope,
        trust_model="local",
        releases=releases,
        delta=delta,
        epsilon_pld=cost.pld,
        epsilon_rdp=cost.rdp,
        budget=budget,
    )


def _evidence(items: Sequence[Spending]) -> str:
    return (
        "; ".join(
            f"{item.scope}: {item.epsilon_pld:.4g} of {item.budget:.4g} at delta {item.delta:.3g}"
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

"""What the audit report says, as data: verdict, privacy facts per study, every release, every ε.

Everything is recomputed from the bundles; nothing is read that could claim an ε. No clock, no path
and no host name goes in, so equal bundles give equal reports.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cordon_common.audit.bundle import Bundle, read_bundle
from cordon_common.audit.spending import composed_epsilon
from cordon_common.audit.verify import verify_bundles
from cordon_common.audit.views import View
from cordon_common.canonical import parse_json
from cordon_common.errors import CheckFailed, CordonError
from cordon_common.ledger.bundle import SOFTWARE
from cordon_common.ledger.entries import (
    LedgerCreated,
    PolicySet,
    ReleaseReserved,
    ReleaseSettled,
    SiteOpened,
)
from cordon_common.ledger.probed import ProbeDone
from cordon_common.privacy.accounting import Epsilon, study_epsilon
from cordon_common.privacy.explain import Explanation, explain
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.audit.result import AuditResult
    from cordon_common.audit.views import SignedStudy
    from cordon_common.canonical import Json
    from cordon_common.ledger.entries import Entry
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study

_MOST_STEPS = 48
"""Points of a burn-down curve; a ledger with more releases is drawn at so many of them."""


@dataclass(frozen=True)
class Release:
    """One charged release. digest: of what left, empty while it was reserved only.

    noise_multiplier: standard deviation ÷ L2 sensitivity; sensitivity_grid, noise_std_grid: in
    steps of the integer grid; sample_rate: 1 for full batch; numbers: how many integers left.
    """

    site: str
    seq: int
    time: str
    study: str
    phase: str
    round: int
    attempt: int
    noise_multiplier: float
    sensitivity_grid: float
    noise_std_grid: float
    sample_rate: float
    numbers: int
    patients: str
    digest: str


@dataclass(frozen=True)
class Step:
    """The lifetime ε of a ledger after `releases` releases, the last of them at `time`."""

    releases: int
    time: str
    epsilon: float


@dataclass(frozen=True)
class BurnDown:
    """How a lifetime budget was used up. budget: None without a policy; trust_model: how it counts."""

    site: str
    dataset: str
    trust_model: str
    delta: float
    budget: float | None
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class SiteCost:
    """What one study cost one hospital's worst-off patient, by both accountants.

    epsilon: under the study's trust model; local: what the same releases cost by themselves.
    """

    site: str
    releases: int
    epsilon: Epsilon
    local: Epsilon


@dataclass(frozen=True)
class StudyFacts:
    """One signed study as the ledgers saw it; `explanation` is about the hospital that spent most."""

    name: str
    digest: str
    study: Study
    signer: str
    costs: tuple[SiteCost, ...]
    explanation: Explanation

    @property
    def worst(self) -> SiteCost:
        """The hospital that spent most."""
        return max(self.costs, key=lambda cost: (cost.epsilon.pld, cost.site))


@dataclass(frozen=True)
class LogFacts:
    """One bundle's identity: whose log, how long, which head, which key, which software."""

    title: str
    role: str
    name: str
    entries: int
    root: str
    key: str
    first: str
    last: str
    software: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AuditFacts:
    """All that the report shows."""

    result: AuditResult
    logs: tuple[LogFacts, ...]
    studies: tuple[StudyFacts, ...]
    budgets: tuple[BurnDown, ...]
    releases: tuple[Release, ...]
    unprobed: tuple[str, ...]

    def as_json(self) -> Json:
        """Return the JSON value of the report; equal bundles give equal values."""
        return {
            "report": "cordon.audit-report.v1",
            "audit": self.result.as_json(),
            "logs": [asdict(log) for log in self.logs],
            "studies": [
                {
                    "name": item.name,
                    "digest": item.digest,
                    "costs": [asdict(cost) for cost in item.costs],
                    "explanation": item.explanation.as_json(),
                }
                for item in self.studies
            ],
            "budgets": [asdict(item) for item in self.budgets],
            "releases": [asdict(item) for item in self.releases],
            "unprobed": list(self.unprobed),
        }


def audit_facts(paths: Sequence[Path], *, trusted: Sequence[PublicKey] = ()) -> AuditFacts:
    """Verify bundles and gather everything that a report shows.

    Raises:
        UsageError: US002 when a file is missing.
    """
    result = verify_bundles(paths, trusted=trusted)
    read = sorted(_readable(paths), key=lambda pair: (pair[0].manifest.role, pair[0].title))
    # "coordinator" sorts before "site"
    sites = [pair for pair in read if pair[0].manifest.role == "site"]
    return AuditFacts(
        result=result,
        logs=tuple(_log(bundle, view) for bundle, view in read),
        studies=_studies(sites),
        budgets=tuple(_burn_down(bundle, view) for bundle, view in sites),
        releases=tuple(release for bundle, view in sites for release in _releases(bundle, view)),
        unprobed=tuple(bundle.manifest.name for bundle, view in sites if _unprobed(view)),
    )


def _readable(paths: Sequence[Path]) -> list[tuple[Bundle, View]]:
    """Return the bundles whose every entry can be read; the others are FAIL rows already."""
    found = []
    for path in paths:
        try:
            bundle = read_bundle(path)
        except CheckFailed:
            continue
        if not bundle.parsed[1]:
            found.append((bundle, View.of(bundle.parsed[0])))
    return found


def _log(bundle: Bundle, view: View) -> LogFacts:
    entries = view.entries
    return LogFacts(
        title=bundle.title,
        role=bundle.manifest.role,
        name=bundle.manifest.name,
        entries=len(entries),
        root=bundle.roots[-1].hex(),
        key=PublicKey.parse(bundle.manifest.key).fingerprint,
        first=entries[0].time if entries else "",
        last=entries[-1].time if entries else "",
        software=_software(bundle, view),
    )


def _software(bundle: Bundle, view: View) -> tuple[tuple[str, str], ...]:
    """Return what the vault said at its last start, else what the exporting machine said."""
    opened = view.all(SiteOpened)
    if opened:
        return tuple(sorted(opened[-1][1].software.items()))
    try:
        value = parse_json(bundle.files.get(SOFTWARE, b"{}"))
    except CordonError:
        return ()
    return tuple(sorted((str(k), str(v)) for k, v in value.items())) if value else ()


def _studies(sites: Sequence[tuple[Bundle, View]]) -> tuple[StudyFacts, ...]:
    carried: dict[str, SignedStudy] = {}
    events: dict[str, dict[str, list[Event]]] = {}
    for bundle, view in sites:
        carried |= view.studies
        for _, body in view.all(ReleaseReserved):
            mine = events.setdefault(body.slot.study, {})
            mine.setdefault(bundle.manifest.name, []).append(body.event)
    found = []
    for digest, spent in events.items():
        signed = carried.get(digest)
        if signed is None or signed.study is None:
            continue  # the rows on studies and approval fail
        found.append(_study(signed, signed.study, spent))
    return tuple(sorted(found, key=lambda item: (item.name, item.digest)))


def _study(signed: SignedStudy, study: Study, spent: dict[str, list[Event]]) -> StudyFacts:
    delta, trust = study.privacy.delta, study.privacy.trust_model
    costs = tuple(
        SiteCost(
            site,
            len(events),
            study_epsilon(events, delta, trust),
            study_epsilon(events, delta),
        )
        for site, events in sorted(spent.items())
    )
    worst = max(costs, key=lambda cost: (cost.epsilon.pld, cost.site)).site
    return StudyFacts(
        name=signed.name,
        digest=signed.digest,
        study=study,
        signer=signed.signer.fingerprint if signed.signer else "nobody",
        costs=costs,
        explanation=explain(spent[worst], delta, trust),
    )


def _burn_down(bundle: Bundle, view: View) -> BurnDown:
    policies = view.all(PolicySet)
    deltas = [s.study.privacy.delta for s in view.studies.values() if s.study]
    delta = policies[-1][1].lifetime_delta if policies else min(deltas, default=1e-6)
    trust = policies[-1][1].lifetime_trust_model if policies else "local"
    reserved = view.all(ReleaseReserved)
    spent: dict[str, list[Event]] = {}
    steps = [Step(0, _created(view), 0.0)]
    drawn = _evenly(len(reserved), _MOST_STEPS)
    for count, (entry, body) in enumerate(reserved, start=1):
        spent.setdefault(body.slot.study, []).append(body.event)
        if count in drawn:
            cost = composed_epsilon(list(spent.values()), delta, trust)
            steps.append(Step(count, entry.time, cost.pld))
    budget = policies[-1][1].lifetime_epsilon if policies else None
    return BurnDown(
        bundle.manifest.name, bundle.manifest.dataset or "", trust, delta, budget, tuple(steps)
    )


def _created(view: View) -> str:
    created: list[tuple[Entry, LedgerCreated]] = view.all(LedgerCreated)
    return created[0][0].time if created else ""


def _unprobed(view: View) -> bool:
    """Tell whether a ledger releases in some study whose mechanism was not tested there."""
    probed = {body.study for _, body in view.all(ProbeDone)}
    return any(body.slot.study not in probed for _, body in view.all(ReleaseReserved))


def _evenly(count: int, most: int) -> set[int]:
    """Pick at most `most` of 1…count, the first and the last among them."""
    if count <= most:
        return set(range(1, count + 1))
    return {1 + round(i * (count - 1) / (most - 1)) for i in range(most)}


def _releases(bundle: Bundle, view: View) -> list[Release]:
    settled = {body.reserved: body.release for _, body in view.all(ReleaseSettled)}
    found = []
    for entry, body in view.all(ReleaseReserved):
        event, slot = body.event, body.slot
        carried = view.studies.get(slot.study)
        found.append(
            Release(
                site=bundle.manifest.name,
                seq=entry.seq,
                time=entry.time,
                study=carried.name if carried else slot.study[:23] + "…",
                phase=slot.phase,
                round=slot.round,
                attempt=slot.attempt,
                noise_multiplier=event.noise_multiplier,
                sensitivity_grid=event.sensitivity_grid,
                noise_std_grid=event.noise_std_grid,
                sample_rate=getattr(event, "sample_rate", 1.0),
                numbers=event.dimension,
                patients=event.population,
                digest=settled.get(entry.seq, ""),
            )
        )
    return found

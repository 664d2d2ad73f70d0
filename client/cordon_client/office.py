"""The hospital's desk: approvals, budget, export; what a person does with the ledger open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cordon_client.approval import Terms, study_of, terms_of
from cordon_client.vault.budget import held_studies
from cordon_client.vault.policy import (
    check_clock,
    check_lifetime,
    check_permit,
    check_study,
    load_policy,
    policy_entry,
)
from cordon_client.vault.sum_keys import SumKeys
from cordon_common.errors import PolicyRefused, UsageError
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.parse import open_study
from cordon_common.signing import SigningKey

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from cordon_client.home import SiteHome
    from cordon_client.vault.policy import SitePolicy
    from cordon_common.canonical import Json
    from cordon_common.clock import Clock
    from cordon_common.ledger.probed import ProbeDone
    from cordon_common.ledger.witness import Standing
    from cordon_common.protocol.study import Study, TrustModel
    from cordon_common.signing import Envelope


@dataclass(frozen=True)
class StudyBudget:
    """One approved study: ε of its plan and of what was executed so far, at its own δ.

    Under the study's own trust model; `local_*` is what the releases cost by themselves, whoever
    colludes with whom, and is the same for a study without masks.
    """

    name: str
    digest: str
    closed: bool
    delta: float
    trust_model: TrustModel
    planned_epsilon: float
    spent_epsilon: float
    local_planned_epsilon: float
    local_spent_epsilon: float
    releases: int

    def as_json(self) -> Json:
        """Return the JSON value."""
        return dict(vars(self))


@dataclass(frozen=True)
class SeenLog:
    """A coordinator's log as this site saw it last; code: why it is refused now, empty if not."""

    coordinator: str
    origin: str
    entries: int
    seen_at: str
    code: str
    refused_at: str


@dataclass(frozen=True)
class BudgetView:
    """The lifetime budget and the studies that use it; every ε is recomputed from events.

    trust_model: under which the policy counts the lifetime budget.
    """

    lifetime_epsilon: float
    lifetime_delta: float
    trust_model: TrustModel
    held_epsilon: float
    studies: tuple[StudyBudget, ...]
    logs: tuple[SeenLog, ...] = ()

    def as_json(self) -> Json:
        """Return the JSON value."""
        return {
            "lifetime_epsilon": self.lifetime_epsilon,
            "lifetime_delta": self.lifetime_delta,
            "trust_model": self.trust_model,
            "held_epsilon": self.held_epsilon,
            "studies": [study.as_json() for study in self.studies],
            "coordinator_logs": [dict(vars(log)) for log in self.logs],
        }


class Office:
    """An open ledger with the policy beside it; use as a context manager."""

    def __init__(
        self, home: SiteHome, ledger: SiteLedger, policy: SitePolicy, clock: Clock
    ) -> None:
        self._home = home
        self._policy = policy
        self._clock = clock
        self.ledger = ledger

    @classmethod
    def open(cls, home: SiteHome, *, clock: Clock) -> Office:
        """Open a site's ledger, which verifies it.

        Raises:
            IntegrityError: IN101 to IN109 for the ledger, IN002 for the key.
            UsageError: US002; ProtocolError: PR004.
        """
        config = home.config()
        policy = load_policy(home.policy_file)
        ledger = SiteLedger.open(
            home.ledger,
            key=SigningKey.load(home.identity_key),
            site=config.name,
            dataset=config.dataset.id,
            clock=clock,
        )
        return cls(home, ledger, policy, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ledger.close()

    def examine(self, envelope: Envelope) -> Terms:
        """Check a signed study against the policy and say what it lets out; records nothing.

        Raises:
            ProtocolError: PR001, PR003, PR007; IntegrityError: IN001.
            PolicyRefused: PO101 to PO105, PO112; BudgetExhausted: BU001; SystemFault: SY102.
        """
        check_clock(self.ledger.latest_time(), self._clock())
        study = open_study(envelope, self._policy.trusted_keys)
        check_study(self._policy, study, self.ledger.site, self.ledger.public_key)
        check_permit(study, self._clock().date())
        if self.ledger.is_closed(study.digest):
            raise PolicyRefused("PO112")
        self._check_budget(study)
        return terms_of(study)

    def approve(self, envelope: Envelope, *, by: str) -> Terms:
        """Record the approval; the study's whole plan is held against the budget from here on.

        Raises:
            As `examine`; of two approvals racing for the last of the budget one is refused.
        """
        terms = self.examine(envelope)
        self.ledger.record(policy_entry(self._policy))
        self.ledger.approve(
            envelope,
            terms.as_json(),
            admit=lambda: self._check_budget(terms.study),
            approved_by=by,
        )
        return terms

    def close_study(self, name: str) -> Study:
        """Close an approved study by name or digest; its unspent part becomes free again.

        Raises:
            UsageError: US005 when no approved study is called so.
        """
        for approval in self.ledger.approvals():
            study = study_of(approval.envelope)
            if name in {study.name, study.digest} and not self.ledger.is_closed(study.digest):
                self.ledger.close_study(study.digest, "withdrawn")
                SumKeys(self._home.sum_secrets).forget(study.digest)
                return study
        raise UsageError("US005")

    def approved_study(self, name: str) -> Study:
        """Return an approved study by name or digest, the newest where several have one name.

        Raises:
            UsageError: US005 when no approved study is called so.
        """
        for approval in reversed(self.ledger.approvals()):
            study = study_of(approval.envelope)
            if name in {study.name, study.digest}:
                return study
        raise UsageError("US005")

    def record_probe(self, entry: ProbeDone) -> None:
        """Note what a test of the running mechanism found; the vault acts on it."""
        self.ledger.record(entry)

    def budget(self) -> BudgetView:
        """Recompute what the studies spent and hold."""
        lifetime = self._policy.lifetime
        held = [events for _, events in held_studies(self.ledger)]
        return BudgetView(
            lifetime.epsilon,
            lifetime.delta,
            lifetime.trust_model,
            self._policy.budget.spent(held),
            tuple(self._study_budget(study) for study, _ in held_studies(self.ledger)),
            self.seen_logs(),
        )

    def seen_logs(self) -> tuple[SeenLog, ...]:
        """List the coordinators' logs that this site witnessed, and which are refused now."""
        return tuple(_seen_log(standing) for standing in self.ledger.witness.standings())

    def lifetime(self, terms: Terms) -> tuple[float, float, float]:
        """Return lifetime ε, ε held now, and ε held once this study is approved as well."""
        budget = self._policy.budget
        others = [
            events
            for study, events in held_studies(self.ledger)
            if study.digest != terms.study.digest
        ]
        asked = planned_events(terms.study).all_events()
        return budget.epsilon, budget.spent(others), budget.spent([*others, asked])

    def export(self, output: Path) -> None:
        """Write the site's audit bundle, after the policy that it holds was noted."""
        self.ledger.record(policy_entry(self._policy))
        from cordon_common.ledger.bundle import export_site_bundle

        export_site_bundle(self.ledger, output, policy=self._policy.model_dump(mode="json"))

    def _check_budget(self, study: Study) -> None:
        others = [
            events for other, events in held_studies(self.ledger) if other.digest != study.digest
        ]
        check_lifetime(self._policy, others, planned_events(study).all_events())

    def _study_budget(self, study: Study) -> StudyBudget:
        delta, trust = study.privacy.delta, study.privacy.trust_model
        planned = planned_events(study).all_events()
        spent = self.ledger.spent(study.digest)
        return StudyBudget(
            name=study.name,
            digest=study.digest,
            closed=self.ledger.is_closed(study.digest),
            delta=delta,
            trust_model=trust,
            planned_epsilon=study_epsilon(planned, delta, trust).pld,
            spent_epsilon=study_epsilon(spent, delta, trust).pld,
            local_planned_epsilon=study_epsilon(planned, delta).pld,
            local_spent_epsilon=study_epsilon(spent, delta).pld,
            releases=len(spent),
        )


def _seen_log(standing: Standing) -> SeenLog:
    sight, alarm = standing.sight, standing.alarm
    return SeenLog(
        coordinator=standing.coordinator.fingerprint,
        origin=sight.checkpoint.origin if sight else "",
        entries=sight.checkpoint.size if sight else 0,
        seen_at=sight.time if sight else "",
        code=alarm.code if alarm else "",
        refused_at=alarm.time if alarm else "",
    )

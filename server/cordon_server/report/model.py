"""What a report says, as data: everything recomputed from study, receipts, releases, decisions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cordon_common.ledger.reviewed import ReviewDecided
from cordon_common.privacy.explain import explain
from cordon_common.protocol.parse import open_study
from cordon_common.qc.harmonise.summaries import Harmonisation, align
from cordon_server import optimizer
from cordon_server.biomarkers import Coefficient, coefficients
from cordon_server.journal import Journal, RoundRecord, SiteReply
from cordon_server.report.privacy import PrivacyFacts, privacy_facts
from cordon_server.report.sites import (
    Evaluated,
    SiteFacts,
    evaluated_together,
    site_facts,
    summaries_of,
)
from cordon_server.spending import site_events

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_server.coordinator import Coordinator
    from cordon_server.report.extra import AuditOutcome, LocalReports
    from cordon_server.store import CampaignState


@dataclass(frozen=True)
class ReportModel:
    """One campaign, ready to be shown; parts that do not exist yet are None or empty.

    coordinator: fingerprint of the key that signed the study. meaning: what the ε that was spent
    means in plain sentences. together: None also when one hospital brings most of the held-out
    patients. harmonisation: of the hospitals that the gate let in. software: versions by who runs them.
    """

    study: Study
    digest: str
    campaign: str
    status: str
    code: str
    coordinator: str
    privacy: PrivacyFacts
    meaning: tuple[str, ...]
    sites: tuple[SiteFacts, ...]
    together: Evaluated | None
    harmonisation: Harmonisation | None
    rounds: tuple[RoundRecord, ...]
    coefficients: tuple[Coefficient, ...]
    weights_digest: str
    software: dict[str, dict[str, str]]
    audit: AuditOutcome | None

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["study"] = self.study.as_json()
        value["audit"] = self.audit.model_dump(mode="json") if self.audit else None
        for name in ("sites", "rounds", "coefficients"):
            value[name] = [_plain(item) for item in value[name]]
        for name in ("privacy", "together", "harmonisation"):
            value[name] = _plain(value[name]) if value[name] is not None else None
        return value


def report_model(
    coordinator: Coordinator,
    state: CampaignState,
    audit: AuditOutcome | None = None,
    local: LocalReports | None = None,
) -> ReportModel:
    """Gather a campaign's report; works at any stage of it."""
    stored = coordinator.store.find_study(state.study)
    key = coordinator.home.signing_key().public
    study = open_study(stored.envelope, (key,))
    journal = Journal(coordinator.store, state.campaign, coordinator.clock)
    replies, facts, rounds = journal.replies(), journal.facts(), journal.rounds()
    privacy = privacy_facts(study, site_events(replies))
    weights = _weights(journal, rounds)
    return ReportModel(
        study=study,
        digest=stored.digest,
        campaign=state.campaign,
        status=state.status,
        code=state.code,
        coordinator=key.fingerprint,
        privacy=privacy,
        meaning=explain(
            privacy.worst_events, study.privacy.delta, study.privacy.trust_model
        ).sentences,
        sites=site_facts(study, journal, local, _because(coordinator, state)),
        together=evaluated_together(study, replies),
        harmonisation=_harmonisation(study, replies, facts.get("gate", {}).get("included")),
        rounds=rounds,
        coefficients=()
        if weights is None
        else coefficients(study, weights, [len(record.sites) for record in rounds]),
        weights_digest=str(facts.get("model_card", {}).get("model", {}).get("weights", "")),
        software={"coordinator": facts.get("coordinator_software", {})} | facts.get("software", {}),
        audit=audit,
    )


def _because(coordinator: Coordinator, state: CampaignState) -> dict[str, str]:
    """Return by hospital why a person decided about it, from the coordinator's log; the last wins."""
    return {
        body.site: body.because
        for body in coordinator.log.bodies_from(0)
        if isinstance(body, ReviewDecided) and body.run == state.campaign
    }


def _harmonisation(
    study: Study, replies: Sequence[SiteReply], included: Collection[str] | None
) -> Harmonisation | None:
    """Compare the hospitals that the gate let in; before it decided there is nothing to compare."""
    if included is None:
        return None
    summaries = summaries_of(study, replies)
    return align(study, {site: summaries[site] for site in included if site in summaries})


def _weights(journal: Journal, rounds: tuple[RoundRecord, ...]) -> optimizer.Vector | None:
    if not rounds:
        return None
    return optimizer.averaged_weights(optimizer.from_arrays(journal.snapshot()))


def _plain(item: object) -> Json:
    as_json = getattr(item, "as_json", None)
    return as_json() if as_json is not None else asdict(item)  # type: ignore[call-overload]

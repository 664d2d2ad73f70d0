"""What a campaign has cost each site so far: recomputed from the receipts, never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.ledger.receipt import Receipt
from cordon_common.privacy.accounting import Epsilon, study_epsilon
from cordon_common.privacy.schedule import planned_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study
    from cordon_server.journal import SiteReply


def site_events(replies: Iterable[SiteReply]) -> dict[str, list[Event]]:
    """Return the events that each site's checked receipts state, by site."""
    events: dict[str, list[Event]] = {}
    for reply in replies:
        if reply.receipt is not None:
            event = Receipt.model_validate(reply.receipt.payload).event
            events.setdefault(reply.site, []).append(event)
    return events


def epsilon_spent(study: Study, replies: Iterable[SiteReply]) -> dict[str, Epsilon]:
    """Return ε at the study's δ that each site has spent in this campaign, as executed."""
    promise = study.privacy
    return {
        site: study_epsilon(events, promise.delta, promise.trust_model)
        for site, events in site_events(replies).items()
    }


def local_epsilon_spent(study: Study, replies: Iterable[SiteReply]) -> dict[str, Epsilon]:
    """Return what each site's releases cost by themselves, whoever unmasks them."""
    delta = study.privacy.delta
    return {site: study_epsilon(events, delta) for site, events in site_events(replies).items()}


def epsilon_after(study: Study, rounds: int, *, evaluated: bool) -> Epsilon:
    """Return ε at the study's δ after QC and a number of rounds: what every taking part costs."""
    plan = planned_events(study)
    events = [plan.qc, *[plan.training] * rounds, *([plan.evaluation] if evaluated else [])]
    return study_epsilon(events, study.privacy.delta, study.privacy.trust_model)

"""What the approved studies hold of the lifetime budget, and whether anything is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.approval import study_of
from cordon_common.privacy.schedule import planned_events

if TYPE_CHECKING:
    from collections.abc import Collection

    from cordon_client.vault.policy import SitePolicy
    from cordon_common.ledger.site import SiteLedger
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study


def held_studies(ledger: SiteLedger) -> list[tuple[Study, Collection[Event]]]:
    """List per study the events that count: its whole plan, or once closed what was spent."""
    held: list[tuple[Study, Collection[Event]]] = []
    for approval in ledger.approvals():
        study = study_of(approval.envelope)
        if ledger.is_closed(study.digest):
            held.append((study, ledger.spent(study.digest)))
        else:
            held.append((study, planned_events(study).all_events()))
    return held


def budget_left(policy: SitePolicy, ledger: SiteLedger) -> bool:
    """Tell whether anything new may still be released: in an open study, or of the lifetime budget.

    Repeats of stored answers need no budget and are given in any case.
    """
    held = held_studies(ledger)
    for study, events in held:
        open_here = not ledger.is_closed(study.digest)
        if open_here and len(ledger.spent(study.digest)) < len(events):
            return True
    return policy.budget.remaining([events for _, events in held]) > 0

"""What a person decides about a site that the gate doubts; only the gate can still use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cordon_common.errors import UsageError
from cordon_common.ledger.reviewed import ReviewDecided
from cordon_server.journal import Journal, Note
from cordon_server.phases.quality import KEEP_OUT, LET_IN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_server.coordinator import Coordinator
    from cordon_server.store import CampaignState


@dataclass(frozen=True)
class Ruling:
    """A decision: what, by which account, and why; all of it goes into the coordinator's log."""

    decision: Literal["let_in", "keep_out"]
    by: str
    because: str


def rule_on_sites(
    coordinator: Coordinator, state: CampaignState, sites: Sequence[str], ruling: Ruling
) -> None:
    """Record a decision about sites under review; an earlier one about them is replaced.

    Raises:
        UsageError: US001 when the gate is behind the campaign or a site is not under review.
    """
    if not sites:
        return
    if state.phase != "gate":
        raise UsageError("US001", f"the gate is closed: the campaign is at {state.phase}")
    journal = Journal(coordinator.store, state.campaign, coordinator.clock, coordinator.log)
    facts = journal.facts()
    decisions = facts.get("gate", {"sites": []})["sites"]
    known = {*facts.get(LET_IN, []), *facts.get(KEEP_OUT, [])}
    waiting = {item["site"] for item in decisions if item["action"] == "review"} | known
    for site in sites:
        if site not in waiting:
            raise UsageError("US001", f"{site} is not under review")
    own, other = (LET_IN, KEEP_OUT) if ruling.decision == "let_in" else (KEEP_OUT, LET_IN)
    journal.remember(other, sorted(set(facts.get(other, [])) - set(sites)))
    note = "site.let-in" if ruling.decision == "let_in" else "site.kept-out"
    entries = tuple(
        ReviewDecided(
            study=state.study,
            run=state.campaign,
            site=site,
            decision=ruling.decision,
            by=ruling.by,
            because=ruling.because,
        )
        for site in sites
    )
    journal.remember(
        own,
        sorted({*facts.get(own, []), *sites}),
        *(Note(note, site=site, detail={"because": ruling.because}) for site in sites),
        entries=entries,
    )

"""Following a campaign from outside: the store is read, nobody is disturbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.errors import CordonError
from cordon_server.runs import run_has_ended
from cordon_server.view import is_over, signed_study, view_campaign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cordon_server.context import Waiting
    from cordon_server.coordinator import Coordinator
    from cordon_server.store import CampaignState, ProgressEvent
    from cordon_server.view import CampaignView

POLL_S = 0.5
QUIET_S = 10.0


def state_of(coordinator: Coordinator, campaign: str) -> CampaignState:
    """Return where a campaign stands now."""
    (state,) = (s for s in coordinator.store.campaigns() if s.campaign == campaign)
    return state


def follow(
    coordinator: Coordinator,
    campaign: str,
    waiting: Waiting,
    is_abandoned: Callable[[CampaignState], bool],
) -> Iterator[tuple[tuple[ProgressEvent, ...], CampaignView]]:
    """Yield new events and the view, whenever there is news, until the campaign is over.

    is_abandoned: asked now and then while nothing happens, whether nobody carries the campaign any
    more; the sequence then ends with a view that is not over.
    """
    study = signed_study(coordinator, state_of(coordinator, campaign))
    seen, quiet_since_s = 0, waiting.now_s()
    while True:
        state = state_of(coordinator, campaign)
        events = coordinator.store.progress_after(campaign, seen)
        if events or not seen or is_over(state):
            yield events, view_campaign(coordinator, state, study)
        if is_over(state):
            return
        if events:
            seen, quiet_since_s = events[-1].seq, waiting.now_s()
        elif waiting.now_s() - quiet_since_s > QUIET_S:
            quiet_since_s = waiting.now_s()
            if is_abandoned(state):
                return
        waiting.sleep(POLL_S)


def abandoned(coordinator: Coordinator, state: CampaignState) -> bool:
    """Tell whether the Flower run that carried a campaign is over, or its SuperLink is gone."""
    if not state.flower_run:
        return state.status == "ready"
    try:
        return run_has_ended(coordinator.home, state.flower_run)
    except CordonError:
        return True

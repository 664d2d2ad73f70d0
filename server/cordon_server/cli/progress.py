"""Showing a campaign live: a table on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.live import Live

from cordon_common.cli import console
from cordon_common.errors import error_for
from cordon_common.privacy.planner import plan
from cordon_common.protocol.parse import open_study
from cordon_server.cli.render import campaign_view, plan_view
from cordon_server.context import Waiting
from cordon_server.view import event_line, view_campaign
from cordon_server.watching import abandoned, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_server.coordinator import Coordinator
    from cordon_server.store import CampaignState, ProgressEvent, StoredStudy
    from cordon_server.view import CampaignView


def watch_campaign(coordinator: Coordinator, campaign: str, *, as_json: bool) -> None:
    """Follow a campaign to its end.

    Raises:
        CordonError: with the code that stopped it; SY022 when its process has ended.
    """
    news = follow(
        coordinator,
        campaign,
        Waiting(time.monotonic, time.sleep),
        lambda state: abandoned(coordinator, state),
    )
    view: CampaignView | None = None
    if as_json:
        for events, current in news:
            view = current
            for event in events:
                _json_line(asdict(event))
    elif console.stderr().is_terminal:
        with Live(console=console.stderr(), auto_refresh=False) as live:
            for _, view in news:
                live.update(campaign_view(view), refresh=True)
    else:
        for events, view in news:
            _plain_lines(events, view)
    if view is not None:
        _conclude(view, as_json=as_json)


def show_once(coordinator: Coordinator, state: CampaignState, *, as_json: bool) -> None:
    """Show where a campaign stands."""
    view = view_campaign(coordinator, state)
    if as_json:
        console.print_json(view.as_json())
    else:
        console.show(campaign_view(view))


def show_cost(coordinator: Coordinator, stored: StoredStudy, *, as_json: bool) -> None:
    """Show what each site would spend on a signed study; nothing is spent."""
    study = open_study(stored.envelope, (coordinator.home.signing_key().public,))
    made = plan(study, simulate=False)
    if as_json:
        console.print_json(made.as_json())
    else:
        console.show(plan_view(made))


def _plain_lines(events: Sequence[ProgressEvent], view: CampaignView) -> None:
    for event in events:
        console.note(event_line(event, view.rounds))
        if event.event == "round.finished":
            spent = ", ".join(f"{s.site} {s.epsilon_pld:.3f}" for s in view.sites)
            console.note(f"  epsilon spent: {spent}")


def _conclude(view: CampaignView, *, as_json: bool) -> None:
    if as_json:
        _json_line({"event": "view"} | view.as_json())
    if view.status == "finished":
        console.success(f"{view.campaign} has finished")
        return
    if view.status == "stopped":
        error = error_for(view.code)
        raise type(error)(view.code, why=view.why, fix=f"cordon study resume {view.study}")
    raise error_for("SY022")


def _json_line(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
    sys.stdout.flush()

"""A campaign as people watch it: where it stands, who takes part, what each site has spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from cordon_common.protocol.parse import open_study
from cordon_server.journal import Journal
from cordon_server.spending import epsilon_spent

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_server.coordinator import Coordinator
    from cordon_server.store import CampaignState, ProgressEvent

PHASE_NAMES = ("enrol", "qc", "gate", "train", "evaluate", "close")
_STATUS = {
    "site.online": "online",
    "site.offline": "offline",
    "site.joined": "joined",
    "site.answered": "taking part",
    "site.admitted": "taking part",
    "site.excluded": "excluded",
    "site.review": "under review",
    "site.failed": "failed",
}


@dataclass(frozen=True)
class SiteView:
    """One hospital of the roster. rounds: in how many rounds its release was used.

    remarks: what the gate found it likely to have written otherwise than the others.
    """

    site: str
    status: str = "waiting"
    code: str = ""
    rounds: int = 0
    epsilon_pld: float = 0.0
    epsilon_rdp: float = 0.0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CampaignView:
    """Where a campaign stands. seconds: duration of each finished round."""

    campaign: str
    study: str
    version: int
    status: str
    code: str
    why: str
    phase: str
    round: int
    rounds: int
    epsilon_promised: float
    delta: float
    seconds: tuple[float, ...]
    sites: tuple[SiteView, ...]

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        return asdict(self)


def is_over(state: CampaignState) -> bool:
    """Tell whether nothing more will happen by itself."""
    return state.status in {"stopped", "finished"}


def signed_study(coordinator: Coordinator, state: CampaignState) -> Study:
    """Return a campaign's study, its signature checked."""
    stored = coordinator.store.find_study(state.study)
    return open_study(stored.envelope, (coordinator.home.signing_key().public,))


def view_campaign(
    coordinator: Coordinator, state: CampaignState, study: Study | None = None
) -> CampaignView:
    """Read a campaign's view from the store; ε is computed from the receipts each time.

    study: the campaign's study, where the caller has opened it before.
    """
    study = study or signed_study(coordinator, state)
    journal = Journal(coordinator.store, state.campaign, coordinator.clock)
    events = coordinator.store.progress_after(state.campaign, 0)
    stops = [event for event in events if event.event == "campaign.stopped"]
    why = "\n".join(str(stops[-1].detail.get(key, "")) for key in ("what", "why")) if stops else ""
    return CampaignView(
        campaign=state.campaign,
        study=study.name,
        version=study.version,
        status=state.status,
        code=state.code,
        why=why.strip() if state.status == "stopped" else "",
        phase=state.phase,
        round=state.round,
        rounds=study.training.rounds,
        epsilon_promised=study.privacy.epsilon,
        delta=study.privacy.delta,
        seconds=tuple(record.duration_ms / 1000 for record in journal.rounds()),
        sites=_sites(study, journal, events),
    )


def _sites(
    study: Study, journal: Journal, events: tuple[ProgressEvent, ...]
) -> tuple[SiteView, ...]:
    views = {entry.site: SiteView(entry.site) for entry in study.roster}
    for event in events:
        if event.site in views and event.event in _STATUS:
            views[event.site] = _after(views[event.site], event)
    for record in journal.rounds():
        for site in record.sites:
            views[site] = replace(views[site], rounds=views[site].rounds + 1)
    for site, spent in epsilon_spent(study, journal.replies()).items():
        views[site] = replace(views[site], epsilon_pld=spent.pld, epsilon_rdp=spent.rdp)
    return tuple(views[site] for site in sorted(views))


def _after(view: SiteView, event: ProgressEvent) -> SiteView:
    """Follow one event; an exclusion by the gate stays, coming online again does not undo it."""
    if view.status in {"excluded", "under review"} and event.event in {
        "site.online",
        "site.offline",
    }:
        return view
    remarks = _remarks(event) if event.phase == "gate" else view.remarks
    return replace(view, status=_STATUS[event.event], code=event.code, remarks=remarks)


def _remarks(event: ProgressEvent) -> tuple[str, ...]:
    found = event.detail.get("remarks")
    return tuple(str(remark) for remark in found) if isinstance(found, list) else ()


def event_line(event: ProgressEvent, rounds: int) -> str:
    """Write an event as one plain line for people."""
    code = f" ({event.code})" if event.code else ""
    if event.event.startswith(("round.", "attempt.", "training.")):
        return _training_line(event, rounds)
    if event.event == "phase.started":
        return f"phase {event.phase}"
    if event.event == "phase.finished":
        return f"phase {event.phase} done"
    if event.event == "site.failed":
        where = f"round {event.round + 1}" if event.phase == "train" else event.phase
        return f"{event.site} gave no usable answer in {where}{code}"
    if event.site:
        line = f"{event.site} {event.event.removeprefix('site.')}{code}"
        return "\n  ".join((line, *_remarks(event)))
    return f"{event.event.replace('.', ' ')}{code}"


def _training_line(event: ProgressEvent, rounds: int) -> str:
    if event.event == "round.finished":
        took_s = float(str(event.detail.get("duration_ms", 0))) / 1000
        who = _listed(event.detail.get("sites"))
        return f"round {event.round + 1} of {rounds} in {took_s:.1f} s with {who}"
    if event.event == "attempt.void":
        number = int(str(event.detail.get("attempt", 0))) + 1
        missing = _listed(event.detail.get("missing")) or "nobody"
        return (
            f"round {event.round + 1}: attempt {number} is void, missing {missing}; "
            "what the others sent stays masked"
        )
    done = event.detail.get("rounds")
    return f"training ends after {done} of {rounds} rounds: void attempts used up the others"


def _listed(names: object) -> str:
    return ", ".join(str(name) for name in names) if isinstance(names, list) else ""

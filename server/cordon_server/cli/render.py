"""What the coordinator's commands show: data in, rich tables out."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cordon_common.privacy.schedule import sum_sites
from cordon_common.protocol.study import assumption
from cordon_server.view import PHASE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from cordon_common.privacy.alternatives import Alternative
    from cordon_common.privacy.planner import Plan
    from cordon_server.overview import Overview
    from cordon_server.view import CampaignView, SiteView

_GOOD = {"taking part", "joined", "online", "finished", "running"}
_BAD = {"failed", "excluded", "stopped", "offline", "under review"}


def status_tables(found: Overview) -> RenderableType:
    """Show a coordinator at a glance."""
    sites = _table("Enrolled sites", ("site", "identity key", "enrolled"))
    for site in found.sites:
        sites.add_row(site.site, site.fingerprint, site.enrolled_at[:10])
    studies = _table("Studies", ("study", "version", "campaign", "where", "status"))
    for line in found.studies:
        where = f"{line.phase} {line.round}" if line.phase == "train" else line.phase
        status = f"{line.status} {line.code}".strip()
        studies.add_row(line.study, str(line.version), line.campaign or "-", where or "-", status)
    head = Text(f"{found.name} at {found.address}, identity key {found.fingerprint}")
    return Group(head, Text(), sites, studies, Text(f"log: {found.log_size} entries"))


def plan_view(plan: Plan, others: Sequence[Alternative] = ()) -> RenderableType:
    """Show what a study will cost and reach, before anything is spent."""
    releases = _table(
        "What each site releases",
        (
            "release",
            "times",
            "numbers",
            "sigma",
            "noise (most\nof a patient)",
            "eps\nonce",
            "eps\nall",
        ),
    )
    for release, _population, *cells in plan.release_rows():
        releases.add_row(release, *cells)
    known = any(site.budget for site in plan.sites)
    left = ("fits", "used", "eps\nleft") if known else ()
    sites = _table(
        "What it costs each site", ("site", "patients\nabout", "eps (PLD)", "eps (RDP)", *left)
    )
    for site_row in plan.site_rows():
        sites.add_row(*(site_row if known else site_row[:4]))
    parts: list[RenderableType] = [
        Text(f"{plan.study.name} version {plan.study.version}", style="bold"),
        Text(
            f"whole study: epsilon {plan.epsilon.pld:.3f} at delta {plan.study.privacy.delta:g} "
            f"per patient and site (cross-check {plan.epsilon.rdp:.3f}); nothing is spent yet"
        ),
        Text(f"assumes {_begun(assumption(plan.study))}"),
        *_otherwise(plan),
        Text(),
        releases,
    ]
    if plan.sites:
        parts.append(sites)
    else:
        parts.append(Text("The roster is empty: it is filled from the enrolled sites at signing."))
    parts += _trust_models(plan, others)
    parts += [Text(), *(Text(line) for line in plan.explanation.sentences)]
    parts.append(Text(plan.utility_sentence()))
    if plan.suggestion:
        parts.append(Text(plan.suggestion))
    return Group(*parts)


def _trust_models(plan: Plan, others: Sequence[Alternative]) -> list[RenderableType]:
    """Show the study under each trust model; noise in patients: what one patient weighs is 1."""
    if not others:
        return []
    table = _table(
        f"Under each trust model: {plan.study.training.rounds} rounds, a patient bounded to "
        f"{plan.study.training.clip_norm:g}, noise in patients",
        (
            "trust model",
            "sigma",
            "noise\nper site",
            "noise\nin sum",
            "eps",
            "eps\nalone",
            "AUC",
            "AUC\n(range)",
        ),
    )
    for other in others:
        table.add_row(*other.row())
    reasons = [Text(f"{o.trust_model}: {o.why_not}") for o in others if o.why_not]
    alone = Text("eps alone: what a site's releases cost if the others' noise does not count.")
    return [table, alone, *reasons]


def _otherwise(plan: Plan) -> list[RenderableType]:
    if plan.study.privacy.trust_model == "local":
        return []
    return [
        Text(
            f"if that fails: epsilon {plan.epsilon_local.pld:.3f}, each site's releases by "
            f"themselves in a sum of {sum_sites(plan.study)} sites"
        )
    ]


def _begun(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def campaign_view(view: CampaignView) -> RenderableType:
    """Show a campaign as it stands."""
    table = _table("", ("site", "state", "rounds", "epsilon spent", "of", "cross-check"))
    for site in view.sites:
        table.add_row(
            site.site,
            _state(site),
            str(site.rounds),
            f"{site.epsilon_pld:.3f}",
            f"{view.epsilon_promised:g}",
            f"{site.epsilon_rdp:.3f}",
        )
    remarks = [Text(f"{site.site}: {words}") for site in view.sites for words in site.remarks]
    return Group(_headline(view), _phases(view), _rounds(view), table, *remarks)


def _headline(view: CampaignView) -> Text:
    text = Text(f"{view.campaign}  ", style="bold")
    style = "green" if view.status in _GOOD else "bold red" if view.status in _BAD else ""
    text.append(f"{view.status} {view.code}".strip(), style=style)
    if view.why:
        text.append(f"\n{view.why}", style="none")
    return text


def _phases(view: CampaignView) -> Text:
    text = Text()
    reached = PHASE_NAMES.index(view.phase) if view.phase in PHASE_NAMES else len(PHASE_NAMES)
    for number, name in enumerate(PHASE_NAMES):
        style = "green" if number < reached else "bold" if number == reached else "dim"
        mark = "done" if number < reached else "now" if number == reached else ""
        text.append(f"{name}{f' {mark}' if mark else ''}", style=style)
        text.append("  ")
    return text


def _rounds(view: CampaignView) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    spent = f"{median(view.seconds):.1f} s a round" if view.seconds else ""
    grid.add_row(
        f"round {view.round} of {view.rounds}",
        ProgressBar(total=view.rounds, completed=view.round, width=30),
        spent,
    )
    return grid


def _state(site: SiteView) -> Text:
    style = "green" if site.status in _GOOD else "red" if site.status in _BAD else "dim"
    return Text(f"{site.status} {site.code}".strip(), style=style)


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for name in columns:
        right = name in {"times", "numbers", "sigma", "rounds", "version", "of", "patients"}
        right = right or name.startswith(("eps", "cross"))
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table

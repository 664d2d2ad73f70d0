"""`cordon study …`: from a draft to a trained model and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
import typer

from cordon_server.cli.coordinator import DEFAULT_HOME, AsJson, HomeOption

app = typer.Typer(
    help="Studies: new, plan, sign, launch, watch, resume, report, export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Trust = Annotated[
    str | None,
    typer.Option(
        "--trust",
        help="Another trust model than the study's: local (each site adds the whole noise), or "
        "secure-sum (masked sums; holds against the coordinator and any one site).",
        click_type=click.Choice(["local", "secure-sum"]),
    ),
]

Name = Annotated[str, typer.Argument(help="The study's name, digest or signed file.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The study's name, e.g. heart-disease.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.")
    ] = None,
) -> None:
    """Write a commented study file that validates, to be filled in."""
    from cordon_common.cli import console
    from cordon_common.errors import UsageError
    from cordon_server.studies import study_template

    text = study_template(name)
    path = output or Path(f"{name}.yaml")
    if path.exists():
        raise UsageError("US003", f"{path} exists already", fix="choose another file with -o")
    path.write_text(text, encoding="utf-8")
    console.success(f"wrote {path}")
    console.next_step(f"fill it in, then: cordon study plan {path}")


@app.command()
def plan(
    study: Annotated[Path, typer.Argument(help="The study: YAML, or the signed file.")],
    trust: Trust = None,
    sites: Annotated[
        str, typer.Option(help="Sites and sizes to plan for: north=180,east=90 (kept in buckets).")
    ] = "",
    lifetime: Annotated[
        str, typer.Option(help="Lifetime budget of every site, epsilon:delta, such as 10:1e-4.")
    ] = "",
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out the prediction.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show noise, epsilon per site and predicted utility under each trust model; nothing is spent."""
    from cordon_common.cli import console
    from cordon_common.privacy.alternatives import alternatives
    from cordon_common.privacy.planner import plan as make_plan
    from cordon_server.cli.render import plan_view
    from cordon_server.planning import planned_study, same_budget

    chosen = planned_study(study, trust, sites)
    made = make_plan(chosen, budgets=same_budget(chosen, lifetime), simulate=not fast)
    others = alternatives(chosen, simulate=not fast)
    if as_json:
        console.print_json(made.as_json() | {"trust_models": [other.as_json() for other in others]})
        return
    console.show(plan_view(made, others))
    console.next_step(f"cordon study sign {study}{f' --trust {trust}' if trust else ''}")


@app.command()
def sign(
    study: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    home: HomeOption = DEFAULT_HOME,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the signed study.")
    ] = None,
    trust: Trust = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Fill in roster and noise, sign, and log the study; sites approve exactly this file."""
    from cordon_common.cli import console
    from cordon_common.protocol.parse import load_study
    from cordon_server.coordinator import open_coordinator
    from cordon_server.studies import envelope_bytes, sign_study, under_trust

    draft = under_trust(load_study(study), trust)
    with open_coordinator(home) as coordinator:
        signed, envelope = sign_study(coordinator, draft)
    path = output or Path(f"{signed.name}.signed.json")
    path.write_bytes(envelope_bytes(envelope))
    if as_json:
        value = {"study": signed.name, "version": signed.version, "digest": signed.digest}
        console.print_json(value | {"sites": [entry.site for entry in signed.roster]})
        return
    console.success(f"signed {signed.name} version {signed.version} for {len(signed.roster)} sites")
    console.note(f"digest {signed.digest}")
    console.next_step(f"send {path} to the sites; each runs: cordon site approve DIR {path.name}")


@app.command()
def launch(
    study: Name,
    home: HomeOption = DEFAULT_HOME,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what each site would spend.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Run it a second time; sites are charged again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start a study's campaign on the running SuperLink."""
    from cordon_common.cli import console
    from cordon_server.cli.progress import show_cost, watch_campaign
    from cordon_server.coordinator import open_coordinator
    from cordon_server.runs import register_sites, submit
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        if dry_run:
            show_cost(coordinator, stored, as_json=as_json)
            return
        register_sites(coordinator)
        campaign = coordinator.store.add_campaign(stored, coordinator.clock, again=again)
        run = submit(coordinator, campaign)
        if as_json and not watch:
            console.print_json({"campaign": campaign, "flower_run": run})
            return
        console.success(f"launched {campaign}")
        if watch:
            watch_campaign(coordinator, campaign, as_json=as_json)
        else:
            console.next_step(f"cordon study watch {stored.name} --home {home}")


@app.command()
def watch(
    study: Name,
    home: HomeOption = DEFAULT_HOME,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow a study's newest campaign; Ctrl-C ends watching, not the campaign."""
    from cordon_server.cli.progress import show_once, watch_campaign
    from cordon_server.coordinator import open_coordinator
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        state = coordinator.store.newest_campaign(stored)
        if once:
            show_once(coordinator, state, as_json=as_json)
        else:
            watch_campaign(coordinator, state.campaign, as_json=as_json)


@app.command()
def resume(
    study: Name,
    home: HomeOption = DEFAULT_HOME,
    *,
    let_in: Annotated[
        list[str] | None,
        typer.Option("--let-in", help="Let a site under review train; name it. May be repeated."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a stopped or killed campaign up where it stood; sites repeat their stored answers."""
    from cordon_common.cli import console
    from cordon_server.cli.progress import watch_campaign
    from cordon_server.coordinator import open_coordinator
    from cordon_server.review import Ruling, rule_on_sites
    from cordon_server.runs import register_sites, submit
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        state = coordinator.store.newest_campaign(stored)
        if state.status == "finished":
            console.note(f"{state.campaign} has finished already")
            console.next_step(f"cordon study report {stored.name} --home {home}")
            return
        ruling = Ruling("let_in", by="", because="let in when the campaign was resumed")
        rule_on_sites(coordinator, state, let_in or [], ruling)
        register_sites(coordinator)
        coordinator.store.set_ready(state.campaign)
        run = submit(coordinator, state.campaign)
        if as_json and not watch:
            console.print_json({"campaign": state.campaign, "flower_run": run})
            return
        console.success(f"resumed {state.campaign} at {state.phase}, round {state.round}")
        if watch:
            watch_campaign(coordinator, state.campaign, as_json=as_json)
        else:
            console.next_step(f"cordon study watch {stored.name} --home {home}")


@app.command()
def decide(
    study: Name,
    sites: Annotated[list[str], typer.Argument(help="Sites that the gate put under review.")],
    home: HomeOption = DEFAULT_HOME,
    *,
    because: Annotated[str, typer.Option(help="Why; it goes into the signed log.")],
    let_in: Annotated[bool, typer.Option("--let-in/--keep-out", help="Whether they may train.")],
    by: Annotated[str, typer.Option(help="Account id of the person who decides.")] = "",
) -> None:
    """Decide about sites under review; the decision and its reason are logged."""
    from cordon_common.cli import console
    from cordon_server.coordinator import open_coordinator
    from cordon_server.review import Ruling, rule_on_sites
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        state = coordinator.store.newest_campaign(stored)
        ruling = Ruling("let_in" if let_in else "keep_out", by=by, because=because)
        rule_on_sites(coordinator, state, sites, ruling)
    console.success(f"{', '.join(sites)}: {'may train' if let_in else 'kept out'}")
    console.next_step(f"cordon study resume {stored.name} --home {home}")


@app.command()
def report(
    study: Name,
    home: HomeOption = DEFAULT_HOME,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the report.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="Result of `cordon audit verify --json`, to be shown.")
    ] = None,
    local: Annotated[
        Path | None,
        typer.Option(help="JSON of what sites chose to tell from their own local reports."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained HTML report of the newest campaign."""
    from cordon_common.cli import console
    from cordon_server.coordinator import open_coordinator
    from cordon_server.report.extra import read_audit, read_local
    from cordon_server.report.model import report_model
    from cordon_server.report.render import render
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        state = coordinator.store.newest_campaign(stored)
        model = report_model(coordinator, state, read_audit(audit), read_local(local))
        path = output or coordinator.home.reports_dir / f"{state.campaign}.html"
        path.write_text(render(model), encoding="utf-8")
    if as_json:
        console.print_json(model.as_json())
    console.success(f"wrote {path}")


@app.command()
def export(
    study: Name,
    home: HomeOption = DEFAULT_HOME,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the bundle.")
    ] = None,
) -> None:
    """Write the coordinator's audit bundle: its whole signed log, for offline checking."""
    from cordon_common.cli import console
    from cordon_common.ledger.bundle import export_coordinator_bundle
    from cordon_server.coordinator import open_coordinator
    from cordon_server.studies import find_signed

    with open_coordinator(home) as coordinator:
        stored = find_signed(coordinator, study, Path(study))
        path = output or Path(f"{stored.name}.coordinator.zip")
        export_coordinator_bundle(coordinator.log, path)
    console.success(f"wrote {path}")
    console.next_step(f"cordon audit verify {path} SITE_BUNDLE…")

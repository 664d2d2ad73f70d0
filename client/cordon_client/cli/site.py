"""`cordon site …`: what a hospital's data engineer types. Every command is a few calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The hospital: set up, check data, approve studies, run vault and gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Home = Annotated[Path, typer.Argument(help="The site's folder.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]


@app.command()
def init(
    home: Home,
    name: Annotated[str, typer.Option(help="This hospital's name, e.g. hospital-north.")],
    data: Annotated[Path, typer.Option(help="The cohort file: CSV or Parquet.")],
    policy: Annotated[Path, typer.Option(help="The hospital's policy file; it is copied.")],
    dataset: Annotated[
        str, typer.Option(help="Name under which the privacy budget is kept for life.")
    ] = "main",
) -> None:
    """Make a site: folder, keys (they never leave), empty ledger, enrolment request."""
    from cordon_client.enrol import create_site
    from cordon_client.home import SiteConfig, SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now
    from cordon_common.protocol.parse import parse_model

    value = {"name": name, "dataset": {"id": dataset, "file": str(data.absolute())}}
    config = parse_model(SiteConfig, value, code="PR004", what="the site's settings are not valid")
    site = SiteHome(home)
    key = create_site(site, config, policy, clock=utc_now)
    console.success(f"site {name} is set up; identity key {key.fingerprint}")
    console.note(f"its words, to be read out by telephone: {key.words}")
    console.next_step(f"send {site.enrolment_request} to the coordinator")


@app.command()
def join(
    home: Home,
    kit: Annotated[Path, typer.Argument(help="The coordinator's kit file.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Trust another coordinator's key than until now.")
    ] = False,
) -> None:
    """Take the coordinator's kit and trust its key for studies (approval is asked per study)."""
    from cordon_client.enrol import join_site
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.signing import PublicKey

    taken = join_site(SiteHome(home), kit, replace=replace)
    key = PublicKey.parse(taken.coordinator_key)
    console.success(f"joined {taken.coordinator} at {taken.address}; its key is {key.fingerprint}")
    console.note(f"its words are: {key.words}")
    console.note("have the coordinator read its words to you by telephone before you approve")
    console.next_step(f"cordon site doctor {home}")


@app.command()
def request(home: Home) -> None:
    """Print the enrolment request on stdout, for the coordinator: signed, and no secret in it."""
    from cordon_client.home import SiteHome
    from cordon_client.kit import read_envelope
    from cordon_common.cli import console

    console.print_json(read_envelope(SiteHome(home).enrolment_request).model_dump(mode="json"))


@app.command(name="rotate-key")
def rotate_key(home: Home) -> None:
    """Replace the gateway's connection key: make the next one and a request that names it."""
    from cordon_client.enrol import rotate_node_key
    from cordon_client.home import SiteHome
    from cordon_common.cli import console

    site = SiteHome(home)
    serial = rotate_node_key(site)
    console.success(f"made SuperNode key number {serial}; the present one stays in use until then")
    console.note("the request is signed by the identity key, so nobody needs to telephone")
    console.next_step(f"send {site.enrolment_request} to the coordinator, join the kit it returns")


@app.command()
def doctor(
    home: Home,
    part: Annotated[
        str, typer.Option(help="From where: site, or inside the vault or gateway container.")
    ] = "site",
    *,
    as_json: AsJson = False,
) -> None:
    """Check everything that must hold: files, keys, ledger, network, image, clock, vault."""
    from cordon_client.cli.render import findings_table
    from cordon_client.doctor import examine
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    findings = examine(SiteHome(home), utc_now, part)
    if as_json:
        console.print_json([finding.as_json() for finding in findings])
    else:
        console.show(findings_table(findings))
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
def qc(  # noqa: PLR0913, PLR0917 - one parameter per option
    cohort: Annotated[
        Path, typer.Argument(help="A file, a folder, a cohort manifest, or a site's folder.")
    ],
    study: Annotated[
        Path | None, typer.Option(help="Check a clinical table against this study (YAML, signed).")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="Read files as this modality instead of recognising them.")
    ] = None,
    profile: Annotated[
        list[Path] | None, typer.Option(help="Thresholds for the assay (YAML). May be repeated.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that check samples.")] = 1,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster that sees the same files.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report; it stays here.")
    ] = Path("qc-report"),
    *,
    as_json: AsJson = False,
) -> None:
    """Run quality control locally and write the full report; nothing leaves, nothing is spent."""
    from cordon_client.extras import require_extra

    require_extra("vault", "cordon site qc")
    from cordon_client.cli.quality import Asked, run
    from cordon_client.qc.pool import Where

    run(Asked(cohort, study, modality, profile or [], Where(jobs, ray), output, as_json))


@app.command()
def table(
    tables: Annotated[Path, typer.Argument(help="A folder of OMOP tables (CDM 5.3 or 5.4).")],
    recipe: Annotated[Path, typer.Option(help="What to make of them (YAML; see configs/omop/).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The cohort file to write (Parquet).")
    ] = Path("cohort.parquet"),
    study: Annotated[
        Path | None, typer.Option(help="A study whose columns the recipe must make.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a cohort file of OMOP tables: one row per person, nothing known too late in it."""
    from cordon_client.extras import require_extra

    require_extra("vault", "cordon site table")
    from cordon_client.cli.cohort_table import Wanted, run

    run(Wanted(tables, recipe, output, study, as_json))


@app.command()
def approve(
    home: Home,
    signed: Annotated[Path, typer.Argument(help="The signed study.")],
    by: Annotated[str, typer.Option(help="Account id of the person who approves.")] = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show in plain words what a study lets out and costs, then record the approval."""
    from cordon_client.cli.render import terms_view
    from cordon_client.home import SiteHome
    from cordon_client.kit import read_envelope
    from cordon_client.office import Office
    from cordon_common.cli import console
    from cordon_common.clock import utc_now
    from cordon_common.errors import UsageError

    envelope = read_envelope(signed)
    with Office.open(SiteHome(home), clock=utc_now) as office:
        terms = office.examine(envelope)
        console.show(terms_view(terms, office.lifetime(terms)))
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("US001", "nobody is there to answer", fix="add --yes")
            typer.confirm("Approve this study for this hospital?", abort=True, err=True)
        office.approve(envelope, by=by)
    console.success(f"approved {terms.study.name} version {terms.study.version}")
    console.note(f"digest {terms.study.digest}")


@app.command()
def close(
    home: Home,
    study: Annotated[str, typer.Argument(help="Name of the study, or its digest.")],
) -> None:
    """Make no new release in a study; its unspent part returns to the lifetime budget."""
    from cordon_client.home import SiteHome
    from cordon_client.office import Office
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    with Office.open(SiteHome(home), clock=utc_now) as office:
        closed = office.close_study(study)
    console.success(f"closed {closed.name}; what it had spent stays spent")


@app.command()
def vault(home: Home) -> None:
    """Run the vault: data, ledger and keys behind a unix socket. Needs no network."""
    from cordon_client.extras import require_extra

    require_extra("vault", "cordon site vault")
    from cordon_client.home import SiteHome
    from cordon_client.vault.run import run_vault
    from cordon_common.clock import utc_now

    run_vault(SiteHome(home), clock=utc_now)


@app.command()
def gateway(
    home: Home,
    metrics_port: Annotated[
        int, typer.Option(help="Serve Prometheus metrics on this port; 0 for none.")
    ] = 0,
    metrics_address: Annotated[
        str, typer.Option(help="Address for the metrics' port.")
    ] = "127.0.0.1",
) -> None:
    """Run the gateway: the Flower client that may only ask the vault. Needs no data, no keys."""
    import sys

    from cordon_client.extras import require_extra

    require_extra("gateway", "cordon site gateway")
    from cordon_client.gateway.run import run_gateway
    from cordon_client.home import SiteHome
    from cordon_client.kit import gateway_settings
    from cordon_common.logs import configure

    configure(sys.stderr)
    settings = gateway_settings(
        SiteHome(home), metrics_port=metrics_port, metrics_address=metrics_address
    )
    run_gateway(settings)


@app.command()
def health(
    home: Home,
    part: Annotated[str, typer.Option(help="Which part: vault or gateway.")] = "vault",
) -> None:
    """Tell by the exit status whether a part is ready: for supervisors, without any port."""
    from cordon_client.health import check
    from cordon_client.home import SiteHome
    from cordon_common.cli import console

    console.success(check(SiteHome(home), part))


@app.command()
def budget(home: Home, *, as_json: AsJson = False) -> None:
    """Show what each study spent, holds and leaves of the lifetime budget (recomputed)."""
    from cordon_client.cli.render import budget_table
    from cordon_client.home import SiteHome
    from cordon_client.office import Office
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    with Office.open(SiteHome(home), clock=utc_now) as office:
        view = office.budget()
    if as_json:
        console.print_json(view.as_json())
    else:
        console.show(budget_table(view))


@app.command()
def upgrade(home: Home) -> None:
    """Bring the ledger of an older version of Cordon to this one; no entry is touched."""
    from cordon_client.enrol import upgrade_ledger
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    before, after = upgrade_ledger(SiteHome(home), clock=utc_now)
    if before == after:
        console.success(f"the ledger is of version {after} already")
    else:
        console.success(f"the ledger was checked and brought from version {before} to {after}")


@app.command()
def export(
    home: Home,
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write (zip).")],
) -> None:
    """Write the audit bundle: ledger, checkpoint, keys, studies, policy. No patient data."""
    from cordon_client.home import SiteHome
    from cordon_client.office import Office
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    with Office.open(SiteHome(home), clock=utc_now) as office:
        office.export(output)
    console.success(f"wrote {output}")
    console.next_step(f"cordon audit verify {output}")


@app.command()
def backup(
    home: Home,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
) -> None:
    """Copy ledger, keys and settings into one file (keep it like the keys); the vault may run."""
    from cordon_client.backup import write_backup
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    made = write_backup(SiteHome(home), output, utc_now)
    console.success(f"wrote {output}: {made.entries} entries of the ledger, keys, settings")
    console.note("it holds the private keys: keep it inside the hospital, like the keys themselves")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    home: Home,
) -> None:
    """Put a backup into an empty folder; releases made since it are refused, never repeated."""
    from cordon_client.backup import restore_backup
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    made = restore_backup(file, SiteHome(home), utc_now)
    console.success(f"restored {made.site} as of {made.made_at}: {made.entries} entries")
    console.note("if a release left after that, the vault refuses every step (IN115)")
    console.next_step(f"cordon site reconcile {home} COORDINATOR.zip")


@app.command()
def reconcile(
    home: Home,
    bundle: Annotated[Path, typer.Argument(help="The coordinator's bundle: cordon study export.")],
) -> None:
    """Tell whether the ledger holds every release that the coordinator has a receipt for."""
    from cordon_client.backup import reconcile as compare
    from cordon_client.home import SiteHome
    from cordon_common.cli import console
    from cordon_common.clock import utc_now

    found = compare(SiteHome(home), bundle, utc_now)
    console.success(f"the ledger holds all {found.receipts} releases that the coordinator knows of")

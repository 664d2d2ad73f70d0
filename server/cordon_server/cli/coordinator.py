"""`cordon coordinator …`: what the consortium's coordinator types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The coordinator: set up, enrol hospitals, serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Home = Annotated[Path, typer.Argument(help="The coordinator's folder.", metavar="DIR")]
HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="CORDON_COORDINATOR_HOME", help="The coordinator's folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]
DEFAULT_HOME = Path("coordinator")


@app.command()
def init(
    home: Home,
    name: Annotated[str, typer.Option(help="The consortium's name, e.g. heart-consortium.")],
    address: Annotated[str, typer.Option(help="HOST:PORT at which the sites reach it.")],
    listen: Annotated[
        str, typer.Option(help="HOST:PORT of the SuperLink, where a proxy stands before it.")
    ] = "",
    database: Annotated[
        str, typer.Option(help="SQLAlchemy URL of the store; SQLite in the folder when left out.")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Make a coordinator: folder, identity key, certificates, empty log."""
    from cordon_common.cli import console
    from cordon_common.protocol.parse import parse_model
    from cordon_server.home import CoordinatorSettings, create_home
    from cordon_server.transport.tls import fingerprint

    settings = parse_model(
        CoordinatorSettings,
        {"name": name, "address": address, "listen": listen, "database": database},
        code="PR004",
        what="the coordinator's settings are not valid",
    )
    made = create_home(home, settings)
    key = made.signing_key().public
    if as_json:
        console.print_json({"name": name, "address": address, "key": str(key)})
        return
    console.success(f"coordinator {name} is set up for {address}")
    console.note(f"identity key {key.fingerprint}: {key.words}")
    console.note(f"certificate  {fingerprint(made.tls.ca_certificate)}")
    console.next_step(f"cordon coordinator enrol REQUEST.json --home {home}")


@app.command()
def enrol(
    request: Annotated[Path, typer.Argument(help="The site's enrolment request.")],
    kit: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the site's kit.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    *,
    as_json: AsJson = False,
) -> None:
    """Enrol a hospital: check its signed request, keep its keys, write its kit."""
    from cordon_common.cli import console
    from cordon_common.signing import PublicKey
    from cordon_server.coordinator import open_coordinator
    from cordon_server.enrol import enrol_site, kit_file
    from cordon_server.runs import try_register_sites
    from cordon_server.studies import log_enrolment

    with open_coordinator(home) as coordinator:
        site = enrol_site(coordinator.home, coordinator.store, request, coordinator.clock)
        log_enrolment(coordinator, site)
        registered = try_register_sites(coordinator)
        written = kit or Path(f"{site.site}.kit.json")
        written.write_bytes(kit_file(coordinator.home, site.site).read_bytes())
    key = PublicKey.parse(site.identity_key)
    if as_json:
        console.print_json(
            {
                "site": site.site,
                "fingerprint": key.fingerprint,
                "words": key.words,
                "registered": registered,
            }
        )
        return
    console.success(f"{site.site} is enrolled; identity key {key.fingerprint}")
    console.note(f"its words are: {key.words}")
    console.note("have the site read its words to you by telephone before you sign a study")
    if not registered:
        console.note("the SuperLink is told at the next: cordon coordinator serve")
    console.next_step(f"send {written} to {site.site}")


@app.command()
def revoke(
    site: Annotated[str, typer.Argument(help="The site's name.")],
    home: HomeOption = DEFAULT_HOME,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Refuse a hospital's keys for ever, from its next message on; what it released stays."""
    from cordon_common.cli import console
    from cordon_server.coordinator import open_coordinator
    from cordon_server.runs import try_register_sites
    from cordon_server.studies import log_revocation

    with open_coordinator(home) as coordinator:
        if not yes:
            typer.confirm(f"Revoke {site}? Its keys can never be used again.", abort=True, err=True)
        revoked = coordinator.store.revoke_site(site, coordinator.clock)
        log_revocation(coordinator, revoked)
        told = try_register_sites(coordinator)
    console.success(f"{site} is revoked since {revoked.revoked_at}")
    if not told:
        console.note("the SuperLink is told at the next: cordon coordinator serve")


@app.command()
def serve(
    home: Annotated[Path, typer.Argument(metavar="DIR")] = DEFAULT_HOME,
    metrics_port: Annotated[
        int, typer.Option(help="Serve Prometheus metrics on this port; 0 for none.")
    ] = 0,
    metrics_address: Annotated[
        str, typer.Option(help="Address for the metrics' port.")
    ] = "127.0.0.1",
) -> None:
    """Run the SuperLink in the foreground until Ctrl-C."""
    import sys

    from cordon_common import logs
    from cordon_common.cli import console
    from cordon_common.processes import stop_signals
    from cordon_server.coordinator import open_coordinator
    from cordon_server.runs import serve as run

    with open_coordinator(home) as coordinator, stop_signals(None) as stopping:
        logs.configure(sys.stderr, coordinator.home.settings.log_level.upper())
        if metrics_port:
            from cordon_server.metrics import CoordinatorCollector, serve_metrics

            serve_metrics(CoordinatorCollector(coordinator), metrics_port, metrics_address)

        def ready(address: str) -> None:
            sites = len(coordinator.store.sites())
            console.success(f"serving at {address} with {sites} enrolled sites; Ctrl-C stops")

        run(coordinator, stopping, ready)
    console.note("stopped")


@app.command()
def health(home: Annotated[Path, typer.Argument(metavar="DIR")] = DEFAULT_HOME) -> None:
    """Tell by the exit status whether the SuperLink of this folder answers (for supervisors)."""
    from cordon_common.cli import console
    from cordon_common.probe import check_coordinator
    from cordon_server.home import open_home
    from cordon_server.runs import superlink_settings

    found = open_home(home)
    check_coordinator(superlink_settings(found).local_address, found.tls.ca_certificate)
    console.success("the SuperLink answers")


@app.command()
def upgrade(home: Annotated[Path, typer.Argument(metavar="DIR")] = DEFAULT_HOME) -> None:
    """Bring store and log of an earlier version up to date; no entry of the log is touched.

    A SQLite store is copied first.
    """
    from cordon_common.cli import console
    from cordon_common.clock import utc_now
    from cordon_server.home import open_home, upgrade_log
    from cordon_server.maintenance import upgrade_store

    found = open_home(home)
    before, after, copy = upgrade_store(found)
    if before == after:
        console.note(f"the store is at step {after} already")
    else:
        if copy is not None:
            console.note(f"the store as it was: {copy}")
        console.success(f"the store went from step {before} to {after}")
    old, new = upgrade_log(found, utc_now)
    if old == new:
        console.note(f"the log is of version {new} already")
    else:
        console.success(f"the log was checked and brought from version {old} to {new}")


@app.command()
def edge(
    folder: Annotated[Path, typer.Argument(help="The proxy's folder.")],
    home: HomeOption = DEFAULT_HOME,
    *,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make a new server certificate first.")
    ] = False,
) -> None:
    """Give the proxy its certificate, key and CA, and nothing else of this folder."""
    from cordon_common.cli import console
    from cordon_common.clock import utc_now
    from cordon_server import edge as proxy
    from cordon_server.home import open_home

    found = open_home(home)
    if renew:
        proxy.renew(found, utc_now)
    proxy.publish(found, folder)
    console.success(f"wrote {', '.join(proxy.PROXY_FILES)} to {folder}")
    if renew:
        console.next_step("restart the coordinator and the proxy")


@app.command()
def operator(
    name: Annotated[str, typer.Argument(help="Account id of the operator.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(),
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make the client certificate by which an operator opens the proxy's control port."""
    from cordon_common.cli import console
    from cordon_common.clock import utc_now
    from cordon_server.edge import add_operator
    from cordon_server.home import open_home

    written = add_operator(open_home(home), name, output, utc_now)
    console.success(f"wrote {written} and its key")
    console.note("it opens the control port; the control token of the folder is asked for as well")


@app.command()
def status(
    home: Annotated[Path, typer.Argument(metavar="DIR")] = DEFAULT_HOME,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the enrolled sites, the signed studies and their campaigns."""
    from cordon_common.cli import console
    from cordon_server.cli.render import status_tables
    from cordon_server.coordinator import open_coordinator
    from cordon_server.overview import overview

    with open_coordinator(home) as coordinator:
        found = overview(coordinator)
    if as_json:
        console.print_json(found.as_json())
    else:
        console.show(status_tables(found))

"""`cordon audit probe`: the hospital tests its own mechanism; found through an entry point."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

LEAST_TRIALS = 200


def probe(
    home: Annotated[Path, typer.Argument(help="The site's folder.", metavar="DIR")],
    study: Annotated[str, typer.Argument(help="An approved study: its name or digest.")],
    *,
    trials: Annotated[
        int, typer.Option(help="Runs of the attack; more find smaller faults.", min=LEAST_TRIALS)
    ] = 1000,
    record: Annotated[
        bool, typer.Option(help="Note the verdict in the ledger; the vault then acts on it.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")] = False,
) -> None:
    """Test the mechanism that really runs here, on patients who do not exist; spends nothing.

    A study whose probe failed gets nothing more from this site until a later probe passes.
    """
    from cordon_client.home import SiteHome
    from cordon_client.office import Office
    from cordon_client.probe.run import probe as run_probe
    from cordon_common.cli import console
    from cordon_common.cli.progress import progress_bar
    from cordon_common.cli.render import verdict_table
    from cordon_common.clock import utc_now

    with Office.open(SiteHome(home), clock=utc_now) as office:
        approved = office.approved_study(study)
        with progress_bar("attacking the mechanism", trials) as progress:
            report = run_probe(approved, trials=trials, progress=progress)
        if record:
            office.record_probe(report.entry)
    if as_json:
        console.print_json(report.as_json())
    else:
        console.show(verdict_table(report.part))
        console.note(
            "a bound below the claim is no proof of privacy: it means no violation was found"
        )
    if record:
        console.success(f"noted in the ledger: {'passed' if report.passed else 'FAILED'}")
    if not report.passed:
        raise typer.Exit(1)

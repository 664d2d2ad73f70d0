"""`cordon demo`: a real federation on this machine, from quality control to audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
import typer

app = typer.Typer(help="A real federation on this machine.", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def demo(
    cohorts: Annotated[
        Path | None,
        typer.Option(help="Folder with one CSV or Parquet file per hospital; else breast cancer."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="The study in YAML; goes with --cohorts.")
    ] = None,
    trust: Annotated[
        str | None,
        typer.Option(
            "--trust",
            help="Trust model: local, or secure-sum (masked sums); else what the study says.",
            click_type=click.Choice(["local", "secure-sum"]),
        ),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The hospitals' policy.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path(
        "cordon-demo"
    ),
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")
    ] = False,
) -> None:
    """Run four hospitals and a coordinator as real processes, from enrolment to audit.

    Every step is an ordinary cordon command, shown before it runs.
    """
    from cordon_server.demo.run import DemoSettings, run_demo

    settings = DemoSettings(out=out, cohorts=cohorts, study=study, policy=policy, trust=trust)
    run_demo(settings, as_json=as_json)

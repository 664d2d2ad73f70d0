"""`cordon audit …`: what an auditor types; needs the bundles and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Check ledgers offline: were the budgets true, and were they kept?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Bundles = Annotated[
    list[Path], typer.Argument(help="Bundles, as the sites and the coordinator exported them.")
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="The coordinator's public key, as you know it from elsewhere."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]


@app.callback()
def audit() -> None:
    """Check ledgers offline: were the budgets true, and were they kept?"""


@app.command()
def verify(bundles: Bundles, *, keys: Keys = None, as_json: AsJson = False) -> None:
    """Check bundles one by one and against each other; exit 0 only if every row is PASS."""
    from cordon_common.audit.verify import verify_bundles
    from cordon_common.cli import console
    from cordon_common.cli.render import spending_table, verdict_line, verdict_table
    from cordon_common.signing import PublicKey

    trusted = tuple(PublicKey.parse(text) for text in keys or ())
    result = verify_bundles(bundles, trusted=trusted)
    if as_json:
        console.print_json(result.as_json())
    else:
        for part in result.parts:
            console.show(verdict_table(part))
            if part.spending:
                console.show(spending_table(part))
        console.show(verdict_line(result))
    if result.verdict != "PASS":
        raise typer.Exit(1)

"""`cordon audit …`: what an auditor types; needs the bundles and nothing else."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from cordon_common.errors import UsageError

if TYPE_CHECKING:
    import click

VERBS = "cordon.audit.v1"
"""Entry points of verbs that need more than the bundles; each is a typer command function."""


def _no_probe() -> None:
    """Test the mechanism that runs at a hospital; comes with cordon-client."""
    raise UsageError(
        "US010",
        "cordon audit probe is not installed here: it runs at a hospital",
        fix="there: pip install 'cordon-client[vault]'",
    )


class _Verbs(TyperGroup):
    """The verbs below, and those that other installed packages add, found when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all verbs; a known one that is missing is listed all the same."""
        offered = {point.name for point in entry_points(group=VERBS)} | {"probe"}
        own = super().list_commands(ctx)
        return [*own, *sorted(offered - set(own))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self.list_commands(ctx):
            return own
        offered = {point.name: point for point in entry_points(group=VERBS)}
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name)(offered[cmd_name].load() if cmd_name in offered else _no_probe)
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_Verbs,
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


@app.command()
def report(
    bundles: Bundles,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page to write; the PDF lies beside it.")
    ] = Path("audit-report.html"),
    *,
    keys: Keys = None,
    pdf: Annotated[bool, typer.Option(help="Write the same as PDF too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write the audit for a reader: privacy facts, budgets, hazards, every release; HTML and PDF."""
    from cordon_common.audit.facts import audit_facts
    from cordon_common.audit.page import report_html
    from cordon_common.audit.printed import report_pdf
    from cordon_common.cli import console
    from cordon_common.cli.render import verdict_line
    from cordon_common.files import replace_file
    from cordon_common.signing import PublicKey

    trusted = tuple(PublicKey.parse(text) for text in keys or ())
    facts = audit_facts(bundles, trusted=trusted)
    replace_file(output, report_html(facts).encode())
    console.success(f"wrote {output}")
    if pdf:
        printed = output.with_suffix(".pdf")
        replace_file(printed, report_pdf(facts))
        console.success(f"wrote {printed}")
    if as_json:
        console.print_json(facts.as_json())
    else:
        console.show(verdict_line(facts.result))
    if facts.result.verdict != "PASS":
        raise typer.Exit(1)


@app.command()
def registry(
    bundles: Bundles,
    *,
    study: Annotated[
        str | None, typer.Option(help="Name, name and version, or digest, if there are several.")
    ] = None,
    keys: Keys = None,
) -> None:
    """Print a study as a tier-3 entry of the OpenDP Deployments Registry (JSON on stdout)."""
    from cordon_common.audit.facts import audit_facts
    from cordon_common.audit.registry import registry_entry
    from cordon_common.cli import console
    from cordon_common.signing import PublicKey

    trusted = tuple(PublicKey.parse(text) for text in keys or ())
    facts = audit_facts(bundles, trusted=trusted)
    console.print_json(registry_entry(facts, study))
    if facts.result.verdict != "PASS":
        console.warning(f"the audit ended with {facts.result.verdict}; the entry says so")

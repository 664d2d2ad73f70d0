"""Audit results as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cordon_common.audit.result import AuditResult, BundleAudit, Status
    from cordon_common.protocol.study import TrustModel

SEEN_BY: dict[TrustModel, str] = {"local": "anybody", "secure-sum": "coordinator"}
"""Who looks on under each trust model: anybody who reads a site's own release, masks or not; or the
coordinator, who learns masked sums only, with as many colluding sites as the study allows."""

_STYLE: dict[Status, str] = {"PASS": "green", "FAIL": "bold red", "NOT PROVEN": "yellow"}


def verdict_table(part: BundleAudit) -> Table:
    """Show one bundle's rows: what is claimed, how it went, on what evidence."""
    title = f"{part.title} ({part.file})" if part.file else part.title
    table = Table(title=Text(title), title_justify="left", title_style="bold", expand=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim", ratio=3)
    table.add_column("evidence", ratio=2)
    for row in part.rows:
        table.add_row(
            Text(row.status, style=_STYLE[row.status]), Text(row.claim), Text(row.evidence)
        )
    return table


def spending_table(part: BundleAudit) -> Table:
    """Show what the releases cost: always epsilon with its delta, by both accountants."""
    table = Table(title_justify="left", expand=False)
    for name in ("spent by", "seen by", "releases", "eps (PLD)", "eps (RDP)", "allowed", "delta"):
        left = name in {"spent by", "seen by"}
        table.add_column(name, justify="left" if left else "right", no_wrap=name == "seen by")
    for item in part.spending:
        table.add_row(
            Text(item.scope),
            SEEN_BY[item.trust_model],
            str(item.releases),
            f"{item.epsilon_pld:.4f}",
            f"{item.epsilon_rdp:.4f}",
            "" if item.budget is None else f"{item.budget:g}",
            f"{item.delta:.1e}",
        )
    return table


def verdict_line(result: AuditResult) -> Text:
    """Say the verdict over everything in one line."""
    passed, failed = result.count("PASS"), result.count("FAIL")
    unproven = result.count("NOT PROVEN")
    counts = f"{passed} passed, {failed} failed, {unproven} not proven"
    return Text(f"verdict: {result.verdict} ({counts})", style=_STYLE[result.verdict])

"""What the hospital's commands show: data in, rich tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cordon_common.qc.fates import RECORD_FATE_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from cordon_client.approval import Terms
    from cordon_client.findings import Finding
    from cordon_client.office import BudgetView, SeenLog
    from cordon_client.qc.sample_gate import SampleGate
    from cordon_client.qc.tabular import TableQc
    from cordon_common.canonical import Json

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def findings_table(findings: Sequence[Finding]) -> RenderableType:
    """Show the doctor's rows; the fix stands below what it fixes."""
    table = Table(box=box.SIMPLE_HEAD, title="Site examination", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for item in findings:
        found = Text(item.detail)
        if item.fix and item.status != "pass":
            code = f"{item.code}: " if item.code else ""
            found.append(f"\n{code}{item.fix}", style="dim")
        table.add_row(item.check, Text(item.status, style=_STYLES[item.status]), found)
    return table


def terms_view(terms: Terms, lifetime: tuple[float, float, float]) -> RenderableType:
    """Show what a study lets out, what it costs, and what would be left."""
    study = terms.study
    budget, held, after = lifetime
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", title="What will leave this hospital")
    table.add_column("release", overflow="fold")
    table.add_column("times", justify="right")
    table.add_column("numbers", justify="right")
    table.add_column("noise", overflow="fold")
    for item in terms.leaving:
        table.add_row(item.what, str(item.times), str(item.numbers), item.noise)
    cost = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    cost.add_column(no_wrap=True)
    cost.add_column(overflow="fold")
    cost.add_row(
        "cost",
        f"epsilon {terms.epsilon_pld:.3f} at delta {study.privacy.delta:g} per patient "
        f"(cross-check {terms.epsilon_rdp:.3f})",
    )
    cost.add_row("assumes", terms.assumes)
    if study.privacy.trust_model == "secure-sum":
        cost.add_row("otherwise", f"epsilon {terms.epsilon_local:.3f}, whoever tells whom")
    cost.add_row("means", "\n".join(terms.meaning))
    cost.add_row(
        "budget", f"lifetime {budget:g}; held before {held:.3f}, with this study {after:.3f}"
    )
    if study.qc.samples:
        cost.add_row(
            "takes part",
            "patients with a sample whose files pass here, by " + ", ".join(study.qc.samples),
        )
    limits = study.qc.disclosure
    cost.add_row(
        "reports",
        f"show no number below {limits.min_cell} patients, and none over hospitals of which one "
        f"brings more than {limits.max_share:.0%}",
    )
    cost.add_row("not noised", "; ".join(terms.unprotected))
    head = Text(f"{study.name}, version {study.version}: {study.purpose}")
    permit = Text(f"permit {study.permit.id} until {study.permit.end_date.isoformat()}")
    return Group(head, permit, table, cost)


def budget_table(view: BudgetView) -> RenderableType:
    """Show the lifetime budget and every study that uses it; alone: without counting on masks."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Privacy budget: {view.held_epsilon:.3f} of {view.lifetime_epsilon:g} held "
        f"(delta {view.lifetime_delta:g}, counted under the trust model {view.trust_model})",
        title_justify="left",
    )
    table.add_column("study", overflow="fold")
    table.add_column("state")
    table.add_column("trust model")
    for heading in ("planned", "spent", "alone", "delta", "releases"):
        table.add_column(heading, justify="right")
    for study in view.studies:
        table.add_row(
            study.name,
            "closed" if study.closed else "open",
            study.trust_model,
            f"{study.planned_epsilon:.3f}",
            f"{study.spent_epsilon:.3f}",
            f"{study.local_spent_epsilon:.3f}",
            f"{study.delta:g}",
            str(study.releases),
        )
    return Group(table, *(_seen_log(log) for log in view.logs))


def _seen_log(log: SeenLog) -> RenderableType:
    """Say in a line how this hospital stands to a coordinator's log."""
    if log.code:
        return Text(
            f"coordinator {log.coordinator}: log refused since {log.refused_at} "
            f"({log.code}); see: cordon site doctor",
            style=_STYLES["fail"],
        )
    return Text(
        f"coordinator {log.coordinator}: log witnessed up to {log.entries} entries, {log.seen_at}",
        style="dim",
    )


def qc_json(result: TableQc) -> Json:
    """Return the local verdict as data: counts and check results, no cell of the table."""
    value: Json = {
        "verdict": result.verdict.as_json(),
        "patients_kept": result.patients_kept,
        "records": {fate.value: n for fate, n in result.record_fates.items()},
        "patients": {fate.value: n for fate, n in result.patient_fates.items()},
    }
    if result.samples is not None:
        value["samples"] = result.samples.counts()
    return value


def _sample_files(gate: SampleGate) -> str:
    counts = gate.counts()
    told = (
        f"sample files: {counts['samples_passed']} of {counts['samples']} samples passed; "
        f"{counts['patients_without']} of {counts['patients']} patients have none that did"
    )
    why = ", ".join(f"{title.lower()} ({n})" for title, n in gate.reasons().items())
    return f"{told}; not held: {why}" if why else told


def qc_view(result: TableQc) -> RenderableType:
    """Show the verdict, what became of the records, and every check that did not pass."""
    severity = result.verdict.severity.value
    records = sum(result.record_fates.values())
    head = Text.assemble(
        "quality control: ",
        (severity, _STYLES.get(severity, "")),
        f"; {result.patients_kept} patients kept of {records} records",
    )
    if result.samples is not None:
        head.append("\n" + _sample_files(result.samples))
    fates = Table(box=box.SIMPLE_HEAD, title="Records", title_justify="left")
    fates.add_column("fate", overflow="fold")
    fates.add_column("records", justify="right")
    for fate, count in result.record_fates.items():
        if count:
            fates.add_row(RECORD_FATE_TEXT[fate], str(count))
    findings = Table(box=box.SIMPLE_HEAD, title="Findings", title_justify="left")
    findings.add_column("check", overflow="fold")
    findings.add_column("", no_wrap=True)
    findings.add_column("what", overflow="fold")
    for item in result.results:
        if item.severity.value in _STYLES and item.severity.value != "pass":
            subject = f"{item.subject}: " if item.subject else ""
            style = _STYLES[item.severity.value]
            findings.add_row(
                item.check, Text(item.severity.value, style=style), subject + (item.detail or "")
            )
    return Group(head, fates, findings) if findings.row_count else Group(head, fates)

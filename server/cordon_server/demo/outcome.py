"""What the demo ends with: one row per hospital, the report, the auditor's verdict."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cordon_common.qc.fates import RECORD_FATE_TEXT, RecordFate
from cordon_server.coordinator import open_coordinator
from cordon_server.report.extra import LocalFacts, LocalReports, read_audit
from cordon_server.report.model import report_model
from cordon_server.watching import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from cordon_common.canonical import Json
    from cordon_server.demo.federation import Federation
    from cordon_server.report.extra import AuditOutcome
    from cordon_server.report.model import ReportModel
    from cordon_server.report.sites import Evaluated


@dataclass(frozen=True)
class HospitalRow:
    """One hospital of the final table; `facts` come from its own local report.

    alone_epsilon: what its releases cost by themselves, masked or not.
    """

    site: str
    facts: LocalFacts
    spent_epsilon: float
    alone_epsilon: float
    promised_epsilon: float
    lifetime_epsilon: float
    rounds: int
    evaluated: Evaluated | None


@dataclass(frozen=True)
class Outcome:
    """Everything that the demo shows at its end."""

    hospitals: tuple[HospitalRow, ...]
    audit: AuditOutcome
    report: Path
    audit_report: Path
    trust_model: str
    rounds: int
    round_seconds: float
    seconds: float

    @property
    def local(self) -> LocalReports:
        """What the hospitals told from their local reports, for the study report."""
        return LocalReports(sites={row.site: row.facts for row in self.hospitals})

    def failures(self) -> list[str]:
        """List what did not hold; empty when the demo succeeded."""
        found = []
        if self.audit.verdict != "PASS":
            found.append(f"the audit's verdict is {self.audit.verdict}")
        for row in self.hospitals:
            if row.rounds != self.rounds:
                found.append(f"{row.site} took part in {row.rounds} of {self.rounds} rounds")
            if row.evaluated is None:
                found.append(f"{row.site} was not evaluated")
            if row.spent_epsilon > row.promised_epsilon:
                found.append(f"{row.site} spent more than the study promised")
        return found

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        return {
            "audit": self.audit.verdict,
            "trust_model": self.trust_model,
            "rounds": self.rounds,
            "seconds_per_round": round(self.round_seconds, 3),
            "seconds": round(self.seconds, 1),
            "hospitals": [_row_json(row) for row in self.hospitals],
        }


def gather(federation: Federation, campaign: str, *, seconds: float) -> Outcome:
    """Read the outcome from where each part of it lives: coordinator, sites, auditor."""
    audit = read_audit(federation.root / "audit.json")
    assert audit is not None  # noqa: S101 - a path was given
    with open_coordinator(federation.coordinator) as coordinator:
        model = report_model(coordinator, state_of(coordinator, campaign))
    durations = [record.duration_ms / 1000 for record in model.rounds]
    return Outcome(
        hospitals=tuple(_hospital(federation, model, name) for name in sorted(federation.cohorts)),
        audit=audit,
        report=federation.root / "report.html",
        audit_report=federation.audit_report,
        trust_model=model.study.privacy.trust_model,
        rounds=model.study.training.rounds,
        round_seconds=statistics.median(durations) if durations else 0.0,
        seconds=seconds,
    )


def outcome_view(outcome: Outcome) -> RenderableType:
    """Show the final table, the report's path and the audit's verdict."""
    table = Table(box=box.SIMPLE_HEAD, title="Hospitals", title_justify="left")
    table.add_column("hospital", no_wrap=True)
    table.add_column("records\nin", justify="right")
    table.add_column("excluded, and why", overflow="fold")
    table.add_column("epsilon spent\nof budget", justify="right")
    table.add_column("AUC, DP\n(95 % interval)", justify="right")
    table.add_column("AUC\nalone", justify="right")
    for row in outcome.hospitals:
        table.add_row(
            row.site,
            str(row.facts.records),
            _excluded_text(row.facts),
            f"{row.spent_epsilon:.2f} of {row.promised_epsilon:g}\nlifetime {row.lifetime_epsilon:g}",
            _auc_text(row.evaluated),
            "-" if row.facts.alone_auc is None else f"{row.facts.alone_auc:.3f}",
        )
    verdict = outcome.audit.verdict
    style = "bold green" if verdict == "PASS" else "bold red"
    count = sum(len(part.rows) for part in outcome.audit.parts)
    return Group(
        Text(""),
        table,
        *_trust_lines(outcome),
        Text.assemble("audit verify: ", (verdict, style), f" ({count} checks over 5 bundles)")
        if len(outcome.hospitals) == 4
        else Text.assemble("audit verify: ", (verdict, style), f" ({count} checks)"),
        Text(f"report: {outcome.report}"),
        Text(f"audit report: {outcome.audit_report} (and .pdf)"),
        Text(
            f"{outcome.rounds} rounds, {outcome.round_seconds:.2f} s per round (median); "
            f"{outcome.seconds:.0f} s in all"
        ),
    )


def _trust_lines(outcome: Outcome) -> list[Text]:
    """Say what masks were worth: the same releases without them."""
    if outcome.trust_model == "local":
        return []
    alone = max(row.alone_epsilon for row in outcome.hospitals)
    return [
        Text(f"secure sum: the same releases without their masks would cost epsilon {alone:.2f}")
    ]


def _hospital(federation: Federation, model: ReportModel, name: str) -> HospitalRow:
    facts_file = federation.site(name) / "vault" / "reports" / f"{federation.study}.facts.json"
    facts = LocalFacts.model_validate_json(facts_file.read_bytes())
    budget = federation.read_json("site", "budget", str(federation.site(name)), "--json")
    (spent,) = (item for item in budget["studies"] if item["name"] == federation.study)
    (seen,) = (site for site in model.sites if site.site == name)
    return HospitalRow(
        site=name,
        facts=facts,
        spent_epsilon=float(spent["spent_epsilon"]),
        alone_epsilon=float(spent["local_spent_epsilon"]),
        promised_epsilon=model.study.privacy.epsilon,
        lifetime_epsilon=float(budget["lifetime_epsilon"]),
        rounds=seen.rounds,
        evaluated=seen.evaluated,
    )


def _excluded_text(facts: LocalFacts) -> str:
    if not facts.excluded:
        return "none"
    lines = [
        f"{count} {RECORD_FATE_TEXT[RecordFate(reason)]}"
        for reason, count in sorted(facts.excluded.items(), key=lambda item: -item[1])
    ]
    return "\n".join(lines)


def _auc_text(evaluated: Evaluated | None) -> str:
    if evaluated is None or evaluated.auc is None:
        return "hidden by noise"
    return f"{evaluated.auc:.3f}\n{evaluated.low:.3f} to {evaluated.high:.3f}"


def _row_json(row: HospitalRow) -> Json:
    evaluated = row.evaluated
    return {
        "site": row.site,
        "records": row.facts.records,
        "kept": row.facts.kept,
        "excluded": row.facts.excluded,
        "spent_epsilon": row.spent_epsilon,
        "alone_epsilon": row.alone_epsilon,
        "promised_epsilon": row.promised_epsilon,
        "lifetime_epsilon": row.lifetime_epsilon,
        "auc": None if evaluated is None else evaluated.auc,
        "auc_low": None if evaluated is None else evaluated.low,
        "auc_high": None if evaluated is None else evaluated.high,
        "auc_alone": row.facts.alone_auc,
    }

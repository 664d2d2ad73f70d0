"""Who trains: each site's own verdict decides; what the sites show together warns, or asks a person.

Drift between hospitals is as often honest case mix as a fault, so it never excludes. An outcome
that is turned around, values in another unit and codes that turn a feature's link with the outcome
wait for a person, unless the study says otherwise. Everything here is a pure function of what the sites sent; the campaign logs every decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.crosssite import Orientation, effects_of, is_turned, orientations
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.shown import Shown, shown_of
from cordon_common.qc.summary import LABEL, LABEL_CELLS
from cordon_common.qc.verdict import CheckClass, CohortVerdict, ReasonCode, Scope, Severity, worst
from cordon_server.crosssite.findings import DIFFERENCES, findings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import Estimate, QcSummary
    from cordon_server.crosssite.findings import Beside, Finding

_CERTAIN = 4.0
"""Standard deviations of noise beyond which a noisy count contradicts a verdict (p = 3e-5)."""

_STOPS = {Severity.FAIL, Severity.ERROR}


class Action(StrEnum):
    """What happens to a site. `review`: it waits for the coordinator's recorded decision."""

    TRAIN = "train"
    REVIEW = "review"
    EXCLUDE = "exclude"


@dataclass(frozen=True)
class SiteReport:
    """What a site sent: its coarse verdict and its noised summary."""

    site: str
    verdict: CohortVerdict
    summary: QcSummary


@dataclass(frozen=True)
class GateDecision:
    """The decision about one site. findings: what it shows beside the others, for people to read.

    shown: what of its summary may be displayed. agreement: of its effects with the other sites', in
    standard deviations; None where it cannot be read. compared: the checks beside other sites that
    could be made.
    """

    site: str
    action: Action
    severity: Severity
    reasons: tuple[ReasonCode, ...]
    findings: tuple[Finding, ...]
    kept: Estimate
    shown: Shown
    agreement: float | None = None
    compared: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Say what is likely wrong, in plain sentences; differences alone are for the report."""
        return tuple(f.sentence for f in self.findings if f.check not in DIFFERENCES)

    def as_json(self) -> dict[str, Json]:
        """Return the JSON value for the coordinator's store and reports.

        Numbers of patients that may not be displayed are None; which way they differ stays.
        """
        kept = {"estimate": round(self.kept.value), "noise_std": round(self.kept.std, 1)}
        return {
            "site": self.site,
            "action": self.action.value,
            "severity": self.severity.value,
            "reasons": [reason.value for reason in self.reasons],
            "warnings": [found.as_json(told=self._may_tell(found)) for found in self.findings],
            "agreement": None if self.agreement is None else round(self.agreement, 2),
            "compared": list(self.compared),
            "kept": kept if self.shown.kept else None,
        }

    def _may_tell(self, found: Finding) -> bool:
        """Say whether a finding's numbers may be displayed.

        A share tells its cells and, beside a shown cell, how many patients have an outcome.
        """
        return self.shown.allows(found.feature, *found.cells) and self.shown.allows(
            LABEL, *LABEL_CELLS[:2]
        )


@dataclass(frozen=True)
class StudyDecision:
    """Whether the study goes on, and with whom."""

    go: bool
    reasons: tuple[ReasonCode, ...]
    sites: tuple[GateDecision, ...]

    def included(self) -> tuple[str, ...]:
        """List the sites that train."""
        return tuple(d.site for d in self.sites if d.action is Action.TRAIN)


def decide(
    study: Study,
    reports: Sequence[SiteReport],
    *,
    released: Collection[str] = (),
    kept_out: Collection[str] = (),
) -> StudyDecision:
    """Decide for every site, then for the study.

    released: sites under review that a person has let through; an excluded site stays excluded.
    kept_out: sites under review that a person has kept out. Guarantee: fails closed. Without enough
    training sites the study stops; cross-site findings and honest heterogeneity exclude nobody.
    """
    summaries = {report.site: report.summary for report in reports}
    around = orientations({site: effects_of(study, s) for site, s in summaries.items()})
    turned = {site for site, found in around.items() if _turned(found)}
    seen = _Together(findings(study, summaries, turned), around)
    sites = tuple(
        _decide_site(study, report, seen, _ruled(study, report.site, released, kept_out))
        for report in sorted(reports, key=lambda report: report.site)
    )
    training = sum(decision.action is Action.TRAIN for decision in sites)
    go = training >= study.qc.gate.min_sites
    return StudyDecision(go, () if go else (ReasonCode.TOO_FEW_SITES,), sites)


@dataclass(frozen=True)
class _Together:
    """What the sites show together."""

    beside: Mapping[str, Beside]
    orientation: Mapping[str, Orientation]


def _ruled(study: Study, site: str, released: Collection[str], kept_out: Collection[str]) -> Action:
    """Say what becomes of a site under review: a person's word, else the study's rule."""
    if site in kept_out:
        return Action.EXCLUDE
    if site in released or study.qc.gate.under_review == "train":
        return Action.TRAIN
    return Action.REVIEW


def _decide_site(study: Study, report: SiteReport, seen: _Together, ruled: Action) -> GateDecision:
    beside = seen.beside[report.site]
    found = beside.findings
    orientation = seen.orientation.get(report.site)
    doubts = [*_contradictions(study, report), *_turned(orientation)]
    doubts += [finding.reason for finding in found if finding.doubted]
    reasons = [*report.verdict.reasons, *doubts, *(finding.reason for finding in found)]
    if report.verdict.profile != study.qc.profile:
        reasons.append(ReasonCode.OTHER_PROFILE)
    severity = report.verdict.severity
    if len(reasons) > len(report.verdict.reasons):
        severity = worst((severity, Severity.WARN))
    return GateDecision(
        site=report.site,
        action=_action(report.verdict, doubts, ruled),
        severity=severity,
        reasons=tuple(sorted(set(reasons))),
        findings=found,
        kept=report.summary.kept,
        shown=shown_of(report.summary, study.qc.disclosure.min_cell),
        agreement=None if orientation is None else orientation.z,
        compared=beside.made,
    )


def _action(verdict: CohortVerdict, doubts: Sequence[ReasonCode], ruled: Action) -> Action:
    if not verdict.may_train or ReasonCode.CHECKS_CONTRADICT_VERDICT in doubts:
        return Action.EXCLUDE
    return ruled if doubts else Action.TRAIN


def _turned(orientation: Orientation | None) -> list[ReasonCode]:
    spec = REGISTRY["crosssite.inversion"]
    limit = spec.bounds.warn
    if orientation is None or limit is None or not is_turned(orientation, limit):
        return []
    return [spec.reason]


def _contradictions(study: Study, report: SiteReport) -> list[ReasonCode]:
    """Find what a site says against its own verdict that it may train."""
    found = []
    hard = [
        severity
        for check, severity in report.verdict.checks.items()
        if check not in REGISTRY or REGISTRY[check].check_class is CheckClass.LOCAL_HARD
    ]
    unheard = _cohort_checks() - report.verdict.checks.keys()
    if report.verdict.may_train and (_STOPS & set(hard) or unheard):
        found.append(ReasonCode.CHECKS_CONTRADICT_VERDICT)
    kept = report.summary.kept
    if report.verdict.may_train and kept.value + _CERTAIN * kept.std < study.qc.gate.min_patients:
        found.append(ReasonCode.COUNT_CONTRADICTS_VERDICT)
    return found


def _cohort_checks() -> set[str]:
    """Name the hard checks of a whole cohort: every verdict must speak of them."""
    return {
        spec.id
        for spec in REGISTRY.of(CLINICAL_TABLE)
        if spec.check_class is CheckClass.LOCAL_HARD and spec.scope is Scope.COHORT
    }

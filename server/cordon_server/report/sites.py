"""What a report says about each hospital, from its releases and what it chose to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.evaluation import estimate_auc
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.qc.fates import KEPT_FATES, RECORD_FATE_TEXT, PatientFate, RecordFate
from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import (
    FATE,
    LABEL,
    Estimate,
)
from cordon_common.qc.verdict import CohortVerdict
from cordon_server.crosssite.findings import DIFFERENCES
from cordon_server.evaluation import read_histogram, roc_points, sum_of_sites
from cordon_server.phases.quality import read_summary
from cordon_server.report.cells import feature_cells
from cordon_server.report.checks import states_of
from cordon_server.spending import site_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cordon_common.canonical import Json
    from cordon_common.evaluation import ScoreHistogram
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import QcSummary
    from cordon_server.journal import Journal, SiteReply
    from cordon_server.report.cells import FeatureCells
    from cordon_server.report.checks import State
    from cordon_server.report.extra import LocalFacts, LocalReports


@dataclass(frozen=True)
class Evaluated:
    """Metrics of the model on held-out patients, from a noised score histogram.

    auc, low, high: None when the noise hides it. positives, negatives: noised counts per score bin.
    """

    auc: float | None
    low: float | None
    high: float | None
    confidence: float
    noise_std: float
    positives: tuple[float, ...]
    negatives: tuple[float, ...]
    roc: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class SiteFacts:
    """One hospital. patients, kept: noised numbers; excluded: noised numbers by reason.

    action: the gate's, "" before it; reasons: codes; because: why a person decided so, or "". states:
    of every check, its own and the gate's.
    summarised: its quality summary came; numbers that are None all the same are suppressed.
    failures: (phase, round, code) of answers that did not come or were not used.
    """

    site: str
    key: str
    outcome: str
    action: str
    reasons: tuple[str, ...]
    because: str
    states: dict[str, State]
    summarised: bool
    patients: Estimate | None
    kept: Estimate | None
    excluded: tuple[tuple[str, Estimate | None], ...]
    features: tuple[FeatureCells, ...]
    rounds: int
    epsilon: float
    epsilon_rdp: float
    evaluated: Evaluated | None
    failures: tuple[tuple[str, int, str], ...]
    local: LocalFacts | None

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["local"] = self.local.model_dump(mode="json") if self.local else None
        for name in ("patients", "kept", "evaluated"):
            value[name] = None if value[name] is None else vars(value[name])
        value["states"] = {check: state.value for check, state in self.states.items()}
        value["features"] = [vars(item) for item in self.features]
        value["excluded"] = {
            reason: None if estimate is None else vars(estimate)
            for reason, estimate in self.excluded
        }
        return value


def site_facts(
    study: Study, journal: Journal, local: LocalReports | None, because: Mapping[str, str]
) -> tuple[SiteFacts, ...]:
    """Gather what is known of each hospital of the roster, by name.

    because: why a person decided about a hospital under review, by hospital.
    """
    replies = journal.replies()
    decisions = {item["site"]: item for item in journal.facts().get("gate", {}).get("sites", [])}
    events = site_events(replies)
    rounds = [site for record in journal.rounds() for site in record.sites]
    told = local.sites if local else {}
    return tuple(
        _site(
            study,
            entry.site,
            [reply for reply in replies if reply.site == entry.site],
            _Known(
                key=entry.key,
                decision=decisions.get(entry.site, {}),
                events=events.get(entry.site, []),
                rounds=rounds.count(entry.site),
                local=told.get(entry.site),
                because=because.get(entry.site, ""),
            ),
        )
        for entry in sorted(study.roster, key=lambda entry: entry.site)
    )


@dataclass(frozen=True)
class _Known:
    key: str
    decision: dict[str, Json]
    events: list[Event]
    rounds: int
    local: LocalFacts | None
    because: str


def _site(study: Study, site: str, replies: Sequence[SiteReply], known: _Known) -> SiteFacts:
    summary, scores = _summary(study, replies), _score_histograms(study, replies)
    spent = study_epsilon(known.events, study.privacy.delta, study.privacy.trust_model)
    told = _told(summary, study.qc.disclosure.min_cell) if summary else _NOTHING
    verdict = _verdict(replies)
    reported = [reason.value for reason in verdict.reasons] if verdict else []
    differs = {
        str(item["feature"]): _difference(item) for item in known.decision.get("warnings", [])
    }
    return SiteFacts(
        site=site,
        key=known.key,
        outcome=_outcome(known, replies),
        action=str(known.decision.get("action", "")),
        reasons=tuple(known.decision.get("reasons", reported)),
        because=known.because,
        states=states_of(verdict, known.decision) if verdict else {},
        summarised=summary is not None,
        patients=told.patients,
        kept=told.kept,
        excluded=told.excluded,
        features=tuple(replace(f, differs=differs.get(f.feature, "")) for f in told.features),
        rounds=known.rounds,
        epsilon=spent.pld,
        epsilon_rdp=spent.rdp,
        evaluated=_evaluated(study, scores[0]) if scores else None,
        failures=tuple((reply.phase, reply.round, reply.code) for reply in replies if reply.code),
        local=known.local,
    )


def _difference(warning: dict[str, Json]) -> str:
    """Write a finding of the gate in words; a number may be hidden, and a cause has none."""
    if warning["check"] not in DIFFERENCES or warning["difference"] is None:
        return str(warning["sentence"]).removeprefix(f"{warning['feature']}: ")
    points = 100 * min(max(warning["difference"], -1.0), 1.0)  # noise goes further than shares can
    return f"{warning['contrast']}: {points:+.0f} points against the others"


def _outcome(known: _Known, replies: Sequence[SiteReply]) -> str:
    action = known.decision.get("action")
    if known.rounds:
        return "trained"
    if action in {"exclude", "review"}:
        return "excluded" if action == "exclude" else "under review"
    if action == "train":
        return "admitted"
    if any(reply.code for reply in replies):
        return "did not take part"
    return "waiting" if not replies else "enrolled"


def evaluated_together(study: Study, replies: Sequence[SiteReply]) -> Evaluated | None:
    """Read all evaluation releases as one; None without any, or when one site brings most of it."""
    histogram = sum_of_sites(study, _score_histograms(study, replies))
    return None if histogram is None else _evaluated(study, histogram)


def _score_histograms(study: Study, replies: Sequence[SiteReply]) -> list[ScoreHistogram]:
    return [
        read_histogram(study, reply.arrays["release"].astype(np.int64))
        for reply in replies
        if reply.phase == "evaluate" and reply.arrays
    ]


def _evaluated(study: Study, histogram: ScoreHistogram) -> Evaluated:
    estimate = estimate_auc(histogram, confidence=study.evaluation.confidence)
    return Evaluated(
        auc=estimate.auc,
        low=estimate.low,
        high=estimate.high,
        confidence=estimate.confidence,
        noise_std=histogram.noise_std,
        positives=tuple(histogram.positives.tolist()),
        negatives=tuple(histogram.negatives.tolist()),
        roc=tuple(roc_points(histogram)) if estimate.estimable else (),
    )


def _verdict(replies: Sequence[SiteReply]) -> CohortVerdict | None:
    for reply in replies:
        if reply.phase == "qc" and reply.verdict is not None:
            return CohortVerdict.from_json(reply.verdict)
    return None


def summaries_of(study: Study, replies: Sequence[SiteReply]) -> dict[str, QcSummary]:
    """Read every hospital's quality summary that came."""
    found = {reply.site: _summary(study, [reply]) for reply in replies if reply.phase == "qc"}
    return {site: summary for site, summary in found.items() if summary is not None}


def _summary(study: Study, replies: Sequence[SiteReply]) -> QcSummary | None:
    for reply in replies:
        if reply.phase == "qc" and reply.arrays:
            return read_summary(study, reply.arrays["release"].astype(np.int64))
    return None


def patient_counts(summary: QcSummary) -> dict[str, Estimate]:
    """Return the noised number of patients by fate, and in all ("").

    The outcome's histogram counts every patient too. The least-squares estimate from both spreads
    the difference of the two totals over the fates in proportion to their noise, so that the parts
    add up to the whole and the whole is known better than from either alone.
    """
    fates, label = summary.histograms[FATE], summary.histograms[LABEL].estimate()
    total = fates.estimate()
    variance = fates.std**2
    gap = (label.value - total.value) / (total.std**2 + label.std**2)
    counts = {}
    for fate in fates.spec.cells:
        own = fates.estimate(fate)
        std = math.sqrt(variance - variance**2 / (total.std**2 + label.std**2))
        counts[fate] = Estimate(own.value + variance * gap, std)
    pooled = math.sqrt(1 / (1 / total.std**2 + 1 / label.std**2))
    counts[""] = Estimate(total.value + total.std**2 * gap, pooled)
    return counts


def kept_patients(summary: QcSummary) -> Estimate:
    """Return the noised number of patients who passed quality control, never above the whole."""
    counts = patient_counts(summary)
    fates, label = summary.histograms[FATE], summary.histograms[LABEL].estimate()
    kept = len(KEPT_FATES) * fates.std**2
    whole = fates.estimate().std ** 2 + label.std**2
    value = sum(counts[fate.value].value for fate in KEPT_FATES)
    return Estimate(min(value, counts[""].value), math.sqrt(kept - kept**2 / whole))


@dataclass(frozen=True)
class _Told:
    """What a report tells of one summary."""

    patients: Estimate | None = None
    kept: Estimate | None = None
    excluded: tuple[tuple[str, Estimate | None], ...] = ()
    features: tuple[FeatureCells, ...] = ()


_NOTHING = _Told()


def _told(summary: QcSummary, min_cell: int) -> _Told:
    shown = shown_of(summary, min_cell)
    counts = patient_counts(summary)
    return _Told(
        patients=counts[""] if shown.patients else None,
        kept=kept_patients(summary) if shown.kept else None,
        excluded=tuple(
            (
                RECORD_FATE_TEXT[RecordFate(fate.value)],
                counts[fate.value] if shown.allows(FATE, fate.value) else None,
            )
            for fate in PatientFate
            if fate.value in counts and fate not in KEPT_FATES
        ),
        features=feature_cells(summary, shown, counts[""].value),
    )

"""The local report as data: what the JSON file holds and the page shows. It stays at the site."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.cohort_value import result_value, rounded
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.fates import RECORD_FATE_TEXT, RecordFate
from cordon_common.qc.reasons import REASONS
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, Scope, Severity, worst

if TYPE_CHECKING:
    from cordon_client.qc.measure import FeatureStats
    from cordon_client.qc.tabular import TableQc
    from cordon_common.canonical import Json
    from cordon_common.protocol.dictionary import Measured
    from cordon_common.protocol.study import Study
    from cordon_common.qc.measurement import Count
    from cordon_common.qc.verdict import CheckResult

_ORDER = (Severity.ERROR, Severity.FAIL, Severity.WARN)


@dataclass(frozen=True)
class Score:
    """An area under the ROC curve on this site's held-out patients, with its interval."""

    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelAtSite:
    """What the study's model is worth here, against one trained on this site's patients alone.

    Exact numbers on the site's own held-out patients; like the whole report, they stay here.
    """

    positive: int
    negative: int
    federated: Score
    local_only: Score
    confidence: float


def report_value(study: Study, qc: TableQc, model: ModelAtSite | None = None) -> Json:
    """Return the report as one JSON value; equal input gives an equal value."""
    return {
        "kind": "qc-report.v1",
        "study": {"name": study.name, "version": study.version, "digest": study.digest},
        "verdict": qc.verdict.as_json(),
        "headline": _headline(qc),
        "patients": {
            "in_file": sum(qc.patient_fates.values()),
            "kept": qc.patients_kept,
            "fates": {fate.value: count for fate, count in qc.patient_fates.items()},
        },
        "records": {
            "in_file": sum(qc.record_fates.values()),
            "kept": qc.record_fates[RecordFate.KEPT],
            "positive": qc.labels[1],
            "negative": qc.labels[0],
            "fates": [
                {"fate": fate.value, "text": RECORD_FATE_TEXT[fate], "records": count}
                for fate, count in qc.record_fates.items()
            ],
        },
        "samples": None
        if qc.samples is None
        else {**qc.samples.counts(), "reasons": qc.samples.reasons()},
        "findings": _findings(qc),
        "features": [
            _feature(feature, stats, qc)
            for feature, stats in zip(study.cohort.measured, qc.features, strict=True)
        ],
        "checks": _checks(qc),
        "results": [result_value(result) for result in qc.results],
        "leaves": {
            "numbers": qc.layout.dimension,
            "histograms": len(qc.layout.histograms),
            "unprotected": list(study.privacy.unprotected),
        },
        "model": None if model is None else asdict(model),
    }


def _headline(qc: TableQc) -> str:
    if not qc.verdict.may_train:
        return "This cohort must not train yet"
    if qc.verdict.severity is Severity.WARN:
        return "This cohort may train; some findings deserve a look"
    return "This cohort may train"


def _findings(qc: TableQc) -> list[Json]:
    """List what did not pass: the worst first, hard before soft, then in the checks' order."""
    found = [result for result in qc.results if result.severity in _ORDER]
    found.sort(key=lambda r: (_ORDER.index(r.severity), REGISTRY[r.check].scope is Scope.FEATURE))
    return [
        {
            "check": result.check,
            "title": _title(result),
            "severity": result.severity.value,
            "stops_training": _stops(result),
            "subject": result.subject,
            "value": rounded(result.value),
            "threshold": result.threshold,
            "unit": REGISTRY[result.check].bounds.unit,
            "affected": result.affected,
            "reason": None if result.reason is None else result.reason.value,
            "detail": result.detail,
            "meaning": REGISTRY[result.check].wording.meaning,
            "advice": REGISTRY[result.check].wording.advice,
        }
        for result in found
    ]


def _title(result: CheckResult) -> str:
    if result.severity is Severity.ERROR:
        return f"Could not be checked: {REGISTRY[result.check].wording.title.lower()}"
    return REASONS[REGISTRY[result.check].reason].found


def _stops(result: CheckResult) -> bool:
    hard = REGISTRY[result.check].check_class is CheckClass.LOCAL_HARD
    return hard and result.severity in {Severity.FAIL, Severity.ERROR}


def _feature(feature: Measured, stats: FeatureStats, qc: TableQc) -> Json:
    results = [result for result in qc.results if result.subject == feature.name]
    value: dict[str, Json] = {
        "name": feature.name,
        "description": feature.description,
        "severity": worst(result.severity for result in results).value,
        "checks": {result.check: result.severity.value for result in results},
        "recorded": _count(stats.recorded),
        "missing": {"negative": _count(stats.missing[0]), "positive": _count(stats.missing[1])},
        "outside": _count(stats.outside),
        "declared_missing_codes": stats.coded,
        "histogram": list(stats.histogram.counts),
    }
    if not isinstance(feature, NumberFeature):
        return value | {"type": "category", "categories": list(feature.categories)}
    moments, quantiles = stats.moments, stats.quantiles
    return value | {
        "type": "number",
        "unit": feature.unit,
        "range": list(feature.range),
        "typical": None if feature.typical is None else list(feature.typical),
        "window": None if stats.window is None else list(stats.window),
        "not_a_number": stats.invalid,
        "mean": None if moments is None else rounded(moments.mean),
        "standard_deviation": None if moments is None else rounded(moments.standard_deviation),
        "quantiles": None if quantiles is None else [rounded(q) for q in quantiles],
    }


def _checks(qc: TableQc) -> list[Json]:
    """List every check that ran, with its thresholds, their source, and how often it came out."""
    rows = []
    for check, severity in qc.verdict.checks.items():
        spec = REGISTRY[check]
        results = [result for result in qc.results if result.check == check]
        rows.append(
            {
                "check": check,
                "title": spec.wording.title,
                "class": spec.check_class.value,
                "severity": severity.value,
                "results": {
                    each.value: sum(result.severity is each for result in results)
                    for each in Severity
                },
                "unit": spec.bounds.unit,
                "warn": spec.bounds.warn,
                "fail": spec.bounds.fail,
                "source": spec.bounds.source,
                "stability": spec.stability,
                "excludes": spec.excludes,
            }
        )
    return rows


def _count(count: Count) -> Json:
    return {"part": count.part, "total": count.total}

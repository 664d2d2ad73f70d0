"""A cohort's quality control as one JSON value: what the files hold and the page shows.

It stays at the hospital.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cordon_client.qc.finding import excludes
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, Severity, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_client.qc.modality import Plot, SampleFiles, SampleQc
    from cordon_client.qc.run_cohort import CohortCheck, PartQc
    from cordon_common.canonical import Json
    from cordon_common.qc.verdict import CheckResult

_DIGITS = 6


def cohort_value(check: CohortCheck) -> dict[str, Json]:
    """Return everything that was found; equal input gives an equal value."""
    samples = sum(len(part.samples) for part in check.parts)
    kept = sum(len(part.kept) for part in check.parts)
    return {
        "kind": "qc-cohort.v1",
        "severity": check.severity.value,
        "samples": samples,
        "kept": kept,
        "unread_files": check.unread,
        "parts": [_part(part) for part in check.parts],
    }


def _part(part: PartQc) -> Json:
    return {
        "modality": part.modality.name,
        "title": part.modality.title,
        "profile": part.profile.name,
        "severity": part.severity.value,
        "columns": [asdict(column) for column in part.modality.columns],
        "samples": [
            _sample(sample, qc) for sample, qc in zip(part.samples, part.found, strict=True)
        ],
        "cohort": {
            "results": [result_value(result) for result in part.cohort.results],
            "plots": [plot_value(plot) for plot in part.cohort.plots],
        },
        "checks": _checks(part),
    }


def _sample(sample: SampleFiles, qc: SampleQc) -> Json:
    return {
        "sample": sample.sample,
        "patient": sample.patient,
        "label": sample.label,
        "batches": dict(sorted(sample.batches.items())),
        "excluded": excludes(qc.results),
        "severity": worst(result.severity for result in qc.results).value,
        "stats": {key: rounded(value) for key, value in qc.stats.items()},
        "results": [result_value(result) for result in qc.results],
        "plots": [plot_value(plot) for plot in qc.plots],
    }


def result_value(result: CheckResult) -> Json:
    """Write one judgement."""
    return {
        "check": result.check,
        "severity": result.severity.value,
        "subject": result.subject,
        "value": rounded(result.value),
        "threshold": rounded(result.threshold),
        "affected": result.affected,
        "reason": None if result.reason is None else result.reason.value,
        "detail": result.detail,
    }


def plot_value(plot: Plot) -> Json:
    """Write a plot as data; numbers to six digits, so that equal input gives equal bytes."""
    value = asdict(plot)
    value["series"] = [
        {
            "name": series.name,
            "x": [x if isinstance(x, str) else rounded(x) for x in series.x],
            "y": [rounded(y) for y in series.y],
        }
        for series in plot.series
    ]
    value["rows"], value["columns"] = list(plot.rows), list(plot.columns)
    value["matrix"] = [[rounded(cell) for cell in row] for row in plot.matrix]
    value["bands"] = [
        {"low": rounded(band.low), "high": rounded(band.high), "severity": band.severity}
        for band in plot.bands
    ]
    return value


def _checks(part: PartQc) -> list[Json]:
    """List every check that ran, in the order of the registry's table."""
    ran: dict[str, list[Severity]] = {}
    for result in part.results:
        ran.setdefault(result.check, []).append(result.severity)
    return [check_value(check, severities, part) for check, severities in sorted(ran.items())]


def check_value(check: str, severities: Sequence[Severity], part: PartQc) -> Json:
    """Write one row of the table of checks."""
    spec = REGISTRY[check]
    warn, fail = part.profile.thresholds(check)
    return {
        "check": check,
        "title": spec.wording.title,
        "meaning": spec.wording.meaning,
        "advice": spec.wording.advice,
        "scope": spec.scope.value,
        "hard": spec.check_class is CheckClass.LOCAL_HARD,
        "excludes": spec.excludes,
        "stability": spec.stability,
        "unit": spec.bounds.unit,
        "worse": spec.bounds.worse,
        "warn": warn,
        "fail": fail,
        "source": spec.bounds.source,
        "severity": worst(severities).value,
        "results": {each.value: severities.count(each) for each in Severity},
    }


def rounded(value: float | None) -> float | int | None:
    """Round to six significant digits; NaN and infinities, which JSON has not, become None."""
    if value is None or isinstance(value, int):
        return value
    number = float(f"{float(value):.{_DIGITS}g}")
    return number if abs(number) < float("inf") else None

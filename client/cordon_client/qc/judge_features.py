"""Judge the features of a clinical table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.fates import outside
from cordon_client.qc.finding import Finding, result_of
from cordon_common.protocol.dictionary import NumberFeature

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.fates import Fates
    from cordon_client.qc.measure import FeatureStats
    from cordon_common.protocol.study import Study
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

    Values = npt.NDArray[np.float64]

WELL_KNOWN_CODES = (0, -1, -7, -8, -9, -77, -88, -99, -999, -9999, 77, 88, 99, 777, 888, 999, 9999)
"""Numbers that registries use for "missing"; only these may be named in a local report."""

_POWERS_OF_TEN = {f"{factor:g}": factor for factor in (0.001, 0.01, 0.1, 10.0, 100.0, 1000.0)}
_FEW = 5
"""Fewer cells than this are not a pattern."""
_DISTINCT = 3
_SIGNIFICANT_Z = 3.29
_DIGIT_MIN_VALUES, _DIGIT_MIN_SPAN = 50, 40.0
_CONSTANT_MIN_VALUES = 20


def judge_features(
    study: Study,
    table: StudyTable,
    fates: Fates,
    stats: tuple[FeatureStats, ...],
    profile: Profile,
) -> list[CheckResult]:
    """Judge every feature with every check that applies to it."""
    results = []
    for feature, stat in zip(study.cohort.measured, stats, strict=True):
        if isinstance(feature, NumberFeature):
            values = table.numbers[feature.name].values[fates.distinct]
            findings = [*_common(stat), *_number_findings(feature, stat, values)]
        else:
            findings = [*_common(stat), *_category_findings(stat)]
        results += [result_of(finding, profile, feature.name) for finding in findings]
    return results


def _common(stat: FeatureStats) -> Iterator[Finding]:
    absent = stat.recorded.total - stat.recorded.part
    share = absent / stat.recorded.total if stat.recorded.total else None
    code = f" {stat.coded} of them held a declared code for missing." if stat.coded else ""
    yield Finding("feature.missing", share, absent, f"{absent} records lack it.{code}")
    yield _missing_by_label(stat)


def _missing_by_label(stat: FeatureStats) -> Finding:
    negative, positive = stat.missing
    if negative.fraction is None or positive.fraction is None:
        return Finding("feature.missing-by-label", None)
    gap = positive.fraction - negative.fraction
    pooled = (negative.part + positive.part) / (negative.total + positive.total)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / negative.total + 1 / positive.total))
    return Finding(
        "feature.missing-by-label",
        abs(gap),
        negative.part + positive.part,
        f"Missing in {positive.fraction:.0%} of positive and {negative.fraction:.0%} of negative "
        "records.",
        waived=abs(gap) <= _SIGNIFICANT_Z * spread,
    )


def _category_findings(stat: FeatureStats) -> Iterator[Finding]:
    unlisted = stat.outside.part
    detail = f"{unlisted} records hold one."
    yield Finding("feature.category", stat.outside.fraction, unlisted, detail)
    yield _constant(stat, max(stat.histogram.counts, default=0))


def _number_findings(
    feature: NumberFeature, stat: FeatureStats, values: Values
) -> Iterator[Finding]:
    recorded = stat.recorded.part
    share = stat.invalid / recorded if recorded else None
    yield Finding("feature.number", share, stat.invalid, f"{stat.invalid} cells.")
    low, high = feature.range
    detail = f"{stat.outside.part} values are outside {low:g} to {high:g}{_in_unit(feature)}."
    yield Finding("feature.range", stat.outside.fraction, stat.outside.part, detail)
    beyond = values[outside(values, feature)]
    code = _missing_code(feature, beyond, recorded)
    yield code.finding
    yield _unit(feature, beyond[beyond != code.value], recorded)
    inside = values[~np.isnan(values) & ~outside(values, feature)]
    most = int(np.unique(inside, return_counts=True)[1].max()) if len(inside) else 0
    yield _constant(stat, most)
    yield _digits(feature, inside)


def _constant(stat: FeatureStats, most: int) -> Finding:
    recorded = stat.recorded.part
    return Finding(
        "feature.constant",
        most / recorded if recorded else None,
        most,
        f"{most} of {recorded} recorded values are the same.",
        waived=recorded < _CONSTANT_MIN_VALUES,
    )


@dataclass(frozen=True)
class _Code:
    finding: Finding
    value: float  # NaN when no code was found


def _missing_code(feature: NumberFeature, beyond: Values, recorded: int) -> _Code:
    """Look for one well-known number that makes up at least half of the impossible values."""
    check = "feature.missing-code"
    if not recorded:
        return _Code(Finding(check, None), math.nan)
    counts = {code: int((beyond == code).sum()) for code in WELL_KNOWN_CODES}
    code = max(counts, key=counts.__getitem__)
    found = counts[code]
    if found < _FEW or found < len(beyond) / 2:
        return _Code(Finding(check, 0.0, 0), math.nan)
    detail = f"{found} records hold {code}, which the study does not declare for {feature.name}."
    return _Code(Finding(check, found / recorded, found, detail), float(code))


def _unit(feature: NumberFeature, beyond: Values, recorded: int) -> Finding:
    """Look for one factor that brings at least half of the impossible values into `typical`."""
    if not recorded:
        return Finding("feature.unit", None)
    low, high = feature.typical or feature.range
    best, best_name = 0, ""
    for name, factor in _factors(feature).items():
        explained = beyond[(beyond * factor >= low) & (beyond * factor <= high)]
        # One number again and again is a code or a stuck device, not a unit.
        if len(explained) > best and len(np.unique(explained)) >= _DISTINCT:
            best, best_name = len(explained), name
    if best < _FEW or best < len(beyond) / 2:
        return Finding("feature.unit", 0.0, 0)
    return Finding(
        "feature.unit",
        best / recorded,
        best,
        f"{best} impossible values would be usual{_in_unit(feature)} after multiplying by "
        f"{best_name}.",
    )


def _in_unit(feature: NumberFeature) -> str:
    return "" if feature.unit == "1" else f" {feature.unit}"


def _factors(feature: NumberFeature) -> dict[str, float]:
    """List factors to try: the study's own first (both ways), then powers of ten."""
    own = {f"{factor:g} (from {unit})": factor for unit, factor in feature.unit_factors.items()}
    inverse = {
        f"1/{factor:g} (to {unit})": 1 / factor for unit, factor in feature.unit_factors.items()
    }
    return own | inverse | _POWERS_OF_TEN


def _digits(feature: NumberFeature, inside: Values) -> Finding:
    wide = feature.range[1] - feature.range[0] >= _DIGIT_MIN_SPAN
    if not wide or len(inside) < _DIGIT_MIN_VALUES or (inside != np.rint(inside)).any():
        return Finding("feature.digit", None)
    zeros = int((inside % 10 == 0).sum())
    detail = f"{zeros} of {len(inside)} values end in 0."
    return Finding("feature.digit", zeros / len(inside), zeros, detail)

"""Harmonisation from the hospitals' noised summaries: is a feature measured alike everywhere?

ComBat's model (Johnson, Li, Rabinovic 2007) with the outcome as its covariate: a summary holds all the
sums of its two rounds at once, per feature n, Σy, Σv, Σvy and Σv², y = ±1. So one release, charged
once with the summary, gives each hospital's offset and the spread that is left. The empirical Bayes
step stays at the hospital.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from cordon_common.errors import PolicyRefused
from cordon_common.qc.dominance import dominates
from cordon_common.qc.harmonise.combat import BatchSums, fit_location
from cordon_common.qc.harmonise.confounding import require_separable
from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import (
    LABEL,
    LABEL_CELLS,
    MISSING_NEGATIVE,
    MISSING_POSITIVE,
    MOMENT_CENTRE,
    OUT_OF_RANGE,
    harmonised,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from cordon_common.protocol.dictionary import NumberFeature
    from cordon_common.protocol.study import Study
    from cordon_common.qc.harmonise.combat import Location
    from cordon_common.qc.summary import Estimate, QcSummary

_READABLE = 3.0
"""A hospital's number of values must be this many standard deviations of its noise, at least."""
_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class Offset:
    """How far a hospital's mean lies from that of all, the outcome taken out.

    value: in standard deviations within hospitals and outcomes; std: of privacy noise and of drawing
    patients, in the same unit.
    """

    value: float
    std: float


@dataclass(frozen=True)
class Alignment:
    """One feature over hospitals. mean, deviation: of all, in its unit, values clipped to `typical`.

    between: share of the variance that lies between hospitals, the outcome and the noise taken out.
    typical: mean ± 2 deviations, inside the plausible range: public from now on, so a next version of
    the study may use it. sites: None where noise hides too much. withheld: why there are no numbers,
    or "".
    """

    feature: str
    unit: str
    mean: float | None
    deviation: float | None
    between: float | None
    typical: tuple[float, float] | None
    sites: dict[str, Offset | None]
    withheld: Literal["", "noise", "dominance", "confounded"] = ""


@dataclass(frozen=True)
class Harmonisation:
    """All features of a study that asked for it. refused: why nothing can be compared, or ""."""

    features: tuple[Alignment, ...]
    refused: str = ""


@dataclass(frozen=True)
class _Sums:
    """A feature at one hospital, in patients. std, std_n: of the noise in a released sum, and in n."""

    n: float
    balance: float
    total: float
    signed: float
    squares: float
    std: float
    std_n: float

    @property
    def batch(self) -> BatchSums:
        """The sums of ComBat's first round."""
        gram = np.array([[self.n, self.balance], [self.balance, self.n]])
        return BatchSums(gram, np.array([[self.total], [self.signed]]))

    def residual(self, own: float, slope: float) -> float:
        """The sum of ComBat's second round: Σ(v - own - slope · y)², never negative."""
        crossed = own * self.total + slope * self.signed
        fitted = (own**2 + slope**2) * self.n + 2 * own * slope * self.balance
        return max(self.squares - 2 * crossed + fitted, 0.0)


def align(study: Study, summaries: Mapping[str, QcSummary]) -> Harmonisation | None:
    """Compare the hospitals' numbers; None when the study does not ask for it.

    Guarantee: a pure function of the releases. Refused where hospital and outcome cannot be told
    apart; no number over all where one hospital brings most of the values, or fewer than two can
    be read.
    """
    features = harmonised(study)
    if not features:
        return None
    shown = {
        site: summary
        for site, summary in sorted(summaries.items())
        if shown_of(summary, study.qc.disclosure.min_cell).patients
    }
    try:
        require_separable(_outcomes(shown.values()))
    except PolicyRefused as refusal:
        return Harmonisation((), refusal.code)
    return Harmonisation(tuple(_align(study, feature, shown) for feature in features))


def _align(study: Study, feature: NumberFeature, summaries: Mapping[str, QcSummary]) -> Alignment:
    sums = {site: _sums(feature, summary) for site, summary in summaries.items()}
    seen = {site: found for site, found in sums.items() if found is not None}
    nothing = Alignment(feature.name, feature.unit, None, None, None, None, dict.fromkeys(sums))
    if len(seen) < 2:
        return replace(nothing, withheld="noise")
    if dominates([found.n for found in seen.values()], study.qc.disclosure.max_share):
        return replace(nothing, withheld="dominance")
    try:
        location = fit_location(
            [found.batch for found in seen.values()], _outcomes(summaries[site] for site in seen)
        )
    except PolicyRefused:
        return replace(nothing, withheld="confounded")
    return _numbers(feature, seen, location, nothing)


def _numbers(
    feature: NumberFeature, seen: Mapping[str, _Sums], location: Location, nothing: Alignment
) -> Alignment:
    own = dict(zip(seen, location.batches[:, 0].tolist(), strict=True))
    slope, middle = float(location.covariates[0, 0]), float(location.mean[0])
    inside = sum(each.residual(own[site], slope) for site, each in seen.items())
    spread = max(math.sqrt(inside / location.n), _SMALLEST_SPREAD)
    # noise alone makes means differ: what it adds on average is taken off
    across = sum(
        each.n * ((own[site] - middle) ** 2 - _noise(each, own[site]) ** 2)
        for site, each in seen.items()
    )
    scaled = _within(sum(each.total for each in seen.values()) / location.n, 1.0)
    square = sum(each.squares for each in seen.values()) / location.n
    mean = feature.centre + feature.half_width * scaled
    deviation = feature.half_width * math.sqrt(max(square - scaled**2, _SMALLEST_SPREAD**2))
    low, high = feature.range
    offsets: dict[str, Offset | None] = {
        site: Offset(
            (own[site] - middle) / spread,
            math.hypot(_noise(each, own[site]) / spread, each.n**-0.5),
        )
        for site, each in seen.items()
    }
    return replace(
        nothing,
        mean=mean,
        deviation=deviation,
        between=max(across, 0.0) / max(max(across, 0.0) + inside, 1e-12),
        typical=(max(low, mean - 2 * deviation), min(high, mean + 2 * deviation)),
        sites=nothing.sites | offsets,
    )


def _noise(sums: _Sums, own: float) -> float:
    """Return the standard deviation that noise gives a hospital's own mean (delta method)."""
    return math.hypot(sums.std, own * sums.std_n) / sums.n


def _sums(feature: NumberFeature, summary: QcSummary) -> _Sums | None:
    """Read a feature's sums; None where noise hides how many values there are."""
    histogram, known = summary.histograms[feature.name], summary.histograms[LABEL]
    lost = histogram.estimate(OUT_OF_RANGE, MISSING_POSITIVE, MISSING_NEGATIVE)
    n = _known(summary).value - lost.value
    std_n = math.hypot(_known(summary).std, lost.std)
    if n < max(_READABLE * std_n, 2.0):
        return None
    positive = known.estimate("positive").value - histogram.estimate(MISSING_POSITIVE).value
    negative = known.estimate("negative").value - histogram.estimate(MISSING_NEGATIVE).value
    place = summary.moments.features.index(feature.name)
    columns = [column.feature for column in summary.effects.columns]
    return _Sums(
        n=n,
        balance=_within(positive - negative, n),
        total=_within(float(summary.moments.totals[place]), n),
        signed=_within(float(summary.effects.sums[columns.index(feature.name)]), n),
        squares=min(max(float(summary.moments.squares[place]) + MOMENT_CENTRE * n, 0.0), n),
        std=summary.moments.std,
        std_n=std_n,
    )


def _known(summary: QcSummary) -> Estimate:
    return summary.histograms[LABEL].estimate("positive", "negative")


def _within(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)


def _outcomes(summaries: Iterable[QcSummary]) -> npt.NDArray[np.int64]:
    rows = [
        [round(summary.histograms[LABEL].estimate(cell).value) for cell in LABEL_CELLS[:2]]
        for summary in summaries
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)

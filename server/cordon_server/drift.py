"""How far a site's noised histograms lie from the other sites', beyond what noise explains.

A contrast is a set of cells (everything up to an edge, one category, the missing cells …). Its
share at a site is compared with the median share of the other sites, each site counting once:
pooled by size, or averaged, one faulty site would become part of everybody's reference. The limit
is a z-test whose variance holds the sampling of n patients, the privacy noise of the cells, and the
noise of n, at the site and at the reference; Bonferroni over all contrasts and sites of the study
keeps false alarms near ALPHA per study (contrasts overlap, which helps; rare cells, which hurt; a test
simulates it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import TYPE_CHECKING

from cordon_common.qc.summary import (
    LABEL,
    MISSING_NEGATIVE,
    MISSING_POSITIVE,
    OUT_OF_RANGE,
    UNKNOWN,
    Estimate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.qc.summary import HistogramSpec, NoisyHistogram, QcSummary

ALPHA = 0.01
"""Nominal share of studies with a false alarm where all sites draw from one distribution."""

_READABLE = 4.0
"""A site's number of patients must be this many standard deviations of its noise, at least."""


@dataclass(frozen=True)
class Deviation:
    """The contrast of one feature in which a site is furthest from the others.

    difference: site's share minus the median share of the others, in [-1, 1] up to noise.
    """

    feature: str
    contrast: str
    difference: float
    limit: float

    @property
    def excess(self) -> float:
        """The part of the difference that noise and sampling do not explain."""
        return max(0.0, abs(self.difference) - self.limit)


@dataclass(frozen=True)
class _Share:
    value: float
    variance: float


def deviations(summaries: Mapping[str, QcSummary]) -> dict[str, list[Deviation]]:
    """Compare every readable site with the others, feature by feature.

    Guarantee: pure and deterministic. A site whose number of patients drowns in noise is in no
    comparison, and has an empty list; so has every site when fewer than two are readable.
    """
    readable = {site: s for site, s in summaries.items() if _labelled(s) is not None}
    result: dict[str, list[Deviation]] = {site: [] for site in summaries}
    if len(readable) < 2:
        return result
    specs = next(iter(readable.values())).histograms
    contrasts = {name: _contrasts(histogram.spec) for name, histogram in specs.items()}
    comparisons = len(readable) * sum(len(sets) for sets in contrasts.values())
    z = NormalDist().inv_cdf(1 - ALPHA / (2 * comparisons))
    for name, sets in contrasts.items():
        if not sets:
            continue
        shares = {
            site: {contrast: _share(summary, name, cells) for contrast, cells in sets.items()}
            for site, summary in readable.items()
        }
        for site in readable:
            result[site].append(_furthest(site, name, shares, z))
    return result


def _labelled(summary: QcSummary) -> Estimate | None:
    """Return the number of patients with a known outcome; None when noise hides it."""
    estimate = summary.histograms[LABEL].estimate("positive", "negative")
    return estimate if estimate.value >= _READABLE * estimate.std else None


def _contrasts(spec: HistogramSpec) -> dict[str, tuple[str, ...]]:
    """Name the sets of cells that are compared."""
    if spec.kind == "fate":
        return {}  # how much was excluded is each site's own story
    if spec.kind == "label":
        return {"positive": ("positive",)}
    sets: dict[str, tuple[str, ...]] = {"missing": (MISSING_POSITIVE, MISSING_NEGATIVE)}
    if spec.kind == "category":
        sets |= {cell: (cell,) for cell in spec.cells[:-3]}
        sets["unknown category"] = (UNKNOWN,)
    else:
        inner = range(1, len(spec.edges) - 1)
        sets |= {f"below {spec.edges[i]:g}": spec.cells[:i] for i in inner}
        sets["out of range"] = (OUT_OF_RANGE,)
    return sets


def _share(summary: QcSummary, name: str, cells: tuple[str, ...]) -> _Share:
    """Return the share of patients in the cells and its variance (delta method)."""
    histogram: NoisyHistogram = summary.histograms[name]
    n = summary.histograms[LABEL].estimate("positive", "negative")
    inside = histogram.estimate(*cells)
    share = inside.value / n.value
    bounded = min(1.0, max(0.0, share))
    # At 0 or 1 the plug-in variance of sampling would vanish; one patient either way remains.
    smoothed = (bounded * n.value + 1) / (n.value + 2)
    sampling = smoothed * (1 - smoothed) / n.value
    noise = (inside.std**2 + (bounded * n.std) ** 2) / n.value**2
    return _Share(share, sampling + noise)


def _furthest(
    site: str, feature: str, shares: Mapping[str, Mapping[str, _Share]], z: float
) -> Deviation:
    others = [shares[other] for other in shares if other != site]
    found: list[Deviation] = []
    for contrast, own in shares[site].items():
        reference = _median([other[contrast] for other in others])
        limit = z * math.sqrt(own.variance + reference.variance)
        found.append(Deviation(feature, contrast, own.value - reference.value, limit))
    return max(found, key=lambda deviation: abs(deviation.difference) - deviation.limit)


def _median(shares: list[_Share]) -> _Share:
    """Return the median and its variance: pi/2 times that of the mean (normal, large samples).

    The factor is below pi/2 for few shares, so the variance is on the safe side; up to two shares
    the median is the mean.
    """
    mean_variance = sum(share.variance for share in shares) / len(shares) ** 2
    factor = 1.0 if len(shares) <= 2 else math.pi / 2
    return _Share(median(share.value for share in shares), factor * mean_variance)

"""What hospitals' noised summaries say about each other: is one site's outcome turned around?

Pure functions of public numbers; no site counts more than another because it is larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.summary import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from cordon_common.protocol.dictionary import Measured
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import HistogramSpec, NoisyHistogram, QcSummary

    Vector = npt.NDArray[np.float64]

_READABLE = 4.0
_EXHAUSTIVE = 12
_CERTAIN, _MIN_SUPPORT, _MIN_MARGIN = 3.0, 1.5, 0.25
"""A site whose agreement is this many standard deviations has a whole vote, others a part of one."""


@dataclass(frozen=True)
class Effects:
    """How the features of a site go with its outcome.

    values: float64 [columns], n · covariance of value and outcome (±1), in patients; variance: of
    privacy noise and sampling together, float64 [columns].
    """

    values: Vector
    variance: Vector


@dataclass(frozen=True)
class Orientation:
    """Whether a site's effects point where the other sites' do.

    z: their agreement in standard deviations of noise and sampling; strongly negative when the
    outcome is turned around. support: the votes of the other sites on the side that it is compared
    with; a site whose own effects drown in noise has a small part of a vote. margin: the votes of
    that side less those of the other side.
    """

    z: float
    support: float
    margin: float


def effects_of(study: Study, summary: QcSummary) -> Effects | None:
    """Read a site's effects; None where noise hides how many patients it has.

    The mean outcome times the mean value (from the feature's histogram) is taken off, so that a
    rare or frequent outcome by itself has no effect.
    """
    label = summary.histograms[LABEL]
    n = label.estimate("positive", "negative")
    if n.value < _READABLE * n.std:
        return None
    balance = label.estimate("positive").value - label.estimate("negative").value
    mean_outcome = float(np.clip(balance / n.value, -1.0, 1.0))
    totals, variances = [], []
    for feature in study.cohort.measured:
        total, variance = _total(feature, summary.histograms[feature.name])
        totals += total
        variances += variance
    centred = summary.effects.sums - mean_outcome * np.array(totals)
    noise = summary.effects.std**2 + mean_outcome**2 * np.array(variances)
    return Effects(centred, noise + n.value * (1 - mean_outcome**2) * _SPREAD)


_SPREAD = 0.25
"""Upper guess of the variance of a value in [-1, 1] around its mean, for the sampling noise."""


def _total(feature: Measured, histogram: NoisyHistogram) -> tuple[list[float], list[float]]:
    """Estimate the sum of a feature's values over the site's patients, per effect column."""
    counts, variance = histogram.counts, histogram.std**2
    if isinstance(feature, NumberFeature):
        middles = _middles(feature, histogram.spec)
        known = counts[: len(middles)]
        return [float(known @ middles)], [float(variance * (middles @ middles))]
    inside = counts[: len(feature.categories)].tolist()
    if len(inside) == 2:
        return [inside[1] - inside[0]], [2 * variance]
    return inside, [variance] * len(inside)


def _middles(feature: NumberFeature, spec: HistogramSpec) -> Vector:
    """Return the middle of each cell as the scaled, clipped value that a patient in it adds."""
    edges = np.clip((np.array(spec.edges) - feature.centre) / feature.half_width, -1.0, 1.0)
    middles: Vector = (edges[:-1] + edges[1:]) / 2
    return middles


def orientations(effects: Mapping[str, Effects | None]) -> dict[str, Orientation]:
    """Compare each site's effects with the others', after settling on one of two sides.

    First each site gets a sign, so that all pairs agree as well as they can. Then each is held
    against the sum of the others turned to that side, every site scaled to the same precision, so
    that neither size nor one turned site decides for all. The side with more votes is right.
    Guarantee: deterministic; sites that cannot be read, or all when fewer than three can, are left
    out.
    """
    readable = {site: found for site, found in sorted(effects.items()) if found is not None}
    if len(readable) < 3:
        return {}
    standard = np.array([e.values / np.sqrt(e.variance) for e in readable.values()])
    gram = standard @ standard.T
    np.fill_diagonal(gram, 0.0)
    signs = _signs(gram)
    turned = signs[:, None] * standard
    agreement = [_agreement(own, turned.sum(axis=0) - own, len(turned) - 1) for own in turned]
    votes = np.clip(np.array(agreement) / _CERTAIN, 0.0, 1.0)
    if float(signs @ votes) < 0:
        signs = -signs
    side = np.where(signs > 0, votes, 0.0)
    return {
        name: Orientation(
            z=float(signs[index] * agreement[index]),
            support=float(side.sum() - side[index]),
            margin=float(signs @ votes),
        )
        for index, name in enumerate(readable)
    }


def _signs(gram: Vector) -> Vector:
    """Give each site +1 or -1 so that all pairs agree best."""
    sites = len(gram)
    if sites <= _EXHAUSTIVE:
        choices = np.array(
            [
                [1 - 2 * (code >> bit & 1) for bit in range(sites)]
                for code in range(2 ** (sites - 1))
            ],
            dtype=np.float64,
        )
        best: Vector = choices[np.einsum("ci,ij,cj->c", choices, gram, choices).argmax()]
    else:
        leading = np.linalg.eigh(gram)[1][:, -1]
        best = np.where(leading >= 0, 1.0, -1.0)
    return best


def _agreement(own: Vector, reference: Vector, others: int) -> float:
    """Return own · reference in standard deviations, were the two unrelated.

    Each of own's entries has noise of variance 1, each of the reference's of variance `others`;
    the variance of the product's sum is |reference|² + others · |own|² - columns · others (the
    noise in either length is counted twice otherwise).
    """
    columns = len(own)
    signal_own = max(0.0, float(own @ own) - columns)
    signal_reference = max(0.0, float(reference @ reference) - columns * others)
    variance = signal_reference + others * signal_own + columns * others
    return float(own @ reference) / math.sqrt(variance)


def is_turned(found: Orientation, limit: float) -> bool:
    """Say whether a site points away from the others by more than `limit`, and they carry weight.

    One readable site against one other is no ground: nobody could tell which of them is turned.
    """
    weighty = found.support >= _MIN_SUPPORT and found.margin >= _MIN_MARGIN
    return weighty and found.z < -limit

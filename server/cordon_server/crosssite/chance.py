"""What sites that draw from one distribution show by chance: limits by simulation.

The null: every site's patients fall into a feature's cells with the same chances, which are the
median shares of the sites as they are (each site once), at the sites' own noised sizes and under
their own privacy noise. (Where the question is about known values, each site keeps its own share of
missing ones.) Everything that enters has been released, so this costs no privacy. The
generator's seed is the SHA-256 of what enters: whoever has the releases gets the same limits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.canonical import canonical_bytes
from cordon_server.crosssite.shares import READABLE, Panel, contrast_matrix, differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_common.qc.summary import HistogramSpec
    from cordon_server.crosssite.shares import SideBySide

    Array = npt.NDArray[np.float64]

ALPHA = 0.01
"""Share of studies with a false alarm where all sites draw from one distribution."""

DRAWS = 2000
_MOST_PANELS = 64
"""Of more histograms than this, so many are simulated, evenly spaced."""

_DIGITS = 6


@dataclass(frozen=True)
class Law:
    """A histogram under the null, at some of the sites.

    sites: their places in the null. chances: of the cells, one row per site. std: of a cell's
    noise, per site.
    """

    spec: HistogramSpec
    sites: tuple[int, ...]
    chances: tuple[tuple[float, ...], ...]
    std: tuple[float, ...]


def law_of(panel: Panel, sites: Sequence[int], chances: Array) -> Law:
    """Write a law down so that it can be hashed; chances: float64 [sites, cells]."""
    return Law(
        panel.spec,
        tuple(sites),
        tuple(tuple(round(chance, _DIGITS) for chance in row) for row in chances.tolist()),
        tuple(round(std, _DIGITS) for std in panel.std[list(sites)].tolist()),
    )


@dataclass(frozen=True)
class Null:
    """Sites of the same distribution; everything that a limit follows from.

    patients: per site, of known outcome; the law of the outcome comes first. panels: how many
    histograms the study compares, of which `laws` may be a part.
    """

    patients: tuple[int, ...]
    label: Law
    laws: tuple[Law, ...]
    panels: int

    @property
    def comparisons(self) -> int:
        """Number of contrasts over all sites and histograms of the study."""
        sizes = [len(contrast_matrix(law.spec)) for law in self.laws]
        return round(len(self.patients) * sum(sizes) * self.panels / len(sizes))


@dataclass(frozen=True)
class Draw:
    """Draws of one histogram at every site, and of the sites' noised numbers of patients.

    panel.counts: float64 [draws, sites, cells]; patients: float64 [draws, sites].
    """

    law: Law
    panel: Panel
    patients: Array
    patients_std: Array


def null_of(seen: SideBySide) -> Null:
    """Take the sites' middle for the distribution of all of them, in every histogram."""
    everywhere = range(len(seen.sites))
    compared = [panel for panel in seen.panels if panel.spec.kind != "fate"]
    return null_from(
        seen,
        [
            law_of(panel, everywhere, np.tile(_middle(panel, seen.patients), (len(everywhere), 1)))
            for panel in compared
        ],
    )


def null_from(seen: SideBySide, laws: Sequence[Law]) -> Null:
    """Put the laws that are compared together; of many, every so many stand for all."""
    outcome = next(panel for panel in seen.panels if panel.spec.kind == "label")
    middle = _middle(outcome, seen.patients)
    everywhere = range(len(seen.sites))
    return Null(
        patients=tuple(max(1, round(n)) for n in seen.patients.tolist()),
        label=law_of(outcome, everywhere, np.tile(middle, (len(everywhere), 1))),
        laws=tuple(laws[:: max(1, -(-len(laws) // _MOST_PANELS))]),
        panels=len(laws),
    )


def _middle(panel: Panel, patients: Array) -> Array:
    middle = np.clip(np.median(panel.counts / patients[:, None], axis=0), 0.0, None)
    if panel.spec.kind == "label":
        middle[-1] = 0.0  # patients of unknown outcome are in no histogram of a feature
    return normalised(middle)


def normalised(shares: Array) -> Array:
    """Return shares that add up to 1 over the last axis, none negative; even ones where all are 0."""
    clipped = np.clip(shares, 0.0, None)
    whole = clipped.sum(axis=-1, keepdims=True)
    even = np.full_like(clipped, 1 / clipped.shape[-1])
    made: Array = np.where(whole > 0, clipped / np.where(whole > 0, whole, 1.0), even)
    return made


def draws(null: Null) -> Iterator[Draw]:
    """Draw what the sites of the null may send, one histogram at a time."""
    seed = _seed(null)
    label = _sample(null, null.label, seed, 0)
    std = label.std * np.sqrt(2)
    patients = np.maximum(label.counts[..., :2].sum(axis=-1), READABLE * std)
    for index, law in enumerate(null.laws):
        outcome = law.spec.kind == "label"
        panel = label if outcome else _sample(null, law, seed, index + 1)
        chosen = list(law.sites)
        yield Draw(law, panel, patients[:, chosen], std[chosen])


def _seed(null: Null) -> int:
    value = {
        "patients": null.patients,
        "laws": [
            [law.spec.name, law.sites, law.chances, law.std] for law in (null.label, *null.laws)
        ],
    }
    return int.from_bytes(hashlib.sha256(canonical_bytes(value)).digest())


def _sample(null: Null, law: Law, seed: int, index: int) -> Panel:
    rng = np.random.default_rng([seed, index])
    chances, std = normalised(np.array(law.chances)), np.array(law.std)
    patients = np.array(null.patients)[list(law.sites)]
    exact = rng.multinomial(np.broadcast_to(patients, (DRAWS, len(patients))), chances)
    noise = rng.standard_normal(exact.shape) * std[:, None]
    return Panel(law.spec, exact + noise, std)


@lru_cache(maxsize=64)
def deviation_limit(null: Null, alpha: float = ALPHA) -> float:
    """Return how many standard deviations the largest difference of equal sites stays below.

    In 1 - alpha of studies. Guarantee: deterministic. With more histograms than are simulated,
    their largest differences are pooled, each at alpha / histograms, and the normal limit is a
    floor, for so far out draws are few.
    """
    found = largest_deviations(null)
    if len(null.laws) == null.panels:
        return float(np.quantile(found.max(axis=0), 1 - alpha, method="higher"))
    pooled = float(np.quantile(found, 1 - alpha / null.panels, method="higher"))
    return max(pooled, normal_limit(null.comparisons, alpha))


@lru_cache(maxsize=8)
def largest_deviations(null: Null) -> Array:
    """Return the largest |difference| / std of each simulated histogram: float64 [laws, draws]."""
    return np.stack(
        [
            differences(d.panel, d.patients, d.patients_std, contrast_matrix(d.law.spec)).largest
            for d in draws(null)
        ]
    )


def normal_limit(comparisons: int, alpha: float = ALPHA) -> float:
    """Return the limit were all differences normal and all comparisons unrelated (Bonferroni)."""
    return NormalDist().inv_cdf(1 - alpha / (2 * comparisons))

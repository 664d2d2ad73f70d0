"""Does a site's histogram fit the other sites' better once their values are written otherwise?

Of a feature's known values the site's shares x are compared with the others' median shares q, and
with qT for every recoding T of the study (`recoding`). Between the two simple hypotheses the best
test is the likelihood ratio (Neyman and Pearson 1933); with noise of variance v per cell, taken
halfway between them, its logarithm is L = Σ (qT - q)(x - (q + qT)/2) / v. L must exceed what it
reaches in 99 of 100 studies of equal sites, by simulation (`chance`), and never less than 0.

Hospitals differ honestly, so that x may be far from both. A recoding is therefore named only when
it also explains at least half of the squared difference, and would move a good part of all
patients: what moves few is as easily case mix. Where it would make nearly all values strange, a strange
column is all there is to see, and that is said instead (`empty`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cordon_server.crosssite.chance import ALPHA, draws, law_of, normalised, null_from
from cordon_server.crosssite.shares import READABLE, Panel, middle_of_others

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from cordon_server.crosssite.chance import Law, Null
    from cordon_server.crosssite.recoding import Recoding
    from cordon_server.crosssite.shares import SideBySide

    Array = npt.NDArray[np.float64]

_LEAST_SITES = 3
"""One site against one other accuses nobody: who could tell which of them is right?"""

_MOST_STRANGE = 0.9
_EXPLAINED = 0.5
"""Share of the squared difference from the others that a recoding must explain; share of the values
that it may at most make strange."""


@dataclass(frozen=True)
class Known:
    """Shares of the known values (strange ones included) at every site, and the others' middle.

    shares, reference, uncertainty (the reference's variance): float64 [..., sites, cells]. values,
    values_std: float64 [..., sites, 1], the noised number of known values. std: [sites, 1], of a cell.
    """

    shares: Array
    reference: Array
    uncertainty: Array
    values: Array
    values_std: Array
    std: Array

    def variance(self, shares: Array) -> Array:
        """Return the variance of x - q per cell, were the site's chances `shares`."""
        m = self.values
        smoothed = (shares * m + 1) / (m + 2)
        noise = (self.std**2 + (shares * self.values_std) ** 2) / m**2
        made: Array = smoothed * (1 - smoothed) / m + noise + self.uncertainty
        return made


def number_known(panel: Panel, patients: Array, patients_std: Array) -> tuple[Array, Array]:
    """Estimate how many patients have a value, and the noise's std: float64 [..., sites].

    All patients less the missing ones, and the sum over the other cells, weighted by precision.
    """
    cells = panel.spec.cells[:-2]
    less_missing = patients - panel.counts[..., -2:].sum(axis=-1)
    own = panel.counts[..., :-2].sum(axis=-1)
    first, second = 2 * panel.std**2 + patients_std**2, len(cells) * panel.std**2
    value = (less_missing * second + own * first) / (first + second)
    return value, np.sqrt(first * second / (first + second))


def known_shares(panel: Panel, patients: Array, patients_std: Array) -> Known:
    """Compare every site's known values with the other sites'; three sites or more."""
    found, spread = number_known(panel, patients, patients_std)
    values = np.maximum(found, READABLE * spread)[..., None]
    std, values_std = panel.std[:, None], spread[..., None]
    shares = panel.counts[..., :-2] / values
    own = Known(shares, shares, np.zeros_like(shares), values, values_std, std)
    variance = own.variance(np.clip(shares, 0.0, 1.0))
    middle, uncertainty = middle_of_others(shares, variance)
    return Known(shares, normalised(middle), uncertainty, values, values_std, std)


def evidence(known: Known, recoding: Recoding) -> Array:
    """Return L for every site, float64 [..., sites]; above 0 the recoding fits better."""
    recoded = known.reference @ recoding.matrix
    halfway = (recoded + known.reference) / 2
    weight = (recoded - known.reference) / known.variance(halfway)
    found: Array = (weight * (known.shares - halfway)).sum(axis=-1)
    return found


def _unlikeness(known: Known, expected: Array) -> Array:
    """Return the squared difference from `expected` in units of noise, less what noise adds."""
    squares = (known.shares - expected) ** 2 / known.variance(expected)
    made: Array = squares.sum(axis=-1) - expected.shape[-1]
    return made


@dataclass(frozen=True)
class Mismatch:
    """A recoding that fits a site better than what the study says.

    evidence, limit: of L. moved: share of the other sites' known values by which the recoding
    changes the cells; strange: share that it makes strange. cells: of the histogram, compared.
    """

    feature: str
    recoding: Recoding
    evidence: float
    limit: float
    moved: float
    strange: float
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One feature: its panel at the sites where enough values are known, and what may be."""

    panel: Panel
    sites: tuple[int, ...]
    recodings: tuple[Recoding, ...]


@dataclass(frozen=True)
class Compared:
    """found: by (site, feature). asked: sites that were in any comparison."""

    found: dict[tuple[str, str], Mismatch]
    asked: frozenset[str]


def mismatches(
    seen: SideBySide, possible: Mapping[str, tuple[Recoding, ...]], least_moved: float
) -> Compared:
    """Name the closest recoding for each (site, feature) where one is decisively better.

    possible: recodings by feature. least_moved: share of the values that a recoding must put into
    another cell to be named. Guarantee: pure and deterministic; a feature is compared only between
    sites whose known values stand clear of the noise, three at least.
    """
    questions = [
        question
        for panel in seen.panels
        if (question := asked(panel, seen, possible.get(panel.spec.name, ()))) is not None
    ]
    if not questions:
        return Compared({}, frozenset())
    laws = [equal_law(question, seen) for question in questions]
    limit = evidence_limit(
        null_from(seen, laws),
        tuple((q.panel.spec.name, q.recodings) for q in questions),
    )
    found: dict[tuple[str, str], Mismatch] = {}
    for question in questions:
        for place, mismatch in _named(question, seen, limit, least_moved).items():
            found[seen.sites[place], mismatch.feature] = mismatch
    places = {place for question in questions for place in question.sites}
    return Compared(found, frozenset(seen.sites[place] for place in places))


def asked(panel: Panel, seen: SideBySide, possible: tuple[Recoding, ...]) -> Question | None:
    """Take up a feature where something is possible and enough sites can be read."""
    if not possible or panel.spec.kind not in {"number", "category"}:
        return None
    values, std = number_known(panel, seen.patients, seen.patients_std)
    sites = tuple(np.flatnonzero(values >= READABLE * std).tolist())
    return Question(panel, sites, possible) if len(sites) >= _LEAST_SITES else None


def _at(question: Question, seen: SideBySide) -> Known:
    chosen = list(question.sites)
    panel = Panel(question.panel.spec, question.panel.counts[chosen], question.panel.std[chosen])
    return known_shares(panel, seen.patients[chosen], seen.patients_std[chosen])


def equal_law(question: Question, seen: SideBySide) -> Law:
    """Give all sites the same known values, and each its own missing ones."""
    chosen = list(question.sites)
    known = _at(question, seen)
    usual = normalised(np.median(known.shares, axis=0))
    shares = normalised(question.panel.counts[chosen] / seen.patients[chosen, None])
    missing = shares[:, -2:]
    present = (1 - missing.sum(axis=1, keepdims=True)) * usual
    return law_of(question.panel, question.sites, np.concatenate([present, missing], axis=1))


Recodings = tuple[tuple[str, "tuple[Recoding, ...]"], ...]


@lru_cache(maxsize=8)
def evidence_limit(null: Null, possible: Recodings, alpha: float = ALPHA) -> float:
    """Return what the largest L of equal sites stays below in 1 - alpha of studies, 0 at least.

    possible: recodings by feature. Guarantee: deterministic. Where only a part of the features is
    simulated, no less than log(comparisons / alpha): a likelihood ratio of one comparison exceeds
    comparisons / alpha with a chance of at most alpha / comparisons (Markov's inequality).
    """
    recodings = dict(possible)
    largest = np.stack(
        [
            _largest(known_shares(d.panel, d.patients, d.patients_std), recodings[d.law.spec.name])
            for d in draws(null)
        ]
    )
    if len(null.laws) == null.panels:
        return max(0.0, float(np.quantile(largest.max(axis=0), 1 - alpha, method="higher")))
    pooled = float(np.quantile(largest, 1 - alpha / null.panels, method="higher"))
    comparisons = len(null.patients) * sum(len(made) for _, made in possible)
    return max(pooled, math.log(comparisons / alpha))


def _largest(known: Known, recodings: Sequence[Recoding]) -> Array:
    found: Array = evidence(known, recodings[0]).max(axis=-1)
    for recoding in recodings[1:]:
        found = np.maximum(found, evidence(known, recoding).max(axis=-1))
    return found


def _named(
    question: Question, seen: SideBySide, limit: float, least_moved: float
) -> dict[int, Mismatch]:
    """Return the closest recoding that passes every condition, by place of the site."""
    known = _at(question, seen)
    straight = _unlikeness(known, known.reference)
    closest = np.full(len(question.sites), np.inf)
    best: dict[int, Mismatch] = {}
    for recoding in question.recodings:
        weight = evidence(known, recoding)
        recoded = known.reference @ recoding.matrix
        moved = np.abs(recoded - known.reference).sum(axis=-1) / 2
        left = _unlikeness(known, recoded)
        fits = (weight > limit) & (left <= (1 - _EXPLAINED) * straight) & (left < closest)
        passes = fits & (moved >= least_moved) & (recoded[..., -1] < _MOST_STRANGE)
        for row in np.flatnonzero(passes).tolist():
            closest[row] = left[row]
            best[question.sites[row]] = Mismatch(
                question.panel.spec.name,
                recoding,
                float(weight[row]),
                limit,
                float(moved[row]),
                float(recoded[row, -1]),
                question.panel.spec.cells,
            )
    return best

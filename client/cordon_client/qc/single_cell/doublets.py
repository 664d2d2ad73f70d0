"""Estimate doublets by simulation: add the counts of random pairs of cells, and see who looks alike.

The method of Wolock, Lopez, Klein 2019 (Scrublet, Cell Systems 8:281): simulated doublets and
observed cells are embedded together by principal components of standardised log counts of variable
genes; a cell's score is the Bayesian posterior of being a doublet given the share of simulated ones
among its neighbours. The rate is bounded from above by comparing the tails of observed and simulated
scores, which needs no threshold to be seen by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Values = npt.NDArray[np.float64]

MOST_CELLS = 3000
"""Cells that are looked at, drawn evenly; a rate needs no more, and time grows with the square."""
FEWEST_CELLS = 100
_VARIABLE_GENES = 1500
_COMPONENTS = 30
_SIMULATED_PER_CELL = 2
_RATE_PER_CELL = 0.008 / 1000
"""About 0.8 % doublets per 1,000 cells recovered, as the droplet kits' user guides state."""
_MIN_DETECTED = 0.2
_CHUNK = 128


@dataclass(frozen=True)
class Doublets:
    """Scores in 0..1 of the cells looked at, of the simulated pairs, and the cut between them.

    cells: places of the cells that were looked at, int64 [scores].
    """

    scores: Values
    simulated: Values
    cut: float
    cells: npt.NDArray[np.int64]

    @property
    def detectable(self) -> float:
        """Share of simulated doublets above the cut; the others hide among alike cells."""
        return float((self.simulated > self.cut).mean())

    @property
    def flagged(self) -> float:
        """Share of observed cells above the cut."""
        return float((self.scores > self.cut).mean())

    @property
    def rate(self) -> float:
        """Estimated share of doublets, hidden ones included; leans to the high side."""
        return min(self.flagged / self.detectable, 1.0) if self.detectable else 0.0


def expected_rate(cells: int) -> float:
    """Return the share of doublets that the loading of so many cells leads to expect."""
    return min(_RATE_PER_CELL * cells, 0.5)


def find_doublets(counts: csr_matrix, all_cells: int | None = None) -> Doublets | None:
    """Score cells; counts CSR [cells, genes]. None below 100 cells or without variable genes.

    all_cells: how many cells the run recovered, where `counts` is a part of it. The draw of pairs
    is fixed, so that the same file always gets the same report.
    """
    if counts.shape[0] < FEWEST_CELLS:
        return None
    draw = np.random.default_rng(20190424)
    chosen = np.arange(counts.shape[0])
    if len(chosen) > MOST_CELLS:
        chosen = np.sort(draw.choice(len(chosen), MOST_CELLS, replace=False))
    observed = counts[chosen].astype(np.float64)
    totals = np.asarray(observed.sum(axis=1), dtype=np.float64).ravel()
    observed, chosen, totals = observed[totals > 0], chosen[totals > 0], totals[totals > 0]
    genes = _variable_genes(observed, totals)
    if len(genes) < 20:
        return None
    n = observed.shape[0]
    pairs = draw.integers(0, n, (_SIMULATED_PER_CELL * n, 2))
    points = _embed(observed[:, genes], totals, pairs)
    share = _neighbour_share(points, n)
    rate = expected_rate(all_cells or counts.shape[0])
    scores = _posterior(share, rate)
    return Doublets(scores[:n], scores[n:], _cut(scores[:n], scores[n:]), chosen)


def _variable_genes(counts: csr_matrix, totals: Values) -> npt.NDArray[np.int64]:
    """Choose genes whose variance exceeds what their mean predicts, seen in at least 3 cells."""
    seen = counts.getnnz(axis=0) >= 3
    scaled = counts.copy()
    scaled.data *= np.repeat(totals.mean() / totals, np.diff(counts.indptr))
    mean = np.asarray(scaled.mean(axis=0)).ravel()
    scaled.data **= 2
    square = np.asarray(scaled.mean(axis=0)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log((square - mean**2) / mean)
    usable = np.flatnonzero(seen & np.isfinite(dispersion))
    if not len(usable):
        return usable
    excess = _above_trend(np.log(mean[usable]), dispersion[usable])
    best = usable[np.argsort(-excess, kind="stable")[:_VARIABLE_GENES]]
    return np.sort(best)


def _above_trend(mean: Values, dispersion: Values, bins: int = 20) -> Values:
    """Standardise the dispersion among genes of about the same mean."""
    edges = np.quantile(mean, np.linspace(0, 1, bins + 1)[1:-1])
    group = np.searchsorted(edges, mean)
    excess = np.zeros_like(dispersion)
    for each in range(bins):
        inside = group == each
        if inside.sum() > 1:
            spread = dispersion[inside].std()
            excess[inside] = (dispersion[inside] - dispersion[inside].mean()) / (spread or 1.0)
    return excess


def _scaled(panel: csr_matrix, totals: Values, target: float) -> Values:
    return np.asarray(np.log1p(panel.toarray() * (target / totals)[:, None]), dtype=np.float64)


def _embed(panel: csr_matrix, totals: Values, pairs: npt.NDArray[np.int64]) -> Values:
    """Project cells and pairs on the cells' principal components; float64 [cells + pairs, k].

    Pairs are made some hundred at a time: dense, all of them would be larger than the matrix.
    """
    target = float(totals.mean())
    singles = _scaled(panel, totals, target)
    mean, spread = singles.mean(axis=0), singles.std(axis=0)
    spread[spread == 0] = 1.0
    singles -= mean
    singles /= spread
    _, vectors = np.linalg.eigh(singles.T @ singles)
    axes = vectors[:, ::-1][:, : min(_COMPONENTS, singles.shape[1], len(singles) - 1)]
    points = [singles @ axes]
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        both = panel[part[:, 0]] + panel[part[:, 1]]
        scaled = _scaled(both, np.asarray(totals[part].sum(axis=1)), target)
        points.append(((scaled - mean) / spread) @ axes)
    return np.vstack(points)


def _neighbour_share(points: Values, n: int) -> Values:
    """Return the share of simulated pairs among the neighbours, with one of each kind added."""
    k = round(0.5 * np.sqrt(n) * (len(points) / n))
    return np.asarray((_simulated_among_nearest(points, n, k) + 1) / (k + 2), dtype=np.float64)


def _posterior(share: Values, rate: float) -> Values:
    """Return the probability of being a doublet; Wolock et al. 2019, methods, equation 2."""
    odds = share * rate / _SIMULATED_PER_CELL
    rest = 1 - rate - share * (1 - rate - rate / _SIMULATED_PER_CELL)
    return np.asarray(odds / rest, dtype=np.float64)


def _simulated_among_nearest(points: Values, n: int, k: int) -> Values:
    squares = (points**2).sum(axis=1)
    found = np.empty(len(points))
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        distance = squares[None, :] - 2.0 * part @ points.T
        distance[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        nearest = np.argpartition(distance, k, axis=1)[:, :k]
        found[start : start + _CHUNK] = (nearest >= n).sum(axis=1)
    return found


def _cut(observed: Values, simulated: Values) -> float:
    """Return the score above which observed cells are rarest in proportion to simulated ones.

    Above any cut the share of observed cells is at least the doublet rate times the share of
    simulated ones, so every cut bounds the rate from above; this is where the bound is smallest,
    among cuts that a fifth of the simulated doublets exceed.
    """
    candidates = np.unique(np.quantile(simulated, np.linspace(0.0, 1.0 - _MIN_DETECTED, 91)))
    above = [
        (float((observed > cut).mean()) / share, -share, float(cut))
        for cut in candidates.tolist()
        if (share := float((simulated > cut).mean())) >= _MIN_DETECTED
    ]
    return min(above)[2] if above else float("inf")

"""What the released score histograms say about the model, per site and over all sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.evaluation import ScoreHistogram, estimate_auc, from_release
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.dominance import dominates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study


def read_histogram(study: Study, released: npt.NDArray[np.int64]) -> ScoreHistogram:
    """Read an evaluation release, int64 [2 · bins], in patients."""
    return from_release(
        released,
        grid_per_unit=release_grid(study).evaluation,
        noise_std_grid=planned_events(study).evaluation.noise_std_grid,
    )


def auc_facts(study: Study, histogram: ScoreHistogram) -> dict[str, Json]:
    """Return AUC, interval and class sizes as JSON.

    The AUC is None when the noise hides it, the class sizes when either is suppressed as small.
    """
    estimate = estimate_auc(histogram, confidence=study.evaluation.confidence)
    sizes = (estimate.positives, estimate.negatives)
    positives, negatives = sizes if min(sizes) >= study.qc.disclosure.min_cell else (None, None)
    return {
        "auc": estimate.auc,
        "low": estimate.low,
        "high": estimate.high,
        "confidence": estimate.confidence,
        "positives": positives,
        "negatives": negatives,
        "noise_std": histogram.noise_std,
    }


def evaluate_sites(study: Study, released: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Json]:
    """Evaluate the model at each site and over all sites together (None: no number of all's)."""
    histograms = {site: read_histogram(study, released[site]) for site in sorted(released)}
    sites: dict[str, Json] = {site: auc_facts(study, h) for site, h in histograms.items()}
    together = sum_of_sites(study, list(histograms.values()))
    return {"sites": sites, "together": together and auc_facts(study, together)}


def sum_of_sites(study: Study, histograms: Sequence[ScoreHistogram]) -> ScoreHistogram | None:
    """Add the sites' histograms; None when one site brings most of the held-out patients."""
    held_out = [float(h.positives.sum() + h.negatives.sum()) for h in histograms]
    if dominates(held_out, study.qc.disclosure.max_share):
        return None
    first, *rest = histograms
    return sum(rest, start=first)


def roc_points(histogram: ScoreHistogram) -> list[tuple[float, float]]:
    """Return the ROC curve of a noised histogram as (false, true positive rate), both rising.

    Noise can make cumulated counts fall; the running maximum is shown, scaled to end at (1, 1).
    """
    false = _rising(histogram.negatives)
    true = _rising(histogram.positives)
    return [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]


def _rising(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    cumulated = np.maximum.accumulate(np.maximum(np.cumsum(counts[::-1]), 0.0))
    if cumulated[-1] <= 0:
        return np.linspace(1 / counts.size, 1.0, counts.size)
    share: npt.NDArray[np.float64] = cumulated / cumulated[-1]
    return share

"""What the released score histograms say about the model, per site and over all sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.evaluation import ScoreHistogram, estimate_auc, from_release
from cordon_common.privacy.schedule import planned_events, release_grid

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Return AUC, interval and class sizes as JSON; AUC is None when the noise hides it."""
    estimate = estimate_auc(histogram, confidence=study.evaluation.confidence)
    return {
        "auc": estimate.auc,
        "low": estimate.low,
        "high": estimate.high,
        "confidence": estimate.confidence,
        "positives": estimate.positives,
        "negatives": estimate.negatives,
        "noise_std": histogram.noise_std,
    }


def evaluate_sites(study: Study, released: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Json]:
    """Evaluate the model at each site and over all sites together."""
    histograms = {site: read_histogram(study, released[site]) for site in sorted(released)}
    sites: dict[str, Json] = {site: auc_facts(study, h) for site, h in histograms.items()}
    if not histograms:
        return {"sites": sites, "together": None}
    first, *rest = histograms.values()
    together = sum(rest, start=first)
    return {"sites": sites, "together": auc_facts(study, together)}


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

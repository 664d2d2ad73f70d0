"""Sites' noised histograms side by side: shares of patients, held against the other sites' middle.

Every function takes leading axes, so that what is computed for the sites as they are is computed
in the same way for draws of what they might have sent (`chance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.qc.summary import (
    LABEL,
    MISSING_NEGATIVE,
    MISSING_POSITIVE,
    OUT_OF_RANGE,
    UNKNOWN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from cordon_common.qc.summary import HistogramSpec, QcSummary

    Array = npt.NDArray[np.float64]

READABLE = 4.0
"""A site's number of patients must be this many standard deviations of its noise, at least."""


@dataclass(frozen=True)
class Panel:
    """One histogram at every readable site.

    counts: float64 [..., sites, cells], noised patients. std: float64 [sites], of a cell's noise.
    """

    spec: HistogramSpec
    counts: Array
    std: Array


@dataclass(frozen=True)
class SideBySide:
    """The readable sites, by name, with their patients whose outcome is known.

    patients, patients_std: float64 [..., sites] and [sites]; the std is that of the noise.
    """

    sites: tuple[str, ...]
    patients: Array
    patients_std: Array
    panels: tuple[Panel, ...]


def side_by_side(summaries: Mapping[str, QcSummary]) -> SideBySide:
    """Line up the sites whose number of patients stands clear of its noise."""
    known = {
        site: summary.histograms[LABEL].estimate("positive", "negative")
        for site, summary in sorted(summaries.items())
    }
    sites = tuple(site for site, n in known.items() if n.value >= READABLE * n.std)
    rows = [summaries[site].histograms for site in sites]
    names = list(rows[0]) if rows else []
    return SideBySide(
        sites,
        np.array([known[site].value for site in sites]),
        np.array([known[site].std for site in sites]),
        tuple(
            Panel(
                rows[0][name].spec,
                np.array([row[name].counts for row in rows]),
                np.array([row[name].std for row in rows]),
            )
            for name in names
        ),
    )


def contrasts(spec: HistogramSpec) -> dict[str, tuple[str, ...]]:
    """Name the sets of cells whose shares are compared: up to an edge, one category, missing."""
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


def contrast_matrix(spec: HistogramSpec) -> Array:
    """Return the contrasts as float64 [contrasts, cells] of 0 and 1."""
    sets = contrasts(spec).values()
    return np.array([[float(cell in chosen) for cell in spec.cells] for chosen in sets])


@dataclass(frozen=True)
class Differences:
    """Each site's shares less the median of the others': float64 [..., sites, contrasts].

    std: of sampling and noise together, at the site and at the others.
    """

    value: Array
    std: Array

    @property
    def largest(self) -> Array:
        """The largest |value| / std over sites and contrasts: float64 [...]."""
        found: Array = (np.abs(self.value) / self.std).max(axis=(-2, -1))
        return found


def differences(panel: Panel, patients: Array, patients_std: Array, chosen: Array) -> Differences:
    """Compare every site's shares with the other sites' (delta method).

    chosen: float64 [contrasts, cells] of 0 and 1. Guarantee: each of the others counts once.
    """
    n = patients[..., None]
    share = panel.counts @ chosen.T / n
    bounded = np.clip(share, 0.0, 1.0)
    # At 0 or 1 the plug-in variance of sampling would vanish; one patient either way remains.
    smoothed = (bounded * n + 1) / (n + 2)
    cells = panel.std[:, None] ** 2 * chosen.sum(axis=1)
    noise = (cells + (bounded * patients_std[:, None]) ** 2) / n**2
    variance = smoothed * (1 - smoothed) / n + noise
    reference, uncertainty = middle_of_others(share, variance)
    return Differences(share - reference, np.sqrt(variance + uncertainty))


def middle_of_others(values: Array, variance: Array) -> tuple[Array, Array]:
    """Return the median of the other sites' values and its variance, for every site.

    values, variance: float64 [..., sites, entries], two sites or more. The variance is pi/2 times
    that of the mean (normal, large samples): on the safe side for few sites; up to two others the
    median is the mean.
    """
    others = values.shape[-2] - 1
    factor = 1.0 if others <= 2 else math.pi / 2
    middle = np.stack(
        [np.median(np.delete(values, site, axis=-2), axis=-2) for site in range(others + 1)],
        axis=-2,
    )
    rest = variance.sum(axis=-2, keepdims=True) - variance
    return middle, factor * rest / others**2

"""The noised histograms of a hospital as a report may show them: shares of its patients by cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.qc.summary import (
    LABEL,
    LABEL_CELLS,
    MISSING_NEGATIVE,
    MISSING_POSITIVE,
    OUT_OF_RANGE,
    UNKNOWN,
)

if TYPE_CHECKING:
    from cordon_common.qc.shown import Shown
    from cordon_common.qc.summary import HistogramSpec, NoisyHistogram, QcSummary


@dataclass(frozen=True)
class FeatureCells:
    """A feature's noised histogram at a site, or its outcome's, as shares of the site's patients.

    cells: names of the value cells, public. edges: of a number, in its unit; else empty. shares: of
    the value cells, each with noise of standard deviation `share_std`. missing, strange (see
    `strange_name`; an outcome has none) with theirs. None: suppressed. differs: what the gate
    found against the others, or "".
    """

    feature: str
    cells: tuple[str, ...]
    edges: tuple[float, ...]
    shares: tuple[float | None, ...]
    share_std: float
    missing: float | None
    missing_std: float
    strange: float | None
    strange_std: float
    strange_name: str
    differs: str = ""


def feature_cells(summary: QcSummary, shown: Shown, total: float) -> tuple[FeatureCells, ...]:
    """Read outcome and features as shares of `total` patients; only what `shown` allows.

    Guarantee: nothing where not even the number of patients may be shown: the noise, as a share,
    would tell it.
    """
    if not shown.patients:
        return ()
    return tuple(
        _read(histogram, shown, max(total, 1.0))
        for histogram in summary.histograms.values()
        if histogram.spec.kind != "fate"
    )


def _read(histogram: NoisyHistogram, shown: Shown, total: float) -> FeatureCells:
    spec = histogram.spec
    values, missing, strange = _parts(spec)

    def share(*cells: str) -> float | None:
        allowed = bool(cells) and shown.allows(spec.name, *cells)
        return histogram.estimate(*cells).value / total if allowed else None

    one = histogram.std / total
    return FeatureCells(
        feature=spec.name,
        cells=values,
        edges=spec.edges,
        shares=tuple(share(cell) for cell in values),
        share_std=one,
        missing=share(*missing),
        missing_std=one * math.sqrt(len(missing)),
        strange=share(*strange),
        strange_std=one,
        strange_name=strange[0] if strange else "",
    )


def _parts(spec: HistogramSpec) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Split the cells of a histogram into values, missing, and what is neither."""
    if spec.name == LABEL:
        return LABEL_CELLS[:2], LABEL_CELLS[2:], ()
    strange = OUT_OF_RANGE if spec.kind == "number" else UNKNOWN
    missing = (MISSING_POSITIVE, MISSING_NEGATIVE)
    values = tuple(cell for cell in spec.cells if cell not in {strange, *missing})
    return values, missing, (strange,)

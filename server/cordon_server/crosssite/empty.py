"""A column that holds nothing usable at one site and values at the others.

Often honest (a hospital that does not measure it), so it only warns; but whoever reads the drift of
such a column should see at once what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.qc.summary import MISSING_NEGATIVE, MISSING_POSITIVE, OUT_OF_RANGE, UNKNOWN
from cordon_server.crosssite.shares import differences

if TYPE_CHECKING:
    from cordon_server.crosssite.shares import Panel, SideBySide

_WHOLE, _HALF = 0.9, 0.5
_CLEAR = 2.0
"""Standard deviations by which the share must stand above a half: a half-empty column is called
empty once in 40 times; a higher bar would find nothing under the noise of a small study."""

_WAYS: dict[str, tuple[str, ...]] = {
    "missing": (MISSING_POSITIVE, MISSING_NEGATIVE),
    "out of range": (OUT_OF_RANGE,),
    "unknown category": (UNKNOWN,),
}


@dataclass(frozen=True)
class Empty:
    """way: missing, out of range or unknown category; cells: of the histogram.

    share, usual: here, and the others' median.
    """

    feature: str
    way: str
    share: float
    usual: float
    cells: tuple[str, ...]


def empty_columns(seen: SideBySide) -> dict[tuple[str, str], Empty]:
    """Name each (site, feature) where a column is wholly empty and at the others it is not.

    Wholly: nine tenths, or less by two standard deviations, and clearly more than half; at the
    others less than half. Guarantee: pure; two readable sites at least.
    """
    found: dict[tuple[str, str], Empty] = {}
    if len(seen.sites) < 2:
        return found
    for panel in seen.panels:
        if panel.spec.kind in {"number", "category"}:
            for site, empty in _of(panel, seen).items():
                found[site, empty.feature] = empty
    return found


def _of(panel: Panel, seen: SideBySide) -> dict[str, Empty]:
    ways = {way: cells for way, cells in _WAYS.items() if set(cells) <= set(panel.spec.cells)}
    chosen = np.array([[float(c in cells) for c in panel.spec.cells] for cells in ways.values()])
    compared = differences(panel, seen.patients, seen.patients_std, chosen)
    share = panel.counts @ chosen.T / seen.patients[:, None]
    usual = share - compared.value
    whole = share >= 1 - np.maximum(1 - _WHOLE, 2 * compared.std)
    is_empty = whole & (share - _CLEAR * compared.std >= _HALF) & (usual < _HALF)
    return {
        seen.sites[row]: Empty(
            panel.spec.name,
            list(ways)[way],
            float(share[row, way]),
            float(usual[row, way]),
            list(ways.values())[way],
        )
        for row, way in zip(*(axis.tolist() for axis in np.nonzero(is_empty)), strict=True)
    }

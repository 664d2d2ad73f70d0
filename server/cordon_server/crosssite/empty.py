"""A column that holds nothing usable at one site and values at the others.

Often honest (a hospital that does not measure it), so it only warns; but whoever reads the drift of
such a column should see at once what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.qc.summary import MISSING_NEGATIVE, MISSING_POSITIVE, OUT_OF_RANGE, UNKNOWN
from cordon_server.crosssite.chance import deviation_limit, null_of
from cordon_server.crosssite.shares import differences

if TYPE_CHECKING:
    from cordon_server.crosssite.shares import Panel, SideBySide

_WHOLE, _HALF = 0.9, 0.5
_WAYS: dict[str, tuple[str, ...]] = {
    "missing": (MISSING_POSITIVE, MISSING_NEGATIVE),
    "out of range": (OUT_OF_RANGE,),
    "unknown category": (UNKNOWN,),
}


@dataclass(frozen=True)
class Empty:
    """way: missing, out of range or unknown category; cells: of the histogram.

    difference: of its share from the others' median; limit: what equal sites stay below.
    """

    feature: str
    way: str
    difference: float
    limit: float
    cells: tuple[str, ...]


def empty_columns(seen: SideBySide) -> dict[tuple[str, str], Empty]:
    """Name each (site, feature) where a column is wholly empty and at the others it is not.

    Wholly: nine tenths, or less by two standard deviations of noise; at the others less than half;
    and further apart than the largest difference of equal sites (the limit of drift). Guarantee:
    pure and deterministic; two readable sites at least.
    """
    found: dict[tuple[str, str], Empty] = {}
    if len(seen.sites) < 2:
        return found
    z = deviation_limit(null_of(seen))
    for panel in seen.panels:
        if panel.spec.kind in {"number", "category"}:
            for site, empty in _of(panel, seen, z).items():
                found[site, empty.feature] = empty
    return found


def _of(panel: Panel, seen: SideBySide, z: float) -> dict[str, Empty]:
    ways = {way: cells for way, cells in _WAYS.items() if set(cells) <= set(panel.spec.cells)}
    chosen = np.array([[float(c in cells) for c in panel.spec.cells] for cells in ways.values()])
    compared = differences(panel, seen.patients, seen.patients_std, chosen)
    share = panel.counts @ chosen.T / seen.patients[:, None]
    whole = share >= 1 - np.maximum(1 - _WHOLE, 2 * compared.std)
    apart = (compared.value > z * compared.std) & (share - compared.value < _HALF)
    return {
        seen.sites[row]: Empty(
            panel.spec.name,
            list(ways)[way],
            float(compared.value[row, way]),
            float(z * compared.std[row, way]),
            list(ways.values())[way],
        )
        for row, way in zip(*(axis.tolist() for axis in np.nonzero(whole & apart)), strict=True)
    }

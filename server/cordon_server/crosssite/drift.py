"""How far a site's noised histograms lie from the other sites', beyond what noise explains.

A contrast is a set of cells (everything up to an edge, one category, the missing cells …). Its
share at a site is compared with the median share of the other sites, each site counting once:
pooled by size, or averaged, one faulty site would become part of everybody's reference. The limit
is what the largest of all such differences stays below in 99 of 100 studies of equal sites, by
simulation at the sites' own sizes, cells and noise (`chance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_server.crosssite.chance import deviation_limit, null_of
from cordon_server.crosssite.shares import contrast_matrix, contrasts, differences, side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.qc.summary import QcSummary
    from cordon_server.crosssite.shares import Panel, SideBySide


@dataclass(frozen=True)
class Deviation:
    """The contrast of one feature in which a site is furthest from the others.

    difference: site's share minus the median share of the others, in [-1, 1] up to noise.
    cells: of the histogram whose patients make up the share.
    """

    feature: str
    contrast: str
    difference: float
    limit: float
    cells: tuple[str, ...]

    @property
    def excess(self) -> float:
        """The part of the difference that noise and sampling do not explain."""
        return max(0.0, abs(self.difference) - self.limit)


def deviations(summaries: Mapping[str, QcSummary]) -> dict[str, list[Deviation]]:
    """Compare every readable site with the others, feature by feature.

    Guarantee: pure and deterministic. A site whose number of patients drowns in noise is in no
    comparison, and has an empty list; so has every site when fewer than two are readable.
    """
    seen = side_by_side(summaries)
    result: dict[str, list[Deviation]] = {site: [] for site in summaries}
    if len(seen.sites) < 2:
        return result
    z = deviation_limit(null_of(seen))
    for panel in seen.panels:
        if contrasts(panel.spec):
            for site, deviation in zip(seen.sites, _furthest(panel, seen, z), strict=True):
                result[site].append(deviation)
    return result


def _furthest(panel: Panel, seen: SideBySide, z: float) -> list[Deviation]:
    chosen = contrast_matrix(panel.spec)
    found = differences(panel, seen.patients, seen.patients_std, chosen)
    named = list(contrasts(panel.spec).items())
    return [
        Deviation(panel.spec.name, named[at][0], float(value[at]), float(z * std[at]), named[at][1])
        for value, std, at in zip(
            found.value,
            found.std,
            (np.abs(found.value) - z * found.std).argmax(axis=-1),
            strict=True,
        )
    ]

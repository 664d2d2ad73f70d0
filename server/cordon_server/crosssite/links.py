"""Whether a category's link with the outcome, too, is as if its codes were others.

The shares of two categories may be honestly the other way round at a site; that the link of the
feature with the outcome turns with them is another matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.qc.crosssite import effects_of
from cordon_common.qc.summary import LABEL, effect_columns
from cordon_server.crosssite.shares import middle_of_others

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import QcSummary
    from cordon_server.crosssite.recoding import Recoding

    Array = npt.NDArray[np.float64]

_LEAST_SITES = 3
_CLEAR = 3.0
"""The others' link must stand so many of its own standard deviations from halfway."""


@dataclass(frozen=True)
class Links:
    """Covariance of each effect column with the outcome (±1), per patient, at every readable site.

    values, variance: float64 [sites, columns]; columns: where each feature's columns stand.
    """

    sites: tuple[str, ...]
    values: Array
    variance: Array
    columns: dict[str, slice]

    def turned(self, site: str, feature: str, recoding: Recoding) -> float | None:
        """Say where a site's link lies between the others' as it is and as recoded.

        In standard deviations of noise and sampling from halfway, positive on the recoded side;
        None where the site cannot be read, or the others' link is not clear of noise.
        """
        if site not in self.sites or len(self.sites) < _LEAST_SITES:
            return None
        row, at = self.sites.index(site), self.columns[feature]
        middle, uncertainty = middle_of_others(self.values[:, at], self.variance[:, at])
        straight = middle[row]
        step = _recoded(straight, recoding.matrix) - straight
        spread = self.variance[row, at] + uncertainty[row]
        length = float((step**2 / spread).sum())
        doubt = float((step**2 * uncertainty[row] / spread**2).sum())
        if length <= 2 * _CLEAR * math.sqrt(doubt):
            return None  # the others' own link is not clear: nothing to be turned against
        beyond = float((step * (self.values[row, at] - straight - step / 2) / spread).sum())
        return beyond / math.sqrt(length)


def _recoded(straight: Array, moves: Array) -> Array:
    """Move the links of a feature's categories as their patients would be moved."""
    if len(straight) > 1:
        return (straight @ moves[:-1, :-1]).astype(np.float64)
    pair = np.array([-straight[0] / 2, straight[0] / 2]) @ moves[:-1, :-1]
    return np.array([pair[1] - pair[0]])


def links_of(
    study: Study, summaries: Mapping[str, QcSummary], turned_around: Collection[str]
) -> Links:
    """Read every site's links; a site whose whole outcome is turned around is turned back first."""
    values, variances, sites = [], [], []
    for site, summary in sorted(summaries.items()):
        effects = effects_of(study, summary)
        if effects is None:
            continue
        n = summary.histograms[LABEL].estimate("positive", "negative").value
        sites.append(site)
        values.append((-1 if site in turned_around else 1) * effects.values / n)
        variances.append(effects.variance / n**2)
    columns, start = {}, 0
    for feature in study.cohort.measured:
        stop = start + len(effect_columns(feature))
        columns[feature.name] = slice(start, stop)
        start = stop
    return Links(tuple(sites), np.array(values), np.array(variances), columns)

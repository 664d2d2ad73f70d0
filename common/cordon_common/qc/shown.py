"""What may be displayed of one hospital's summary: one choice for every page, file and terminal.

Whoever reads a report is taken to know the sums that tie the histograms together: fates add up to
the patients and so do outcomes, two of the fates to the patients without an outcome, and every
feature to the patients with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.qc.fates import KEPT_FATES, PatientFate
from cordon_common.qc.summary import FATE, LABEL, LABEL_CELLS
from cordon_common.qc.suppression import SUPPRESSED_BELOW, conceal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cordon_common.qc.summary import HistogramSpec, NoisyHistogram, QcSummary
    from cordon_common.qc.suppression import Concealed

_REACH = 1.96
"""Standard deviations that Gaussian noise stays within in 95 of 100 cases."""

_NO_OUTCOME = (PatientFate.LABEL_MISSING, PatientFate.LABEL_UNKNOWN)
_WHOLE, _KEPT, _LOST = 0, 1, 2
"""Places of the totals of the fates: all patients, those who take part, those without an outcome."""
_KNOWN = 1
"""Place of the patients with an outcome among the totals of the outcomes."""


@dataclass(frozen=True)
class Shown:
    """Which numbers of a summary may be displayed. hidden: cells by histogram.

    patients, kept: the number of all patients, and of those who passed quality control.
    """

    hidden: Mapping[str, frozenset[str]]
    patients: bool
    kept: bool

    def allows(self, histogram: str, *cells: str) -> bool:
        """Tell whether the sum of these cells may be displayed: if each of them may."""
        return self.hidden[histogram].isdisjoint(cells)


def shown_of(summary: QcSummary, below: float = SUPPRESSED_BELOW) -> Shown:
    """Choose what may be displayed of a summary.

    Guarantee: a pure function of the noised release. For counts that fit together, no hidden one
    can be bound to an interval narrower than `below` by all that is shown and the sums named above
    (the tests attack it by linear programming). Where the noise of a cell reaches `below` by itself,
    no sum binds a count that closely, and only small cells are hidden: `below` or more on either
    side, at 95 %. Of a hospital with fewer patients nothing is shown.
    """
    fates = _of_fates(summary, below)
    label = _of_outcomes(summary, below, hide_lost=_LOST in fates.totals)
    if _WHOLE in fates.totals | label.totals:
        everything = {name: frozenset(h.spec.cells) for name, h in summary.histograms.items()}
        return Shown(everything, patients=False, kept=False)
    found = {FATE: fates, LABEL: label}
    for name, histogram in summary.histograms.items():
        if name not in found:
            counts = histogram.counts.tolist()
            # a whole histogram would tell how many have an outcome, and so how many have none
            also = _two_smallest(counts) if _KNOWN in label.totals else ()
            found[name] = conceal(
                counts,
                (_all(histogram.spec),),
                below=below,
                also=also,
                pinned=_pins(histogram, below),
            )
    return Shown(
        {name: _names(summary.histograms[name].spec, choice) for name, choice in found.items()},
        patients=True,
        kept=_KEPT not in fates.totals,
    )


def _of_fates(summary: QcSummary, below: float) -> Concealed:
    histogram = summary.histograms[FATE]
    spec = histogram.spec
    totals = (_all(spec), _places(spec, KEPT_FATES), _places(spec, _NO_OUTCOME))
    return conceal(histogram.counts.tolist(), totals, below=below, pinned=_pins(histogram, below))


def _of_outcomes(summary: QcSummary, below: float, *, hide_lost: bool) -> Concealed:
    histogram = summary.histograms[LABEL]
    spec = histogram.spec
    known, lost = LABEL_CELLS[:2], LABEL_CELLS[2:]
    also = _places(spec, lost) if hide_lost else ()
    totals = (_all(spec), _places(spec, known))
    return conceal(
        histogram.counts.tolist(),
        totals,
        below=below,
        also=also,
        pinned=_pins(histogram, below),
    )


def _pins(histogram: NoisyHistogram, below: float) -> bool:
    """Tell whether sums can bind one of its counts to an interval narrower than `below`."""
    return _REACH * histogram.std < below


def _all(spec: HistogramSpec) -> frozenset[int]:
    return frozenset(range(len(spec.cells)))


def _places(spec: HistogramSpec, cells: Collection[str]) -> frozenset[int]:
    return frozenset(place for place, cell in enumerate(spec.cells) if cell in cells)


def _names(spec: HistogramSpec, choice: Concealed) -> frozenset[str]:
    return frozenset(spec.cells[place] for place in choice.cells)


def _two_smallest(counts: list[float]) -> list[int]:
    return sorted(range(len(counts)), key=lambda cell: (counts[cell], cell))[:2]

"""Are features measured alike? Harmonisation from the summaries, as words and numbers for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import error_for
from cordon_server.report.page import Z95, Texts, clear_of_noise, percent

if TYPE_CHECKING:
    from cordon_common.qc.harmonise.summaries import Alignment, Offset
    from cordon_server.report.model import ReportModel

_WITHHELD = {
    "noise": "hidden by noise",
    "dominance": "not shown: one hospital brings most of the values",
    "confounded": "not compared: hospital and outcome are nearly one",
}


@dataclass(frozen=True)
class OffsetCell:
    """A feature at a hospital; clear: it stands clear of noise and chance."""

    words: str
    clear: bool


@dataclass(frozen=True)
class AlignmentRow:
    """A feature over hospitals; typical: a range that a next version of the study may use."""

    feature: str
    unit: str
    everybody: str
    typical: str
    between: str
    cells: tuple[OffsetCell, ...]


def rows(model: ReportModel) -> tuple[Texts, tuple[AlignmentRow, ...]]:
    """Lay out the harmonised features by hospitals."""
    found = model.harmonisation.features if model.harmonisation else ()
    sites = tuple(found[0].sites) if found else ()
    clear = clear_of_noise(2 * len(sites) * len(found))
    return sites, tuple(_row(item, clear) for item in found)


def refusal(model: ReportModel) -> str:
    """Say why hospitals are not compared, or nothing."""
    if model.harmonisation is None or not model.harmonisation.refused:
        return ""
    info = error_for(model.harmonisation.refused)
    return f"Hospitals are not compared ({info.code}): {info.what}. {info.fix.capitalize()}."


def _row(item: Alignment, clear: float) -> AlignmentRow:
    known = item.mean is not None and item.deviation is not None
    low, high = item.typical or (0.0, 0.0)
    return AlignmentRow(
        item.feature,
        item.unit,
        f"{item.mean:.4g}, SD {item.deviation:.3g}" if known else _WITHHELD[item.withheld],
        f"typical: [{low:.4g}, {high:.4g}]" if item.typical else "",
        percent(item.between) if item.between is not None else "",
        tuple(_cell(offset, clear) for offset in item.sites.values()),
    )


def _cell(offset: Offset | None, clear: float) -> OffsetCell:
    if offset is None:
        return OffsetCell("-", clear=False)
    words = f"{offset.value:+.2f} ± {Z95 * offset.std:.2f}"
    return OffsetCell(words, clear=abs(offset.value) > clear * offset.std)

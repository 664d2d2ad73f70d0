"""The federated quality matrix: features by hospitals, each a small histogram with its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.protocol.dictionary import NumberFeature
from cordon_server.report import charts
from cordon_server.report.page import Z95, Texts, clear_of_noise, percent

if TYPE_CHECKING:
    from markupsafe import Markup

    from cordon_server.report.model import ReportModel
    from cordon_server.report.sites import FeatureCells

_READABLE_BAND = 0.3


@dataclass(frozen=True)
class MatrixCell:
    """A feature at a hospital. plain: texts to read; warn: texts to look at."""

    spark: Markup
    plain: Texts
    warn: Texts


@dataclass(frozen=True)
class MatrixRow:
    """A feature over all hospitals; telling: something stands clear of the noise."""

    feature: str
    unit: str
    cells: tuple[MatrixCell, ...]
    telling: bool


def matrix(model: ReportModel) -> tuple[Texts, tuple[MatrixRow, ...]]:
    """Lay out features by hospitals."""
    sites = [site for site in model.sites if site.features]
    features = model.study.cohort.measured
    clear = clear_of_noise(sum(len(f.shares) + 2 for s in sites for f in s.features))
    rows = []
    for number, feature in enumerate(features):
        found = [site.features[number] for site in sites]
        rows.append(
            MatrixRow(
                feature.name,
                feature.unit if isinstance(feature, NumberFeature) else "category",
                tuple(
                    _cell(item, f"{feature.name} at {site.site}", clear)
                    for item, site in zip(found, sites, strict=True)
                ),
                any(_is_telling(item, clear) for item in found),
            )
        )
    return tuple(site.site for site in sites), tuple(rows)


def _is_telling(found: FeatureCells, clear: float) -> bool:
    highest = max((share for share in found.shares if share is not None), default=0.0)
    return bool(
        found.differs
        or highest > clear * found.share_std
        or (found.missing or 0.0) > clear * found.missing_std
        or (found.strange or 0.0) > clear * found.strange_std
    )


def _cell(found: FeatureCells, title: str, clear: float) -> MatrixCell:
    plain, warn = list(_missing(found, clear)), []
    if found.strange is not None and found.strange > clear * found.strange_std:
        strange = f"{percent(min(found.strange, 1))} ± {100 * Z95 * found.strange_std:.0f}"
        warn.append(f"{strange} impossible or unknown")
    if found.differs:
        warn.append(f"differs: {found.differs}")
    spark = charts.sparkline(found.shares, Z95 * found.share_std, clear / Z95, title)
    return MatrixCell(spark, tuple(plain), tuple(warn))


def _missing(found: FeatureCells, clear: float) -> Texts:
    if found.missing is None:
        return ()
    band = Z95 * found.missing_std
    if found.missing > clear * found.missing_std:
        return (f"{percent(min(found.missing, 1))} ± {100 * band:.0f} missing",)
    if band < _READABLE_BAND:
        return (f"missing: at most {percent(min(max(found.missing, 0) + band, 1))}",)
    return ()


def matrix_note(model: ReportModel) -> str:
    """Say how much a reader can see through the noise of the quality summary."""
    bands = [
        (site.site, 100 * Z95 * site.features[0].share_std) for site in model.sites if site.features
    ]
    if not bands:
        return ""
    told = ", ".join(f"{band:.0f} at {site}" for site, band in bands)
    return (
        f"The noise of one bar, in per cent of the hospital's patients (95 %): {told}. "
        "Many features share one small part of the privacy budget, so in small hospitals little "
        "of a single feature can be seen from outside; each hospital sees all of it in its own "
        "local report. Dashed bars are suppressed: they stand for fewer than "
        f"{model.study.qc.disclosure.min_cell} patients by the noised count, or would let a reader "
        "work out another one that does. The noise protects patients; this keeps readers from "
        "taking noise for a handful of them."
    )

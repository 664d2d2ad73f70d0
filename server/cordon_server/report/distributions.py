"""Every feature over all hospitals: one drawing, what stands out, and the numbers as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.summary import LABEL
from cordon_server.report.overlay import Axis, Share, Trace, overlay, swatch
from cordon_server.report.page import Z95, Texts, clear_of_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from cordon_server.report.cells import FeatureCells
    from cordon_server.report.model import ReportModel
    from cordon_server.report.sites import SiteFacts

MOST_DRAWN = 60
"""Features drawn in a page, so that a browser can still show it; `--json` holds all."""
_ASIDE = {"out of range": "outside", "unknown": "unknown", "": ""}


@dataclass(frozen=True)
class LegendEntry:
    """A hospital's sign. place: its number, for colour and shape."""

    place: int
    site: str
    sign: Markup


@dataclass(frozen=True)
class NumbersRow:
    """A cell in words: its name, and the share of each hospital."""

    name: str
    shares: Texts


@dataclass(frozen=True)
class Distribution:
    """A feature over all hospitals. remarks: what stands out; warnings: what deserves a look."""

    feature: str
    unit: str
    drawing: Markup
    warnings: Texts
    remarks: Texts
    numbers: tuple[NumbersRow, ...]
    telling: bool


@dataclass(frozen=True)
class Distributions:
    """What the part on distributions shows. silent: hospitals of which nothing may be shown."""

    legend: tuple[LegendEntry, ...]
    telling: tuple[Distribution, ...]
    noise: tuple[Distribution, ...]
    left_out: int
    silent: Texts
    note: str
    withheld: str


def distributions(model: ReportModel) -> Distributions | None:
    """Lay out outcome and features over hospitals; None before any summary."""
    sites = [site for site in model.sites if site.features]
    silent = tuple(site.site for site in model.sites if site.summarised and not site.features)
    if not sites:
        return None
    clear = clear_of_noise(sum(len(f.shares) + 2 for s in sites for f in s.features))
    by_feature = list(zip(*(site.features for site in sites), strict=True))
    ordered = sorted(by_feature, key=lambda found: not _is_telling(found, clear))
    drawn = [_distribution(found, sites, model, clear) for found in ordered[:MOST_DRAWN]]
    return Distributions(
        legend=tuple(LegendEntry(i, s.site, swatch(i)) for i, s in enumerate(sites)),
        telling=tuple(each for each in drawn if each.telling),
        noise=tuple(each for each in drawn if not each.telling),
        left_out=len(by_feature) - len(drawn),
        silent=silent,
        note=_note(sites),
        withheld=(
            f"Cells of fewer than {model.study.qc.disclosure.min_cell} patients by the noised count "
            "are not shown, nor cells from which those could be worked out. The noise protects "
            "patients; this keeps readers from taking noise for a handful of them."
        ),
    )


def _distribution(
    found: Sequence[FeatureCells], sites: Sequence[SiteFacts], model: ReportModel, clear: float
) -> Distribution:
    first = found[0]
    name, unit = _named(first, model)
    aside = ("missing", *([_ASIDE[first.strange_name]] if first.strange_name else []))
    axis = Axis(first.cells, first.edges, aside)
    here = [(each, site.site) for each, site in zip(found, sites, strict=True)]
    traces = [_trace(each, site, place) for place, (each, site) in enumerate(here)]
    rows = zip((*first.cells, *aside), *((*t.cells, *t.aside) for t in traces), strict=True)
    hospitals = ", ".join(site for _, site in here)
    return Distribution(
        feature=name,
        unit=unit,
        drawing=overlay(axis, traces, f"{name}, share of the patients by cell: {hospitals}"),
        warnings=tuple(f"{site}: {said}" for each, site in here for said in _warnings(each, clear)),
        remarks=tuple(
            f"{site}: {Share(each.missing, Z95 * each.missing_std).words()} missing"
            for each, site in here
            if _is_clear(each.missing, each.missing_std, clear)
        ),
        numbers=tuple(
            NumbersRow(cell, tuple(share.words() for share in shares)) for cell, *shares in rows
        ),
        telling=_is_telling(found, clear),
    )


def _named(found: FeatureCells, model: ReportModel) -> tuple[str, str]:
    """Return name and unit of what is shown; of the outcome, what it is; "" of a category."""
    cohort = model.study.cohort
    if found.feature == LABEL:
        what = cohort.label.description or cohort.label.name
        return "outcome", "" if what == "outcome" else what
    (feature,) = (each for each in cohort.measured if each.name == found.feature)
    unit = feature.unit if isinstance(feature, NumberFeature) else ""
    return feature.name, "" if unit == "1" else unit


def _trace(found: FeatureCells, site: str, place: int) -> Trace:
    aside = [Share(found.missing, Z95 * found.missing_std)]
    if found.strange_name:
        aside.append(Share(found.strange, Z95 * found.strange_std))
    reach = Z95 * found.share_std
    return Trace(site, place, tuple(Share(value, reach) for value in found.shares), tuple(aside))


def _is_telling(found: Sequence[FeatureCells], clear: float) -> bool:
    """Tell whether something stands clear of the noise at any hospital."""
    return any(
        each.differs
        or max((share for share in each.shares if share is not None), default=0.0)
        > clear * each.share_std
        or _is_clear(each.missing, each.missing_std, clear)
        or _is_clear(each.strange, each.strange_std, clear)
        for each in found
    )


def _is_clear(value: float | None, std: float, clear: float) -> bool:
    return value is not None and value > clear * std


def _warnings(found: FeatureCells, clear: float) -> Texts:
    lines = [f"differs, {found.differs}"] if found.differs else []
    if _is_clear(found.strange, found.strange_std, clear):
        words = "outside the plausible range" if found.edges else "not a known category"
        lines.append(f"{Share(found.strange, Z95 * found.strange_std).words()} {words}")
    return tuple(lines)


def _note(sites: Sequence[SiteFacts]) -> str:
    """Say how much a reader can see through the noise."""
    told = ", ".join(
        f"{100 * Z95 * site.features[-1].share_std:.0f} at {site.site}" for site in sites
    )
    return (
        f"The noise of one cell reaches, in per cent of the hospital's patients, this far: {told}. "
        "Many features share one small part of the privacy budget, so in small hospitals little "
        "of a single feature can be seen from outside; each hospital sees all of it in its own "
        "local report."
    )

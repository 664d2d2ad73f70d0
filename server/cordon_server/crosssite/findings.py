"""What is found at each site beside the others: one finding per feature, the most telling one.

Everything here warns, but for two findings that put a site under review: values in another unit
that moves nearly all of them, and categories under other codes whose link with the outcome turns
too. Honest hospitals differ in many ways, but not in these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.checks import judge
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.summary import LABEL
from cordon_common.qc.verdict import ReasonCode, Severity
from cordon_server.crosssite.drift import Deviation, deviations
from cordon_server.crosssite.empty import Empty, empty_columns
from cordon_server.crosssite.links import links_of
from cordon_server.crosssite.mismatch import Mismatch, mismatches
from cordon_server.crosssite.recoding import recodings
from cordon_server.crosssite.shares import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import QcSummary
    from cordon_server.crosssite.links import Links
    from cordon_server.crosssite.mismatch import Compared
    from cordon_server.crosssite.recoding import Recoding
    from cordon_server.crosssite.shares import SideBySide

_NAMED = 0.5
"""Share of values that another unit or code must move; what moves fewer is as easily case mix."""

_UNMISTAKABLE = 0.8
"""A unit that would move so many values cannot be case mix: the site is put under review."""

_NOT_CASE_MIX = 0.2
"""As _NAMED, where the link with the outcome turns too; also the share of codes made unknown that
is enough by itself, for no case mix brings codes that the study does not know."""

_TURNED, _STRAIGHT = 3.0, -2.0
"""Standard deviations from halfway beyond which a link is turned, or surely is not."""

_DIGITS = 3

DIFFERENCES = ("crosssite.drift", "crosssite.prevalence")
"""Checks that say how far a site is from the others, and not why."""

_ALWAYS = ("crosssite.schema", *DIFFERENCES)
"""Checks that are made of every site that can be read beside another."""


@dataclass(frozen=True)
class Finding:
    """One feature of one site. check: its id in the registry.

    what: the cells, unit or codes; difference, limit: in the check's unit. cells: of the histogram,
    which the numbers tell of. sentence: for people, without numbers. doubted: the site waits for a
    person.
    """

    check: str
    feature: str
    what: str
    difference: float
    limit: float
    cells: tuple[str, ...]
    sentence: str
    doubted: bool = False

    @property
    def reason(self) -> ReasonCode:
        """The code that leaves with the decision."""
        return REGISTRY[self.check].reason

    @property
    def direction(self) -> str:
        """Say whether more or fewer patients are in the cells than at the others."""
        return "more" if self.difference > 0 else "fewer"

    def as_json(self, *, told: bool) -> dict[str, Json]:
        """Return the JSON value for the coordinator's store and reports.

        told: whether its numbers may be displayed; they are None otherwise.
        """
        return {
            "check": self.check,
            "feature": self.feature,
            "contrast": self.what,
            "difference": round(self.difference, _DIGITS) if told else None,
            "limit": round(self.limit, _DIGITS) if told else None,
            "sentence": self.sentence,
            "review": self.doubted,
        } | ({"direction": self.direction} if self.check in DIFFERENCES else {})


@dataclass(frozen=True)
class Beside:
    """What a site shows beside the others. made: the checks that could be made."""

    findings: tuple[Finding, ...] = ()
    made: tuple[str, ...] = ()


def findings(
    study: Study, summaries: Mapping[str, QcSummary], turned_around: Collection[str] = ()
) -> dict[str, Beside]:
    """List what stands out at every site, features in the study's order.

    turned_around: sites whose whole outcome is. Guarantee: pure and deterministic; sites that noise
    hides have none.
    """
    seen = side_by_side(summaries)
    drifted = deviations(summaries)
    units, codes = _recoded(study, seen)
    links = links_of(study, summaries, turned_around)
    told = {
        key: finding
        for key, mismatch in codes.found.items()
        if (finding := _codes(key[0], mismatch, links)) is not None
    }
    told |= {key: _empty(empty) for key, empty in empty_columns(seen).items()}
    told |= {key: _unit(mismatch) for key, mismatch in units.found.items()}
    return {
        site: Beside(
            tuple(
                finding
                for deviation in drifted[site]
                if (finding := told.get((site, deviation.feature)) or _drift(deviation)) is not None
            ),
            (
                *(_ALWAYS if drifted[site] else ()),
                *(("crosssite.unit",) if site in units.asked else ()),
                *(("crosssite.coding",) if site in codes.asked else ()),
            ),
        )
        for site in summaries
    }


def _recoded(study: Study, seen: SideBySide) -> tuple[Compared, Compared]:
    units: dict[str, tuple[Recoding, ...]] = {}
    codes: dict[str, tuple[Recoding, ...]] = {}
    for feature in study.cohort.measured:
        chosen = units if isinstance(feature, NumberFeature) else codes
        chosen[feature.name] = recodings(feature, study.qc.histogram_bins)
    return mismatches(seen, units, _NAMED), mismatches(seen, codes, _NOT_CASE_MIX)


def _unit(found: Mismatch) -> Finding:
    return Finding(
        "crosssite.unit",
        found.feature,
        found.recoding.words,
        found.evidence,
        found.limit,
        found.cells,
        f"{found.feature}: the values lie as those of the other sites would {found.recoding.words}",
        doubted=found.moved >= _UNMISTAKABLE,
    )


def _codes(site: str, found: Mismatch, links: Links) -> Finding | None:
    z = links.turned(site, found.feature, found.recoding)
    turned = z is not None and z >= _TURNED
    by_shares = found.moved >= _NAMED or found.strange >= _NOT_CASE_MIX
    if not turned and (not by_shares or (z is not None and z <= _STRAIGHT)):
        return None
    sentence = (
        f"{found.feature}: the categories are as frequent as those of the other sites would be "
        f"{found.recoding.words}"
    )
    if turned:
        sentence += ", and their link with the outcome turns with them"
    return Finding(
        "crosssite.coding",
        found.feature,
        found.recoding.words,
        found.evidence,
        found.limit,
        found.cells,
        sentence,
        doubted=turned,
    )


def _empty(found: Empty) -> Finding:
    return Finding(
        "crosssite.schema",
        found.feature,
        found.way,
        found.difference,
        found.limit,
        found.cells,
        f"{found.feature}: {found.way} for nearly every patient, and not so at the other sites",
    )


def _drift(found: Deviation) -> Finding | None:
    check = "crosssite.prevalence" if found.feature == LABEL else "crosssite.drift"
    bounds = REGISTRY[check].bounds
    if judge(found.excess, warn=bounds.warn, fail=bounds.fail) is not Severity.WARN:
        return None
    name = "outcome" if found.feature == LABEL else found.feature
    direction = "more" if found.difference > 0 else "fewer"
    return Finding(
        check,
        found.feature,
        found.contrast,
        found.difference,
        found.limit,
        found.cells,
        f"{name}: {found.contrast}: {direction} than at the others",
    )

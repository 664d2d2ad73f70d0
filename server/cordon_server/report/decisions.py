"""The quality part of the report in words: checks by hospitals, what was decided, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import error_for
from cordon_common.qc.reasons import REASONS
from cordon_common.qc.verdict import ReasonCode
from cordon_server.report.checks import (
    FOUND,
    State,
    check_rows,
    check_text,
    hard_failures,
    severity_order,
    worst_by_reason,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_server.report.checks import CheckRow
    from cordon_server.report.model import ReportModel
    from cordon_server.report.sites import SiteFacts

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Mark:
    """How a state is shown: a sign that reads without colour, a word, and what the word means."""

    state: str
    sign: str
    word: str
    legend: str


MARKS = {
    State.ERROR: Mark("error", "E", "could not be checked", "an error stopped the check"),
    State.FAIL: Mark("fail", "×", "failed", "beyond the limit at which the check fails"),
    State.REVIEW: Mark("review", "?", "under review", "a person has to decide"),
    State.WARN: Mark("warning", "!", "warned", "worth a look; nobody is excluded for it"),
    State.PASS: Mark("passed", "✓", "passed", "nothing found"),
    State.NOT_APPLICABLE: Mark(
        "none", "-", "not applicable", "there was nothing to judge, or noise hides it"
    ),
    State.NOT_RUN: Mark("absent", "", "not made", "the hospital did not make this check"),
}


@dataclass(frozen=True)
class CheckCell:
    """A check at a hospital. tip: the whole sentence."""

    mark: Mark
    tip: str


@dataclass(frozen=True)
class CheckLine:
    """A row of the matrix."""

    title: str
    check: str
    cells: tuple[CheckCell, ...]


@dataclass(frozen=True)
class CheckGroup:
    """Rows under one heading. lane: what findings lead to."""

    heading: str
    lane: str
    lines: tuple[CheckLine, ...]


@dataclass(frozen=True)
class Finding:
    """Something that hospitals reported. places: marks and names of the hospitals."""

    anchor: str
    title: str
    places: tuple[tuple[Mark, str], ...]
    meaning: str
    advice: str


@dataclass(frozen=True)
class Reported:
    """A finding at one hospital: a link to what it means."""

    mark: Mark
    anchor: str
    title: str


@dataclass(frozen=True)
class Decision:
    """What was decided about a hospital, and why. tag: in a word; kind: its colour.

    known: its checks came, so that nothing reported means nothing found.
    """

    site: str
    tag: str
    kind: str
    sentence: str
    known: bool
    reported: tuple[Reported, ...]


def worst_first(model: ReportModel) -> tuple[SiteFacts, ...]:
    """Order hospitals: excluded, under review, no answer, then by what was found, then by name."""
    actions = ("exclude", "review", "", "train")
    return tuple(
        sorted(
            model.sites,
            key=lambda site: (
                actions.index(site.action),
                severity_order(site.states.values()),
                site.site,
            ),
        )
    )


def check_groups(sites: Iterable[SiteFacts]) -> tuple[CheckGroup, ...]:
    """Lay out checks by hospitals; the group with the worst finding comes first."""
    shown = [site for site in sites if site.states]
    rows = check_rows([site.states for site in shown])
    groups: dict[tuple[str, str], list[CheckLine]] = {}
    for row in sorted(rows, key=lambda row: _worst_of_group(row, rows)):
        cells = tuple(
            _cell(row, state, site.site) for state, site in zip(row.states, shown, strict=True)
        )
        key = (row.text.group, row.text.lane)
        groups.setdefault(key, []).append(CheckLine(row.text.title, row.check, cells))
    return tuple(CheckGroup(*key, tuple(lines)) for key, lines in groups.items())


def _worst_of_group(row: CheckRow, rows: tuple[CheckRow, ...]) -> int:
    own = [other for other in rows if other.text.place[:2] == row.text.place[:2]]
    return min(state.rank for other in own for state in other.states)


def marks(groups: Iterable[CheckGroup]) -> tuple[Mark, ...]:
    """List the marks that occur, for the legend."""
    used = {cell.mark for group in groups for line in group.lines for cell in line.cells}
    return tuple(mark for mark in MARKS.values() if mark in used)


def _cell(row: CheckRow, state: State, site: str) -> CheckCell:
    mark = MARKS[state]
    tip = f"{row.text.title}, {site}: {mark.word}"
    if state is State.ERROR:
        tip += ". Nothing is known of what the check looks for."
    elif state in FOUND:
        tip += f". {row.text.meaning} {row.text.advice}"
    return CheckCell(mark, tip)


def findings(sites: Iterable[SiteFacts]) -> tuple[Finding, ...]:
    """List what hospitals reported, each once with what it means and what to do; worst first."""
    places: dict[str, list[tuple[State, str]]] = {}
    for site in sites:
        for anchor, state in _reports(site).items():
            places.setdefault(anchor, []).append((state, site.site))
    ordered = sorted(places.items(), key=lambda item: (sorted(s.rank for s, _ in item[1]), item[0]))
    return tuple(_finding(anchor, found) for anchor, found in ordered)


def _finding(anchor: str, found: list[tuple[State, str]]) -> Finding:
    title, meaning, advice = _sentences(anchor)
    marks = tuple((MARKS[state], site) for state, site in found)
    return Finding(f"finding-{anchor}", title, marks, meaning, advice)


def _reports(site: SiteFacts) -> dict[str, State]:
    """Return a hospital's findings: reason codes, and the checks that could not be made."""
    found = worst_by_reason(site.states, site.reasons)
    errors = [check for check, state in site.states.items() if state is State.ERROR]
    return found | dict.fromkeys(errors, State.ERROR)


def _sentences(anchor: str) -> tuple[str, str, str]:
    if anchor in set(ReasonCode):
        text = REASONS[ReasonCode(anchor)]
        return text.found, text.meaning, text.advice
    return (
        f"Could not be checked: {check_text(anchor).title}",
        "The check stopped at an error, so nothing is known of what it looks for.",
        "See the hospital's local report for where it stopped; repair that, then run again.",
    )


def decision(site: SiteFacts, model: ReportModel) -> Decision:
    """Say what was decided about a hospital."""
    tag, kind, sentence = _decided(site, model)
    reports = sorted(_reports(site).items(), key=lambda item: (item[1].rank, item[0]))
    return Decision(
        site=site.site,
        tag=tag,
        kind=kind,
        sentence=sentence,
        known=bool(site.states),
        reported=tuple(
            Reported(MARKS[state], f"finding-{anchor}", _sentences(anchor)[0])
            for anchor, state in reports
        ),
    )


def _decided(site: SiteFacts, model: ReportModel) -> tuple[str, str, str]:
    if not site.action:
        return _undecided(site)
    if site.action == "exclude":
        return "left out", "bad", _left_out(site)
    if site.action == "review":
        command = f"cordon study decide {model.study.name} {site.site}"
        return (
            "under review",
            "warn",
            f"Waits for a person: {command} --let-in, or --keep-out, --because WHY.",
        )
    if model.rounds and not site.rounds:
        return "then gone", "warn", "Passed the gate, then answered no round of the training."
    return "trains", "good", _trains(site)


def _undecided(site: SiteFacts) -> tuple[str, str, str]:
    if site.states:
        return "not decided", "warn", "The gate has not decided yet."
    codes = list(dict.fromkeys(code for _, _, code in site.failures))
    if not codes:
        return "waiting", "warn", "No quality summary so far."
    texts = [f"{error_for(code).what} ({code}); {error_for(code).fix}." for code in codes]
    return "no answer", "bad", "No quality summary: " + " ".join(texts)


def _left_out(site: SiteFacts) -> str:
    failed = [f"“{check_text(check).title}”" for check in hard_failures(site.states)]
    if failed:
        word = "checks" if len(failed) > 1 else "check"
        return f"Left out by its own {word} {', '.join(failed)}."
    if ReasonCode.CHECKS_CONTRADICT_VERDICT in site.reasons:
        return REASONS[ReasonCode.CHECKS_CONTRADICT_VERDICT].meaning
    if site.because:
        return f"Kept out by a person: {site.because}"
    return "It said itself that it may not train."


def _trains(site: SiteFacts) -> str:
    if site.because:
        return f"Let in by a person: {site.because}"
    if State.REVIEW in site.states.values():
        return "Let in by the study's rule for hospitals under review."
    if State.ERROR in site.states.values() or site.reasons:
        return "What was found warns, and excludes nobody."
    return "Nothing was found."

"""How every check came out at every hospital: its own checks, and what the gate saw from outside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cordon_common.qc.reasons import REASONS
from cordon_common.qc.registry import CROSS_SITE, REGISTRY
from cordon_common.qc.verdict import CheckClass, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cordon_common.canonical import Json
    from cordon_common.qc.checks import CheckSpec
    from cordon_common.qc.verdict import CohortVerdict


class State(StrEnum):
    """How a check came out at a hospital, the worst first."""

    ERROR = "error"
    FAIL = "fail"
    REVIEW = "review"
    WARN = "warn"
    PASS = "pass"  # noqa: S105 - not a password
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"

    @property
    def rank(self) -> int:
        """Place in the order, 0 the worst."""
        return list(State).index(self)


FOUND = frozenset({State.ERROR, State.FAIL, State.REVIEW, State.WARN})
"""States that ask for somebody's attention."""


@dataclass(frozen=True)
class GateCheck:
    """What the gate holds against a hospital's answer. found: its state when it does not hold."""

    title: str
    reason: ReasonCode
    found: State


GATE_CHECKS: dict[str, GateCheck] = {
    "gate.checks": GateCheck(
        "Checks agree with the verdict", ReasonCode.CHECKS_CONTRADICT_VERDICT, State.FAIL
    ),
    "gate.counts": GateCheck(
        "Numbers agree with the verdict", ReasonCode.COUNT_CONTRADICTS_VERDICT, State.REVIEW
    ),
    "gate.profile": GateCheck("Thresholds as in the study", ReasonCode.OTHER_PROFILE, State.WARN),
}
_ASKS = frozenset({ReasonCode.OUTCOME_TURNED})
"""Reasons of cross-site checks about which a person always decides; of the others, findings say."""


def states_of(verdict: CohortVerdict, decision: Mapping[str, Json]) -> dict[str, State]:
    """Return the state of every check of a hospital, by check.

    decision: what the gate wrote down about it; empty before the gate.
    """
    states = {check: State(severity.value) for check, severity in verdict.checks.items()}
    if not decision:
        return states
    reasons = set(decision["reasons"])
    for spec in REGISTRY.of(CROSS_SITE):
        states[spec.id] = _cross_site(spec, decision, reasons)
    for check, row in GATE_CHECKS.items():
        states[check] = row.found if row.reason in reasons else State.PASS
    return states


def _cross_site(spec: CheckSpec, decision: Mapping[str, Json], reasons: set[str]) -> State:
    if spec.reason in reasons:
        doubted = {item["check"] for item in decision.get("warnings", []) if item.get("review")}
        asks = spec.reason in _ASKS or spec.id in doubted
        return State.REVIEW if asks else State.WARN
    seen = spec.id in decision.get("compared", [])
    if spec.reason in _ASKS:
        seen = decision.get("agreement") is not None
    return State.PASS if seen else State.NOT_APPLICABLE


@dataclass(frozen=True)
class CheckText:
    """A check in words. group: modality; lane: what its findings lead to; meaning: of a finding.

    place: in the order of a table, where checks that keep a hospital out come first.
    """

    title: str
    group: str
    lane: str
    meaning: str
    advice: str
    reason: str
    place: tuple[int, int, int]


_GROUPS = {
    "clinical-table": "Records of the study's table",
    "clinical": "Clinical tables",
    "omop": "OMOP tables",
    "sample": "Samples and their files",
    "batch": "Technical batches",
    "fastq": "Reads (FASTQ)",
    "alignments": "Alignments",
    "variants": "Variants",
    "identity": "Identity of samples",
    "bulk-rna": "Bulk RNA",
    "single-cell": "Single cells",
    "metagenomics": "Metagenomes",
    "proteomics": "Proteomes",
    "sequences": "Sequences",
    "signals": "Signals",
    "images": "Images",
    CROSS_SITE: "Compared with the other hospitals",
}
"""Headings by modality; a test holds them against the registry."""

_KEEPS_OUT = "a failure keeps the hospital out"
_LANES = (
    _KEEPS_OUT,
    "leaves records out, and warns",
    "warns",
    "warns, or asks a person",
)
_OF_CLASS = {CheckClass.LOCAL_HARD: 0, CheckClass.LOCAL_SOFT: 2, CheckClass.CROSS_SITE: 3}


def check_text(check: str) -> CheckText:
    """Describe a check; one that only the hospital's software knows is named by its id."""
    if check in GATE_CHECKS:
        return _gate_text(check)
    if check not in REGISTRY:
        return CheckText(
            title=check,
            group="Checks that are not known here",
            lane=_KEEPS_OUT,
            meaning="The coordinator's software does not know this check.",
            advice="Compare the versions of both sides, and upgrade the older one.",
            reason="",
            place=(len(_GROUPS) + 1, 0, 0),
        )
    spec = REGISTRY[check]
    lane = 1 if spec.excludes else _OF_CLASS[spec.check_class]
    return CheckText(
        title=spec.wording.title,
        group=_GROUPS[spec.modality],
        lane=_LANES[lane],
        meaning=spec.wording.meaning,
        advice=spec.wording.advice,
        reason=spec.reason,
        place=(
            list(_GROUPS).index(spec.modality),
            lane,
            REGISTRY.of(spec.modality).index(spec),
        ),
    )


def _gate_text(check: str) -> CheckText:
    row = GATE_CHECKS[check]
    return CheckText(
        title=row.title,
        group="Its answer against itself",
        lane="keeps out, asks a person, or warns",
        meaning=REASONS[row.reason].meaning,
        advice=REASONS[row.reason].advice,
        reason=row.reason,
        place=(len(_GROUPS), 0, list(GATE_CHECKS).index(check)),
    )


@dataclass(frozen=True)
class CheckRow:
    """A check over hospitals; states: in the hospitals' order."""

    check: str
    text: CheckText
    states: tuple[State, ...]


def check_rows(by_site: Sequence[Mapping[str, State]]) -> tuple[CheckRow, ...]:
    """Line up the checks that any hospital made: by group and lane, in each the worst first."""
    made = {check for states in by_site for check in states}
    rows = [
        CheckRow(
            check,
            check_text(check),
            tuple(states.get(check, State.NOT_RUN) for states in by_site),
        )
        for check in made
    ]
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                row.text.place[:2],
                severity_order(row.states),
                min((state.rank for state in row.states), default=0),  # not made anywhere: last
                row.text.place,
                row.check,
            ),
        )
    )


def severity_order(states: Iterable[State]) -> tuple[int, ...]:
    """Return a sort key: who has more of the worst comes first, then of the next to worst."""
    found = list(states)
    return tuple(-found.count(state) for state in State if state in FOUND)


def worst_by_reason(states: Mapping[str, State], reasons: Sequence[str]) -> dict[str, State]:
    """Return for each reason of a hospital the worst state of the checks that give it."""
    found = dict.fromkeys(reasons, State.WARN)
    for check, state in states.items():
        reason = check_text(check).reason
        if reason in found and state in FOUND:
            found[reason] = min(found[reason], state, key=lambda each: each.rank)
    return found


def hard_failures(states: Mapping[str, State]) -> tuple[str, ...]:
    """List a hospital's own checks that keep it out and did not hold, as the gate counts them."""
    return tuple(
        check
        for check, state in states.items()
        if state in {State.FAIL, State.ERROR}
        and check not in GATE_CHECKS
        and (check not in REGISTRY or REGISTRY[check].check_class is CheckClass.LOCAL_HARD)
    )

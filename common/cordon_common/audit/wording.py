"""The audit report's sentences, shared by the page and the printed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.protocol.study import assumption

if TYPE_CHECKING:
    from cordon_common.audit.facts import AuditFacts, StudyFacts
    from cordon_common.audit.result import AuditResult, Status

VERDICT: dict[Status, tuple[str, str]] = {
    "PASS": ("good", "The ledgers prove every claim that was checked."),
    "FAIL": ("bad", "The ledgers contradict at least one claim; the rows below name it."),
    "NOT PROVEN": (
        "warn",
        "Nothing is contradicted, but some claims are not decided by these bundles.",
    ),
}
STANDING = {
    "met": ("good", "checked"),
    "declared": ("warn", "declared open"),
    "not met": ("bad", "not met"),
    "outside": ("soft", "outside the ledger"),
}
PHASE = {"qc": "quality summary", "train": "training update", "evaluate": "score histograms"}

_UNPROTECTED = {
    "participation": "that a hospital takes part, and when its gateway is online",
    "qc_verdict": "the coarse verdict of quality control: a severity per kind of check, reason codes",
}
_TRUST = {
    "local": "nobody outside the hospital: each update is private by itself",
    "secure-sum": "the coordinator sees the masked sum only; see the assumption below",
}


@dataclass(frozen=True)
class Label:
    """The privacy facts of one study, as rows of a label."""

    study: str
    headline: str
    rows: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]


def counted(result: AuditResult) -> str:
    """Say how many checks went how."""
    return (
        f"{result.count('PASS')} passed, {result.count('FAIL')} failed, "
        f"{result.count('NOT PROVEN')} not proven"
    )


def label(item: StudyFacts) -> Label:
    """Write a study's label; ε never stands without δ and unit."""
    privacy, worst, meaning = item.study.privacy, item.worst, item.explanation
    others = len(item.costs) - 1
    return Label(
        study=item.name,
        headline=f"ε {worst.epsilon.pld:.3g}",
        rows=(
            ("δ (chance that the bound does not hold)", f"{privacy.delta:g}"),
            ("promised at most", f"ε {privacy.epsilon:g}"),
            ("second accountant (Rényi)", f"ε {worst.epsilon.rdp:.4g}"),
            ("who is protected (unit)", "one patient, all records"),
            ("neighbouring data sets", "one patient added or removed"),
            ("trusted for it", _TRUST.get(privacy.trust_model, privacy.trust_model)),
            *_masked(item),
            ("hospital that spent most", f"{worst.site}, {worst.releases} releases"),
            ("other hospitals", f"{others}, none spent more"),
            ("attacker's odds grow at most", f"{meaning.odds_factor:.3g}-fold"),
            ("found at 1 % false alarms, at most", f"{100 * meaning.detection_rate:.2g} %"),
            ("permit", f"{item.study.permit.id}, until {item.study.permit.end_date}"),
        ),
        sentences=meaning.sentences,
        covered=_covered(item),
        uncovered=(
            *(_UNPROTECTED.get(name, name) for name in privacy.unprotected),
            "public inputs: the study's text, the hospitals' names and keys, expected sizes",
        ),
    )


def _masked(item: StudyFacts) -> tuple[tuple[str, str], ...]:
    """Say what a study of masked sums assumes, and what it costs where that does not hold."""
    if item.study.privacy.trust_model == "local":
        return ()
    return (
        ("assumed", assumption(item.study)),
        ("if that does not hold", f"ε {item.worst.local.pld:.3g}, each release by itself"),
    )


def _covered(item: StudyFacts) -> tuple[str, ...]:
    rounds = item.study.training.rounds
    return (
        "the quality summary, once: noised counts on public bins",
        f"every training update of up to {rounds} rounds: noised sums of clipped contributions",
        "the score histograms of held-out patients, once; all metrics come from them",
        "rules of quality control that leave records out (they multiply the sensitivity)",
        "the number of patients: it is only ever visible through noised counts",
    )


def limits(facts: AuditFacts) -> tuple[str, ...]:
    """Say what no ledger can show."""
    known = (
        "That the noise in a release was really drawn with the stated standard deviation: a digest "
        "does not tell. The hospital can measure its running mechanism with cordon audit probe.",
        "A hospital and the coordinator who agree to leave a release out of both logs.",
        "What people who may read the data at a hospital tell others.",
    )
    if not any(log.role == "coordinator" for log in facts.logs):
        return (
            "The coordinator's bundle is not here: what it received cannot be compared.",
            *known,
        )
    return known

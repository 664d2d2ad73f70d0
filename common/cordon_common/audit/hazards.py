"""The hazards that an evaluation of a privacy claim looks for, each with its status and evidence.

The order follows the evaluation pyramid of NIST SP 800-226 (March 2025): the guarantee on top, what
can break it in the middle, how the data came about at the bottom. The wording is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cordon_common.protocol.study import assumption

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_common.audit.facts import AuditFacts, StudyFacts

Standing = Literal["met", "declared", "not met", "outside"]
"""met: checked here. declared: left open on purpose, and said so. outside: no bundle can show it."""

Level = Literal["the guarantee", "the mechanism and its surroundings", "the data"]


@dataclass(frozen=True)
class Hazard:
    """A hazard judged: what could go wrong, how it stands here, on what evidence."""

    level: Level
    name: str
    question: str
    standing: Standing
    evidence: str


def hazards(facts: AuditFacts) -> tuple[Hazard, ...]:
    """Judge every hazard on the bundles; the list is closed and its order fixed."""
    return tuple(row(facts) for row in _ROWS)


def _rows_passed(facts: AuditFacts, *checks: str) -> bool:
    """Tell whether each of these checks stands somewhere, and passed wherever it stands."""
    found: dict[str, list[bool]] = {name: [] for name in checks}
    for part in facts.result.parts:
        for row in part.rows:
            if row.check in found:
                found[row.check].append(row.status == "PASS")
    return all(found[name] and all(found[name]) for name in checks)


def _checked(facts: AuditFacts, *checks: str) -> Standing:
    return "met" if _rows_passed(facts, *checks) else "not met"


def _each(facts: AuditFacts, words: Callable[[StudyFacts], str]) -> str:
    return "; ".join(words(item) for item in facts.studies) or "no study released anything"


def _budget(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the guarantee",
        "ε is too large, or not what was claimed",
        "Is ε recomputed from what was executed, and within what was promised?",
        _checked(facts, "epsilon", "lifetime", "accountants"),
        _each(
            facts,
            lambda s: f"{s.name}: {s.worst.epsilon.pld:.4g} of {s.study.privacy.epsilon:g}",
        ),
    )


def _delta(facts: AuditFacts) -> Hazard:
    def small(item: StudyFacts) -> bool:
        expected = max((entry.expected_patients for entry in item.study.roster), default=1)
        return item.study.privacy.delta * expected <= 0.1

    return Hazard(
        "the guarantee",
        "δ so large that a patient may be published whole",
        "Is δ well below one over the number of patients?",
        "met" if all(map(small, facts.studies)) and facts.studies else "not met",
        _each(
            facts,
            lambda s: (
                f"{s.name}: δ {s.study.privacy.delta:.0e}, largest site about "
                f"{max((e.expected_patients for e in s.study.roster), default=0)} patients"
            ),
        ),
    )


def _unit(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the guarantee",
        "The unit is a record while people have several",
        "Is a whole patient protected, however many records there are?",
        "met" if _relations(facts) == {"add_remove_patient"} else "not met",
        "the unit is the patient with all records; a patient's records are averaged or capped "
        "before clipping; neighbours differ by one patient added or removed",
    )


def _relations(facts: AuditFacts) -> set[str]:
    return {item.study.privacy.relation for item in facts.studies}


def _composition(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the guarantee",
        "Repeated releases are not added up",
        "Does every release of every study count, reservations after a crash included?",
        _checked(facts, "slots", "settled", "count", "lifetime"),
        f"{len(facts.releases)} releases in the ledgers, each charged before it was computed",
    )


def _trust(facts: AuditFacts) -> Hazard:
    models = {item.study.privacy.trust_model for item in facts.studies}
    return Hazard(
        "the guarantee",
        "The promise silently assumes a trusted coordinator",
        "Against whom does ε hold?",
        _checked(facts, "plan", "epsilon"),
        f"trust model {', '.join(sorted(models)) or 'none'}: noise is added inside each hospital; "
        "no amplification by sampling is claimed against the coordinator"
        + "".join(f"; {name} assumes: {text}" for name, text in _assumed(facts)),
    )


def _assumed(facts: AuditFacts) -> list[tuple[str, str]]:
    """Return, for every study of masked sums, what its ε assumes about the hospitals."""
    return [
        (item.study.name, assumption(item.study))
        for item in facts.studies
        if item.study.privacy.trust_model == "secure-sum"
    ]


def _sensitivity(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the mechanism and its surroundings",
        "One patient can move a release by more than assumed",
        "Are noise, sensitivity and sampling of every release those of the signed study?",
        _checked(facts, "plan"),
        "sensitivities include rounding, floating-point slack and the stability of quality control",
    )


def _floating_point(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the mechanism and its surroundings",
        "Floating-point noise reveals its input",
        "Are releases integers, with noise rounded on the same grid?",
        _checked(facts, "plan"),
        "every event is a Gaussian on an integer grid; noise comes from a cryptographic generator "
        "and its seed is never kept",
    )


def _noise(facts: AuditFacts) -> Hazard:
    missing = facts.unprobed
    probed = bool(facts.releases) and not missing
    return Hazard(
        "the mechanism and its surroundings",
        "The code adds less noise than it says",
        "Was the running mechanism measured?",
        _checked(facts, "probe") if probed else "outside",
        "every hospital noted a passed probe of the mechanism that runs there"
        if probed
        else "a ledger cannot show drawn noise; no probe is noted by "
        + (", ".join(missing) or "anybody")
        + ": ask for cordon audit probe there",
    )


def _preprocessing(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the mechanism and its surroundings",
        "Cleaning and scaling look at the data for free",
        "Are quality control and scaling inside the proof?",
        _checked(facts, "plan") if _quality_charged(facts) else "not met",
        "ranges, categories and bins are public parts of the signed study; exclusion rules multiply "
        "the sensitivity; the quality summary is charged",
    )


def _quality_charged(facts: AuditFacts) -> bool:
    """Tell whether every hospital that trained in a study had its quality summary charged there."""
    by_phase = {
        phase: {(item.site, item.study) for item in facts.releases if item.phase == phase}
        for phase in ("qc", "train")
    }
    return bool(by_phase["train"]) and by_phase["train"] <= by_phase["qc"]


def _tuning(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the mechanism and its surroundings",
        "Many models were tried and only one was counted",
        "Is every run charged?",
        _checked(facts, "count", "slots"),
        "a second campaign of a study finds its budget used; other studies add to the lifetime ε",
    )


def _side_channels(facts: AuditFacts) -> Hazard:
    del facts
    return Hazard(
        "the mechanism and its surroundings",
        "Timing, errors or message sizes tell what noise hides",
        "What leaves besides the charged releases?",
        "declared",
        "errors leave as fixed codes, vectors have a fixed length; how long an answer takes is not "
        "hidden and depends on the size of the cohort",
    )


def _security(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the mechanism and its surroundings",
        "Somebody edits the books",
        "Are the logs append-only, signed and consistent with each other?",
        _checked(facts, "tree", "entries", "files", "times"),
        "; ".join(f"{log.title}: {log.entries} entries" for log in facts.logs) or "no log",
    )


def _unprotected(facts: AuditFacts) -> Hazard:
    return Hazard(
        "the data",
        "Something leaves without protection, unsaid",
        "Is everything that leaves without noise declared in the study?",
        "declared",
        _each(facts, lambda s: f"{s.name}: {', '.join(s.study.privacy.unprotected)}"),
    )


def _collection(facts: AuditFacts) -> Hazard:
    del facts
    return Hazard(
        "the data",
        "The raw data are exposed where they are collected",
        "Do records stay in the hospital's own systems?",
        "outside",
        "records never leave the vault; how the hospital protects its own systems is not in a ledger",
    )


def _bias(facts: AuditFacts) -> Hazard:
    del facts
    return Hazard(
        "the data",
        "Noise and clipping hit small groups hardest",
        "Does the model work where it will be used?",
        "declared",
        "metrics are reported per hospital with intervals that include the noise; groups within a "
        "hospital are not measured",
    )


_ROWS: tuple[Callable[[AuditFacts], Hazard], ...] = (
    _budget,
    _delta,
    _unit,
    _composition,
    _trust,
    _sensitivity,
    _floating_point,
    _noise,
    _preprocessing,
    _tuning,
    _side_channels,
    _security,
    _unprotected,
    _collection,
    _bias,
)

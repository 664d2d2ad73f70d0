"""Checks of a hospital's ledger: approved before released, reserved before settled, as planned."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.canonical import digest
from cordon_common.ledger.bundle import POLICY, study_file
from cordon_common.ledger.entries import (
    PolicySet,
    ReleaseReserved,
    ReleaseSettled,
    StudyClosed,
)
from cordon_common.ledger.probed import ProbeDone
from cordon_common.privacy.events import mechanism_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.views import SignedStudy, View
    from cordon_common.signing import PublicKey

PURPOSE = {"qc": "qc", "train": "training", "evaluate": "evaluation"}


def check_site(bundle: Bundle, view: View, trusted: Sequence[PublicKey]) -> tuple[Row, ...]:
    """Check what a hospital's ledger says; its entries have been read without a problem."""
    return (
        _policy(bundle, view),
        _signed(bundle, view, trusted),
        _roster(bundle, view),
        _approved(view),
        _open(view),
        _slots(view),
        _settled(view),
        _planned(view),
        _counted(view),
        _probe(view),
    )


def _policy(bundle: Bundle, view: View) -> Row:
    policies = view.all(PolicySet)
    held = bundle.files.get(POLICY)
    problems = []
    if policies and (held is None or digest(held) != policies[-1][1].policy):
        problems.append("the bundle's policy is not the one that the ledger names")
    return judge(
        "policy",
        "the hospital's policy is the one that its ledger names",
        f"{len(policies)} versions in the ledger",
        problems=problems,
        unproven=() if policies else ("the ledger names no policy",),
    )


def _signed(bundle: Bundle, view: View, trusted: Sequence[PublicKey]) -> Row:
    problems = []
    for study in view.studies.values():
        problem = study.problem or _distrust(study, view, trusted)
        if not problem and bundle.files.get(study_file(study.digest)) != study.file_bytes:
            problem = "the bundle's file is missing or is another study"
        if problem:
            problems.append(f"{study.name}: {problem}")
    signers = {s.signer.fingerprint for s in view.studies.values() if s.signer}
    return judge(
        "studies",
        "every approved study is signed by a coordinator that the hospital trusted",
        f"{len(view.studies)} studies, signed by {_names(signers)}",
        problems=problems,
    )


def _distrust(study: SignedStudy, view: View, trusted: Sequence[PublicKey]) -> str:
    """Say why the signer of a study is not trusted; empty when it is."""
    before = [body for entry, body in view.all(PolicySet) if entry.seq < study.seq]
    if not before or str(study.signer) not in before[-1].trusted_coordinators:
        return "its signer was not trusted by the policy at the time of approval"
    if trusted and study.signer not in trusted:
        return "its signer is not the coordinator key that you gave"
    return ""


def _roster(bundle: Bundle, view: View) -> Row:
    problems = []
    for carried in view.studies.values():
        roster = carried.study.roster if carried.study else ()
        keys = [entry.key for entry in roster if entry.site == bundle.manifest.name]
        if keys != [bundle.manifest.key]:
            problems.append(f"{carried.name} lists another key for this site, or none")
    return judge(
        "roster",
        "the ledger's key is the one on every approved study's roster",
        f"{len(view.studies)} rosters",
        problems=problems,
    )


def _approved(view: View) -> Row:
    reserved = view.all(ReleaseReserved)
    problems = [
        f"entry {entry.seq} releases for a study that was not approved before"
        for entry, body in reserved
        if body.slot.study not in view.studies or view.studies[body.slot.study].seq > entry.seq
    ]
    return judge(
        "approval",
        "every study was approved before its first release",
        f"{len(reserved)} releases in {len(view.studies)} approved studies",
        problems=problems,
    )


def _open(view: View) -> Row:
    closed = {body.study: entry.seq for entry, body in reversed(view.all(StudyClosed))}
    problems = []
    for entry, body in view.all(ReleaseReserved):
        if closed.get(body.slot.study, entry.seq) < entry.seq:
            problems.append(f"entry {entry.seq} releases after the study was closed")
        carried = view.studies.get(body.slot.study)
        if (
            carried
            and carried.study
            and entry.time[:10] > carried.study.permit.end_date.isoformat()
        ):
            problems.append(f"entry {entry.seq} releases after the permit ended")
    return judge(
        "permit",
        "nothing was released after a study was closed or its permit ended",
        f"{len(closed)} studies are closed",
        problems=problems,
    )


def _slots(view: View) -> Row:
    uses = Counter(body.slot.key for _, body in view.all(ReleaseReserved))
    return judge(
        "slots",
        "no place in a study was charged for twice",
        f"{len(uses)} slots",
        problems=[f"slot {_short(key)} is reserved {n} times" for key, n in uses.items() if n > 1],
    )


def _settled(view: View) -> Row:
    reserved = {entry.seq: body for entry, body in view.all(ReleaseReserved)}
    settled: set[int] = set()
    problems = []
    for entry, body in view.all(ReleaseSettled):
        reservation = reserved.get(body.reserved)
        if reservation is None or body.reserved > entry.seq or reservation.slot != body.slot:
            problems.append(f"entry {entry.seq} settles a release that was never reserved")
        elif body.reserved in settled:
            problems.append(f"entry {entry.seq} settles entry {body.reserved} a second time")
        settled.add(body.reserved)
    return judge(
        "settled",
        "every release was reserved before, and settled once",
        f"{len(settled)} settled, {len(reserved) - len(settled)} reserved only (charged all the same)",
        problems=problems,
    )


def _planned(view: View) -> Row:
    """Compare noise, sensitivity, dimension, population and sampling with the signed study."""
    reserved = view.all(ReleaseReserved)
    problems = [
        f"entry {entry.seq}: the {body.slot.phase} release is not what the signed study implies"
        for entry, body in reserved
        if not view.as_planned(body.slot, body.event)
        or body.event.purpose != PURPOSE[body.slot.phase]
    ]
    return judge(
        "plan",
        "noise, sensitivity, size and sampling of every release are those of the signed study",
        f"{len(reserved)} events equal the plan",
        problems=problems,
    )


def _counted(view: View) -> Row:
    problems = []
    used = Counter((body.slot.study, body.slot.phase) for _, body in view.all(ReleaseReserved))
    steps = sum(mechanism_runs(body.event) for _, body in view.all(ReleaseReserved))
    for (study, phase), count in used.items():
        allowed = _allowed(view.studies.get(study), phase)
        if count > allowed:
            problems.append(f"{count} {phase} releases, the study allows {allowed}")
    for entry, body in view.all(ReleaseReserved):
        carried = view.studies.get(body.slot.study)
        if carried and carried.study and body.slot.attempt >= carried.study.timing.max_attempts:
            problems.append(f"entry {entry.seq} is attempt {body.slot.attempt}")
    return judge(
        "count",
        "no more releases were made than the study allows",
        f"{sum(used.values())} releases, {steps} noised steps, each charged as executed",
        problems=problems,
    )


def _probe(view: View) -> Row:
    """No release may follow a failed probe of its study's mechanism before one that passed."""
    newest: dict[str, bool] = {}
    problems, noted = [], 0
    for entry in view.entries:
        body = entry.body
        if isinstance(body, ProbeDone):
            noted += 1
            newest[body.study] = body.passed
            if body.passed and body.epsilon_lower > body.epsilon_claimed:
                problems.append(f"entry {entry.seq} passes an attack that beat the claim")
        elif isinstance(body, ReleaseReserved) and not newest.get(body.slot.study, True):
            problems.append(f"entry {entry.seq} releases after the mechanism failed its probe")
    return judge(
        "probe",
        "nothing was released while the newest probe of the running mechanism failed",
        f"{noted} probes noted",
        problems=problems,
    )


def _allowed(carried: SignedStudy | None, phase: str) -> int:
    """Return how many releases of a phase a study allows, attempts included."""
    if carried is None or carried.study is None:
        return 0
    rounds = carried.study.training.rounds if phase == "train" else 1
    return rounds * carried.study.timing.max_attempts


def _short(key: str) -> str:
    return key.partition("|")[2]


def _names(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts)) or "nobody"

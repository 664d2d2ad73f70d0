"""Checks of what the hospitals witnessed: one coordinator's log, which only ever grew, for all."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.errors import CordonError, IntegrityError
from cordon_common.ledger.checkpoint import (
    Checkpoint,
    cosigner_name,
    note_text,
    open_checkpoint,
    open_cosignature,
    parse_checkpoint,
)
from cordon_common.ledger.entries import (
    CheckpointCosigned,
    CheckpointRefused,
    CheckpointWitnessed,
    LedgerUpgraded,
    ReleaseReceived,
    ReleaseReserved,
)
from cordon_common.ledger.receipt import root_text
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.views import View

    Opened = tuple[Bundle, View]

_FORKED, _ROLLED_BACK = "IN111", "IN115"


@dataclass
class _Seen:
    """What a hospital's ledger says about one coordinator's log, read entry by entry."""

    last: Checkpoint | None = None
    last_seq: int = -1
    roots: dict[int, bytes] = field(default_factory=dict)


def check_witnessed(view: View) -> Row:
    """Check a hospital's entries about its coordinators' logs."""
    problems, unproven = [], []
    seen: dict[str, _Seen] = {}
    for entry, body in view.all(CheckpointWitnessed):
        problem = _grown(seen.setdefault(body.coordinator, _Seen()), body, entry.seq)
        if problem:
            problems.append(f"entry {entry.seq}: {problem}")
    signers = {str(study.signer) for study in view.studies.values() if study.signer}
    problems += [
        f"{PublicKey.parse(key).fingerprint} signed no study that is approved here"
        for key in sorted(seen.keys() - signers)
    ]
    for entry, refused in view.all(CheckpointRefused):
        found = seen.get(refused.coordinator, _Seen())
        if refused.code == _FORKED:
            problems.append(f"entry {entry.seq}: {_fork(found, refused)}")
        elif refused.code == _ROLLED_BACK:
            problems.append(f"entry {entry.seq}: this ledger had lost a release (rolled back)")
        elif found.last_seq < entry.seq:
            unproven.append(f"entry {entry.seq}: the log could not be followed ({refused.code})")
    problems += _unseen_releases(view)
    return judge(
        "witness",
        "before every step the hospital saw the coordinator's log, which had only grown",
        f"{len(view.all(CheckpointWitnessed))} heads of {len(seen)} logs",
        problems=problems,
        unproven=unproven,
    )


def check_cosigned(bundle: Bundle, view: View) -> Row:
    """Check the hospitals' cosignatures in a coordinator's log."""
    problems, count = [], 0
    for entry, body in view.all(CheckpointCosigned):
        count += 1
        problem = _cosignature_problem(bundle, view, body, entry.seq)
        if problem:
            problems.append(f"entry {entry.seq}: {problem}")
    since = _witnessed_since(view)
    cosigned = Counter(body.site for _, body in view.all(CheckpointCosigned))
    received = Counter(body.site for e, body in view.all(ReleaseReceived) if e.seq > since)
    return judge(
        "cosignatures",
        "every hospital cosigned the log before each of its releases, and the log never changed",
        f"{count} cosignatures by {len(cosigned)} hospitals",
        problems=problems,
        unproven=[
            f"{site}: {number} releases, {cosigned[site]} cosignatures"
            for site, number in sorted(received.items())
            if cosigned[site] < number
        ],
    )


def check_same_log(sites: Sequence[Opened], coordinators: Sequence[Opened]) -> Row:
    """See that all hospitals were shown the log that the coordinator shows the auditor."""
    problems, unproven, count = [], [], 0
    for bundle, view in sites:
        for entry, body in view.all(CheckpointWitnessed):
            for shown, _ in coordinators:
                if shown.manifest.key != body.coordinator:
                    continue
                count += 1
                point = _point(body)
                if point is None or point.origin != shown.manifest.origin:
                    problems.append(f"{bundle.title}: entry {entry.seq} is of another log")
                elif point.size >= len(shown.roots):
                    unproven.append(f"{shown.title}: older than what {bundle.title} saw")
                elif shown.roots[point.size] != point.root:
                    problems.append(
                        f"{bundle.title} was shown another log of {point.size} entries (forked)"
                    )
    return judge(
        "heads",
        "every hospital was shown the same log as the auditor",
        f"{count} heads of the hospitals are in the coordinator's log",
        problems=problems,
        unproven=unproven or _nothing(count),
    )


def check_cosigned_is_known(sites: Sequence[Opened], coordinators: Sequence[Opened]) -> Row:
    """See that no hospital's ledger lost a head that the hospital cosigned."""
    known: dict[str, set[tuple[int, str]]] = {}
    for bundle, view in sites:
        heads = known.setdefault(bundle.manifest.name, set())
        for _, body in view.all(CheckpointWitnessed):
            point = _point(body)
            if point is not None:
                heads.add((point.size, root_text(point.root)))
    problems, count = [], 0
    for _, view in coordinators:
        for _, cosigned in view.all(CheckpointCosigned):
            if cosigned.site not in known:
                continue
            count += 1
            if (cosigned.size, cosigned.root) not in known[cosigned.site]:
                problems.append(f"{cosigned.site} cosigned {cosigned.size} entries unknown to it")
    return judge(
        "cosigned",
        "every cosignature is in the ledger of the hospital that gave it",
        f"{count} cosignatures found",
        problems=problems,
        unproven=_nothing(count),
    )


def _grown(seen: _Seen, body: CheckpointWitnessed, seq: int) -> str:
    """Take in a witnessed head; say what is wrong with it, or nothing."""
    try:
        origin = parse_checkpoint(note_text(body.checkpoint)).origin
        point = open_checkpoint(body.checkpoint, origin, PublicKey.parse(body.coordinator))
    except CordonError as error:
        return error.what
    last, seen.last, seen.last_seq = seen.last, point, seq
    seen.roots[point.size] = point.root
    if last is not None and (last.origin != point.origin or point.size <= last.size):
        return "the log did not grow since the head before"
    return ""


def _fork(seen: _Seen, refused: CheckpointRefused) -> str:
    """Say what a refusal for a fork proves: both heads signed, or the hospital's word alone."""
    point = None
    if refused.offered:
        try:
            origin = parse_checkpoint(note_text(refused.offered)).origin
            point = open_checkpoint(refused.offered, origin, PublicKey.parse(refused.coordinator))
        except IntegrityError:
            point = None
    if point is not None and seen.roots.get(point.size, point.root) != point.root:
        return f"the coordinator signed two different logs of {point.size} entries (forked)"
    return "the hospital refused the coordinator's log as forked"


def _unseen_releases(view: View) -> list[str]:
    """Find releases before which the log was not looked at since the release before."""
    problems = []
    since = _witnessed_since(view)
    heads = [entry.seq for entry, _ in view.all(CheckpointWitnessed)]
    before: dict[tuple[str, str], tuple[int, tuple[str, int]]] = {}
    for entry, body in view.all(ReleaseReserved):
        slot = body.slot
        step = (slot.phase, slot.round)
        start, last = before.get((slot.study, slot.run), (-1, ("", -1)))
        looked = bisect(heads, start) < bisect(heads, entry.seq)
        if entry.seq > since and step != last and not looked:
            problems.append(f"entry {entry.seq} releases without a look at the coordinator's log")
        before[slot.study, slot.run] = (entry.seq, step)
    return problems


def _witnessed_since(view: View) -> int:
    """Return the entry from which on logs are witnessed: older versions did not do it."""
    return max((entry.seq for entry, _ in view.all(LedgerUpgraded)), default=-1)


def _cosignature_problem(bundle: Bundle, view: View, body: CheckpointCosigned, seq: int) -> str:
    if body.size > seq or root_text(bundle.roots[body.size]) != body.root:
        return f"{body.site} cosigned another log of {body.size} entries (rewritten)"
    keys = {
        entry.key
        for carried in view.studies.values()
        for entry in (carried.study.roster if carried.study else ())
        if entry.site == body.site
    }
    point = Checkpoint(bundle.manifest.origin, body.size, bundle.roots[body.size])
    for key in keys:
        try:
            open_cosignature(
                body.cosignature, point, cosigner_name(body.site), PublicKey.parse(key)
            )
        except IntegrityError:
            continue
        return ""
    return f"this is no cosignature by {body.site}"


def _point(body: CheckpointWitnessed) -> Checkpoint | None:
    try:
        return parse_checkpoint(note_text(body.checkpoint))
    except IntegrityError:
        return None


def _nothing(count: int) -> list[str]:
    return [] if count else ["there was nothing to compare"]

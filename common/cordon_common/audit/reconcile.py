"""Holding the hospitals' ledgers against the coordinator's log: same releases, same trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.audit.runs import runs_of
from cordon_common.ledger.entries import (
    EvaluationDone,
    ReleaseReceived,
    ReleaseReserved,
    ReleaseSettled,
    RoundAggregated,
    SiteFailed,
)
from cordon_common.ledger.receipt import Receipt, root_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.runs import Run
    from cordon_common.audit.views import View

Opened = tuple["Bundle", "View"]


def check_together(sites: Sequence[Opened], coordinators: Sequence[Opened]) -> tuple[Row, ...]:
    """Compare all bundles that could be read."""
    runs = [run for _, view in coordinators for run in runs_of(view)]
    ledgers = [Ledger(bundle, view) for bundle, view in sites]
    return (
        _present(ledgers, runs, coordinators=len(coordinators)),
        _received_is_logged(ledgers, runs),
        _logged_is_received(ledgers, runs),
        _used_is_logged(ledgers, runs),
        _grown([bundle for bundle, _ in (*sites, *coordinators)]),
    )


class Ledger:
    """A hospital's ledger, indexed for comparison."""

    def __init__(self, bundle: Bundle, view: View) -> None:
        self.bundle = bundle
        self.site = bundle.manifest.name
        self.key = bundle.manifest.key
        self.studies = view.studies
        self.reserved = {entry.seq: body for entry, body in view.all(ReleaseReserved)}
        self.settled = {entry.seq: body for entry, body in view.all(ReleaseSettled)}

    def holds(self, study: str) -> bool:
        """Tell whether this is the ledger of the study's data: the study was approved in it."""
        return study in self.studies

    def problem(self, receipt: Receipt) -> str:
        """Say how a receipt that this ledger's key signed differs from the ledger, or nothing."""
        body = self.settled.get(receipt.seq)
        if body is None or (body.slot, body.release) != (receipt.slot, receipt.release_digest):
            return f"entry {receipt.seq} of the ledger is not the release that was receipted"
        reserved = self.reserved.get(body.reserved)
        if reserved is None or (reserved.request, reserved.event) != (
            receipt.request_digest,
            receipt.event,
        ):
            return f"entry {body.reserved} of the ledger is another reservation than receipted"
        size = receipt.tree_size
        if size != receipt.seq + 1 or root_text(self.bundle.roots[size]) != receipt.root:
            return f"the ledger's first {size} entries are not those that were receipted"
        return ""


def _present(ledgers: Sequence[Ledger], runs: Sequence[Run], *, coordinators: int) -> Row:
    taking_part = {(body.site, run.study) for run in runs for body in run.all(ReleaseReceived)}
    held = {(ledger.site, study) for ledger in ledgers for study in ledger.studies}
    missing = sorted({site for site, _ in taking_part - held})
    unproven = [f"the bundle of site {site} is missing" for site in missing]
    if not coordinators:
        unproven.append("the coordinator's bundle is missing")
    elif not ledgers:
        unproven.append("there is no site's bundle")
    return judge(
        "complete",
        "the bundles of the coordinator and of every site that took part are here",
        f"{len(ledgers)} sites, {coordinators} coordinators",
        unproven=unproven,
    )


def _received_is_logged(ledgers: Sequence[Ledger], runs: Sequence[Run]) -> Row:
    """Hold every receipt that the coordinator has against the ledger that signed it."""
    problems, unproven, count = [], [], 0
    for run in runs:
        for body in run.all(ReleaseReceived):
            receipt = run.receipt(body)
            if isinstance(receipt, str):
                unproven.append(f"{body.site}: a receipt is not genuine")
                continue
            for ledger in _of(ledgers, body.site, run.study):
                count += 1
                problem = ledger.problem(receipt)
                if problem:
                    problems.append(f"{body.site}: {problem} (rolled back, rewritten or forked)")
    return judge(
        "receipts",
        "every receipt that the coordinator holds is in the site's ledger, at the receipted place",
        f"{count} receipts found, with the tree that they name",
        problems=problems,
        unproven=unproven or _nothing(count),
    )


def _logged_is_received(ledgers: Sequence[Ledger], runs: Sequence[Run]) -> Row:
    """Look for releases that left a site and that the coordinator does not speak of."""
    unproven, count, explained = [], 0, 0
    for ledger in ledgers:
        for body in ledger.settled.values():
            slot = body.slot
            matching = [run for run in runs if (run.study, run.run) == (slot.study, slot.run)]
            if not matching:
                unproven.append(f"{ledger.site}: campaign {slot.run} is in no coordinator's log")
            elif (ledger.site, body.release) in matching[0].received(slot.phase, slot.round):
                count += 1
            elif not matching[0].finished or _failed(matching[0], ledger.site, slot.phase):
                explained += 1
            else:
                unproven.append(f"{ledger.site}: {slot.phase} round {slot.round} never arrived")
    return judge(
        "releases",
        "every release in a site's ledger is in the coordinator's log, or was reported lost",
        f"{count} found, {explained} lost on the way (charged all the same)",
        unproven=unproven or _nothing(count),
    )


def _used_is_logged(ledgers: Sequence[Ledger], runs: Sequence[Run]) -> Row:
    problems, count = [], 0
    for run in runs:
        used = [item for body in run.all(RoundAggregated) for item in body.used]
        used += [item for body in run.all(EvaluationDone) for item in body.used]
        for item in used:
            for ledger in _of(ledgers, item.site, run.study):
                count += 1
                if item.release not in {body.release for body in ledger.settled.values()}:
                    problems.append(f"{item.site}: a release that was used is not in its ledger")
    return judge(
        "used",
        "every release that went into the model is in the ledger of the site that made it",
        f"{count} digests equal",
        problems=problems,
        unproven=_nothing(count),
    )


def _grown(bundles: Sequence[Bundle]) -> Row:
    """Compare bundles of one log: the shorter must be the beginning of the longer."""
    problems, pairs = [], 0
    for i, one in enumerate(bundles):
        for other in bundles[i + 1 :]:
            if one.manifest.origin != other.manifest.origin:
                continue
            pairs += 1
            size = min(len(one.lines), len(other.lines))
            if one.lines[:size] != other.lines[:size]:
                problems.append(f"{one.title}: two bundles tell different histories (forked)")
    return judge(
        "growth",
        "two bundles of one log differ only by what was added",
        f"{pairs} pairs compared",
        problems=problems,
    )


def _of(ledgers: Sequence[Ledger], site: str, study: str) -> list[Ledger]:
    return [ledger for ledger in ledgers if ledger.site == site and ledger.holds(study)]


def _failed(run: Run, site: str, phase: str) -> bool:
    return any(body.site == site and body.phase == phase for body in run.all(SiteFailed))


def _nothing(count: int) -> list[str]:
    return [] if count else ["there was nothing to compare"]

"""Checks of masked sums: genuine keys, and every sum made of all shares of one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.errors import CordonError
from cordon_common.ledger.entries import (
    ReleaseReceived,
    RoundAggregated,
    RoundStarted,
    SumKeyReceived,
)
from cordon_common.privacy.events import SecureSumRelease
from cordon_common.securesum.keys import open_key
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.audit.result import Row
    from cordon_common.audit.runs import Run


def check_sums(runs: Sequence[Run]) -> tuple[Row, ...]:
    """Check the campaigns whose study asks for masked sums; no rows where none does."""
    masked = [
        run for run in runs if run.protocol and run.protocol.privacy.trust_model == "secure-sum"
    ]
    return (_keys(masked), _sums(masked)) if masked else ()


def _keys(runs: Sequence[Run]) -> Row:
    problems, count = [], 0
    for run in runs:
        identities = (
            {entry.site: entry.key for entry in run.protocol.roster} if run.protocol else {}
        )
        for body in run.all(SumKeyReceived):
            count += 1
            try:
                announced = open_key(body.announcement, PublicKey.parse(identities[body.site]))
            except (CordonError, KeyError):
                problems.append(
                    f"{body.site}: its key for masked sums is not signed by the roster's"
                )
                continue
            if (announced.site, announced.study, announced.run) != (body.site, run.study, run.run):
                problems.append(f"{body.site}: its key was made for another run (replayed)")
    return judge(
        "sum-keys",
        "every key that masks were made with was signed by the roster's hospital for this run",
        f"{count} keys verified",
        problems=problems,
    )


def _sums(runs: Sequence[Run]) -> Row:
    problems, summed, void = [], 0, 0
    for run in runs:
        attempts = {(body.round, body.attempt): body for body in run.all(RoundStarted)}
        rounds = run.all(RoundAggregated)
        summed += len(rounds)
        void += len(attempts) - len(rounds)
        for body in rounds:
            problem = _problem(run, body, attempts)
            if problem:
                problems.append(f"round {body.round}: {problem}")
    return judge(
        "sums",
        "every masked sum was made of the shares of all sites of one attempt, of none twice",
        f"{summed} sums; {void} attempts void, their shares masked for ever (charged all the same)",
        problems=problems,
    )


def _problem(run: Run, body: RoundAggregated, attempts: dict[tuple[int, int], RoundStarted]) -> str:
    used = {(item.site, item.release) for item in body.used}
    found = [
        item
        for item in run.all(ReleaseReceived)
        if item.slot.phase == "train"
        and item.slot.round == body.round
        and (item.site, item.release) in used
    ]
    numbers = {item.slot.attempt for item in found}
    if len(numbers) != 1:
        return "shares of several attempts, or of none, were added up"
    started = attempts.get((body.round, numbers.pop()))
    if started is None or {site for site, _ in used} != set(started.sites):
        return "the sum lacks a share of its attempt, or has one too many"
    if len(body.used) != len(started.sites):
        return "a share was added twice"
    for item in found:
        receipt = run.receipt(item)
        event = receipt if isinstance(receipt, str) else receipt.event
        if not isinstance(event, SecureSumRelease) or event.sites != len(started.sites):
            return f"{item.site} made its share for another number of sites"
    return ""

"""Train by masked sums: all sites of an attempt, or none of it.

A site that does not answer voids the attempt: what the others sent is masked with keys that nobody
can learn any more. They are asked again, among themselves, with fresh noise and a new charge. The
whole training has as many attempts as the study has rounds, so its promise holds whatever drops
out; every void attempt costs the model one round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import CheckFailed
from cordon_common.ledger.entries import RoundAggregated, RoundStarted
from cordon_common.privacy.schedule import largest_sum, smallest_sum
from cordon_common.securesum.ring import ring_sum
from cordon_common.signing import Envelope
from cordon_server import optimizer
from cordon_server.context import site_failures, sites_present, wait_for_sites
from cordon_server.journal import Note, RoundRecord, Step
from cordon_server.phases.enrol import SUM_KEYS, describe, key_entries, key_facts
from cordon_server.phases.releases import (
    Attempt,
    ask_shares,
    entries_of,
    release_replies,
    used_releases,
)
from cordon_server.phases.resting import dismiss, forgive, rest
from cordon_server.phases.weights import weights_digest
from cordon_server.rounds import advance

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.canonical import Json
    from cordon_common.ledger.body import Body
    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome

ATTEMPT = "attempt"
"""The fact that keeps the attempt under way: a resumed campaign asks the same sites the same."""

WRONG_KEY = "PO121"
REFUSALS = ("PO", "BU", "IN", "CK", "DA")
"""How codes begin that asking again will not change."""


def run_masked_train(campaign: Campaign) -> None:
    """Make attempts until the rounds, or the attempts that the study pays for, are used up.

    Raises:
        CheckFailed: CK020 when fewer sites than a sum needs are there, CK030 when masks do not
            cancel, CK031 when not a single round was completed.
    """
    while campaign.journal.state.phase == "train":
        attempt = _under_way(campaign)
        if attempt is None:
            _end_early(campaign)
        else:
            _make(campaign, attempt)
        campaign.journal.settle_log()


def _under_way(campaign: Campaign) -> Attempt | None:
    """Return the attempt to make, None when the study pays for no further one."""
    number = campaign.journal.state.round
    fact = campaign.journal.facts().get(ATTEMPT, {"round": -1, "made": 0})
    if fact["round"] == number and fact["sites"]:
        return _attempt(campaign, fact)
    index = fact["attempt"] if fact["round"] == number else 0
    made = fact["made"]
    if made >= campaign.study.training.rounds or index >= campaign.study.timing.max_attempts:
        return None
    sites = _choose(campaign, number)
    fresh = {"round": number, "attempt": index, "sites": sites, "made": made + 1}
    campaign.journal.commit(Step(phase="train", round=number, facts={ATTEMPT: fresh}))
    return _attempt(campaign, fresh)


def _attempt(campaign: Campaign, fact: dict[str, Json]) -> Attempt:
    keys = campaign.journal.fact(SUM_KEYS)
    roster = tuple(Envelope.model_validate(keys[site]) for site in fact["sites"])
    return Attempt(fact["round"], fact["attempt"], tuple(fact["sites"]), roster)


def _choose(campaign: Campaign, number: int) -> list[str]:
    """Name the admitted sites that are online and do not rest; wait for those that a sum needs.

    Raises:
        CheckFailed: CK020.
    """
    admitted: list[str] = campaign.journal.fact("gate")["included"]
    wanted = smallest_sum(campaign.study)
    fresh = [site for site in admitted if campaign.sitting_out.get(site, 0) <= number]
    ready = sites_present(campaign, fresh)
    if len(ready) < wanted:
        ready = wait_for_sites(campaign, admitted, wanted)
    if len(ready) < wanted:
        missing = ", ".join(sorted(set(admitted) - ready))
        raise CheckFailed(
            "CK020",
            f"{len(ready)} of at least {wanted} sites can take part in a secure sum",
            why=f"offline: {missing}",
        )
    return sorted(ready)


def _make(campaign: Campaign, attempt: Attempt) -> None:
    started_s = campaign.waiting.now_s()
    before = optimizer.from_arrays(campaign.journal.snapshot())
    outcome = ask_shares(campaign, attempt, {"weights": before.weights})
    forgive(campaign, outcome.accepted)
    if outcome.failed:
        _void(campaign, attempt, before.weights, outcome)
        return
    total = ring_sum(
        (release.masked for release in outcome.accepted.values()),
        campaign.study.training.ring_bits,
    )
    if int(np.abs(total).max()) > largest_sum(campaign.study, len(attempt.sites)):
        _void(campaign, attempt, before.weights, outcome)
        raise CheckFailed("CK030", why=f"round {attempt.round + 1}, attempt {attempt.number + 1}")
    after = advance(before, {"all": total}, campaign.study)
    record = RoundRecord(
        round=attempt.round,
        sites=attempt.sites,
        weights_in=weights_digest(before.weights),
        weights_out=weights_digest(after.weights),
        update_norm=float(np.linalg.norm(after.weights - before.weights)),
        duration_ms=round(1000 * (campaign.waiting.now_s() - started_s)),
    )
    campaign.journal.commit(_summed(campaign, attempt, record, after, outcome))


def _summed(
    campaign: Campaign,
    attempt: Attempt,
    record: RoundRecord,
    after: optimizer.OptimizerState,
    outcome: Outcome[Release],
) -> Step:
    """Write down a completed round; it is the last one when no attempt is left."""
    made = campaign.journal.fact(ATTEMPT)["made"]
    last = made >= campaign.study.training.rounds
    done = Note(
        "round.finished",
        detail={"sites": list(record.sites), "duration_ms": record.duration_ms},
    )
    return Step(
        phase="evaluate" if last else "train",
        round=attempt.round + 1,
        replies=release_replies(outcome, "train", attempt.round, attempt=attempt.number),
        round_record=record,
        snapshot=after.arrays(),
        entries=(
            *_asked(campaign, attempt, record.weights_in, outcome),
            RoundAggregated(
                study=campaign.digest,
                run=campaign.run,
                round=attempt.round,
                weights_in=record.weights_in,
                weights_out=record.weights_out,
                used=used_releases(outcome),
            ),
        ),
        notes=(done, Note("phase.finished")) if last else (done,),
    )


def _asked(
    campaign: Campaign, attempt: Attempt, weights: str, outcome: Outcome[Release]
) -> tuple[Body, ...]:
    return (
        RoundStarted(
            study=campaign.digest,
            run=campaign.run,
            round=attempt.round,
            attempt=attempt.number,
            weights=weights,
            sites=attempt.sites,
        ),
        *entries_of(attempt.slot(campaign), outcome),
        *outcome.cosigned,
        *site_failures(campaign, outcome),
    )


def _void(
    campaign: Campaign,
    attempt: Attempt,
    weights: npt.NDArray[np.float64],
    outcome: Outcome[Release],
) -> None:
    """Write down an attempt of which nothing can be used, and let who failed in it rest."""
    fact = campaign.journal.fact(ATTEMPT)
    wrong_key = [site for site, code in outcome.failed.items() if code == WRONG_KEY]
    refused = [s for s, code in outcome.failed.items() if code.startswith(REFUSALS)]
    rest(campaign, attempt.round, set(outcome.failed) - {*wrong_key, *refused})
    dismiss(campaign, set(refused) - set(wrong_key))
    campaign.journal.commit(
        Step(
            phase="train",
            round=attempt.round,
            replies=release_replies(outcome, "train", attempt.round, attempt=attempt.number),
            facts={ATTEMPT: fact | {"attempt": attempt.number + 1, "sites": []}},
            entries=_asked(campaign, attempt, weights_digest(weights), outcome),
            notes=(
                Note(
                    "attempt.void",
                    detail={"attempt": attempt.number, "missing": list(outcome.failed)},
                ),
            ),
        )
    )
    _renew_keys(campaign, wrong_key)


def _renew_keys(campaign: Campaign, sites: list[str]) -> None:
    """Ask sites that lost their key of the run for the one that they have now."""
    if not sites:
        return
    outcome = describe(campaign, sites, minimum=0)
    campaign.journal.commit(
        Step(
            phase="train",
            round=campaign.journal.state.round,
            facts=key_facts(outcome, campaign.journal.fact(SUM_KEYS)),
            entries=(*key_entries(campaign, outcome), *outcome.cosigned),
        )
    )


def _end_early(campaign: Campaign) -> None:
    """Go on to evaluation with the rounds that were completed.

    Raises:
        CheckFailed: CK031 when there is none.
    """
    done = campaign.journal.state.round
    if not done:
        raise CheckFailed("CK031")
    campaign.journal.commit(
        Step(
            phase="evaluate",
            round=done,
            notes=(Note("training.shortened", detail={"rounds": done}), Note("phase.finished")),
        )
    )

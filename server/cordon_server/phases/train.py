"""Train: one noised gradient sum per site and round, one step of the server's optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.ledger.entries import RoundAggregated, RoundStarted
from cordon_common.wire import arrays_digest
from cordon_server import optimizer
from cordon_server.context import require_minimum, site_failures
from cordon_server.journal import Note, RoundRecord, Step
from cordon_server.phases.releases import (
    ask_releases,
    received_entries,
    release_replies,
    used_releases,
)
from cordon_server.rounds import advance

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome

TIMED_OUT = "TR002"
LONGEST_REST_ROUNDS = 8


def run_train(campaign: Campaign) -> None:
    """Run the rounds that are left, one committed step each.

    Raises:
        CheckFailed: CK020 when a round stays below the study's minimum of sites.
    """
    for number in range(campaign.journal.state.round, campaign.study.training.rounds):
        _run_round(campaign, number)
        campaign.journal.settle_log()


def _run_round(campaign: Campaign, number: int) -> None:
    started_s = campaign.waiting.now_s()
    before = optimizer.from_arrays(campaign.journal.snapshot())
    sites = _sites_to_ask(campaign, number)
    outcome = ask_releases(campaign, sites, "train", number, {"weights": before.weights})
    _rest_the_silent(campaign, number, outcome)
    require_minimum(campaign, outcome)
    releases = {site: release.values for site, release in outcome.accepted.items()}
    after = advance(before, releases, campaign.study)
    record = RoundRecord(
        round=number,
        sites=tuple(outcome.accepted),
        weights_in=weights_digest(before.weights),
        weights_out=weights_digest(after.weights),
        update_norm=float(np.linalg.norm(after.weights - before.weights)),
        duration_ms=round(1000 * (campaign.waiting.now_s() - started_s)),
    )
    campaign.journal.commit(_step(campaign, record, after, outcome))


def _step(
    campaign: Campaign,
    record: RoundRecord,
    after: optimizer.OptimizerState,
    outcome: Outcome[Release],
) -> Step:
    number = record.round
    last = number + 1 == campaign.study.training.rounds
    done = Note(
        "round.finished",
        detail={"sites": list(record.sites), "duration_ms": record.duration_ms},
    )
    return Step(
        phase="evaluate" if last else "train",
        round=number + 1,
        replies=release_replies(outcome, "train", number),
        round_record=record,
        snapshot=after.arrays(),
        entries=(
            RoundStarted(
                study=campaign.digest,
                run=campaign.run,
                round=number,
                attempt=0,
                weights=record.weights_in,
                sites=(*outcome.accepted, *outcome.failed),
            ),
            *received_entries(campaign, outcome, "train", number),
            *outcome.cosigned,
            *site_failures(campaign, outcome),
            RoundAggregated(
                study=campaign.digest,
                run=campaign.run,
                round=number,
                weights_in=record.weights_in,
                weights_out=record.weights_out,
                used=used_releases(outcome),
            ),
        ),
        notes=(done, Note("phase.finished")) if last else (done,),
    )


def weights_digest(weights: npt.NDArray[np.float64]) -> str:
    """Return the digest of a flat weight vector, as requests carry it."""
    return arrays_digest({"weights": weights})


def _sites_to_ask(campaign: Campaign, number: int) -> list[str]:
    """Leave out sites that rest, unless the minimum needs them."""
    admitted: list[str] = campaign.journal.fact("gate")["included"]
    ready = [site for site in admitted if campaign.sitting_out.get(site, 0) <= number]
    return ready if len(ready) >= campaign.study.qc.gate.min_sites else admitted


def _rest_the_silent(campaign: Campaign, number: int, outcome: Outcome[Release]) -> None:
    """Let a site that used up the time limit rest for 1, 2, 4, 8 rounds; an answer forgives it.

    Otherwise one hanging vault would cost every round the whole time limit.
    """
    for site in outcome.accepted:
        campaign.silences.pop(site, None)
        campaign.sitting_out.pop(site, None)
    for site, code in outcome.failed.items():
        if code == TIMED_OUT:
            count = campaign.silences.get(site, 0)
            campaign.silences[site] = count + 1
            rest = min(2**count, LONGEST_REST_ROUNDS)
            campaign.sitting_out[site] = number + 1 + rest

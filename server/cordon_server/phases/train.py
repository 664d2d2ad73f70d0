"""Train: one noised gradient sum per site and round, one step of the server's optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.ledger.entries import RoundAggregated, RoundStarted
from cordon_server import optimizer
from cordon_server.context import require_minimum, site_failures
from cordon_server.journal import Note, RoundRecord, Step
from cordon_server.phases.releases import (
    ask_releases,
    received_entries,
    release_replies,
    used_releases,
)
from cordon_server.phases.resting import forgive, rest
from cordon_server.phases.secure import run_masked_train
from cordon_server.phases.weights import weights_digest
from cordon_server.rounds import advance

if TYPE_CHECKING:
    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome

TIMED_OUT = "TR002"


def run_train(campaign: Campaign) -> None:
    """Run the rounds that are left, one committed step each.

    Raises:
        CheckFailed: CK020 when a round stays below the study's minimum of sites; with masked sums
            also CK030 and CK031.
    """
    if campaign.study.privacy.trust_model == "secure-sum":
        run_masked_train(campaign)
        return
    for number in range(campaign.journal.state.round, campaign.study.training.rounds):
        _run_round(campaign, number)
        campaign.journal.settle_log()


def _run_round(campaign: Campaign, number: int) -> None:
    started_s = campaign.waiting.now_s()
    before = optimizer.from_arrays(campaign.journal.snapshot())
    sites = _sites_to_ask(campaign, number)
    outcome = ask_releases(campaign, sites, "train", number, {"weights": before.weights})
    forgive(campaign, outcome.accepted)
    rest(campaign, number, [s for s, code in outcome.failed.items() if code == TIMED_OUT])
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


def _sites_to_ask(campaign: Campaign, number: int) -> list[str]:
    """Leave out sites that rest, unless the minimum needs them."""
    admitted: list[str] = campaign.journal.fact("gate")["included"]
    ready = [site for site in admitted if campaign.sitting_out.get(site, 0) <= number]
    return ready if len(ready) >= campaign.study.qc.gate.min_sites else admitted

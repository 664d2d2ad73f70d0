"""Enrol: wait for the roster, ask who takes part, agree on the initial weights."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cordon_common.errors import CheckFailed
from cordon_common.ledger.bundle import installed_software
from cordon_common.ledger.entries import CampaignStarted, SiteDescribed
from cordon_common.protocol.layout import dimension
from cordon_common.wire import DescribeRequest
from cordon_server.answers import check_description
from cordon_server.context import (
    Outcome,
    Question,
    ask,
    require_minimum,
    site_failures,
    wait_for_roster,
)
from cordon_server.journal import Note, SiteReply, Step

if TYPE_CHECKING:
    from cordon_server.answers import Description
    from cordon_server.context import Campaign


def run_enrol(campaign: Campaign) -> None:
    """Ask every site of the roster; commit members and initial weights.

    The coordinator cannot draw the weights itself, so the digest that most sites derive counts;
    who derives another one is excluded by name.

    Raises:
        CheckFailed: CK020 below the study's minimum, CK021 when no majority agrees.
    """
    wait_for_roster(campaign)
    outcome = _agree(ask(campaign, campaign.roster, _question(campaign)))
    require_minimum(campaign, outcome)
    first = next(iter(outcome.accepted.values()))
    own = installed_software()
    campaign.journal.commit(
        Step(
            phase="qc",
            replies=_replies(outcome),
            facts={
                "members": list(outcome.accepted),
                "software": {site: d.software for site, d in outcome.accepted.items()},
                "coordinator_software": own,
                "initial_weights": first.weights_digest,
            },
            snapshot={"weights": first.weights},
            entries=(
                CampaignStarted(study=campaign.digest, run=campaign.run, software=own),
                *_described(campaign, outcome),
                *outcome.cosigned,
                *site_failures(campaign, outcome),
            ),
            notes=(*_notes(outcome), Note("phase.finished")),
        )
    )


def _question(campaign: Campaign) -> Question[Description]:
    size = dimension(campaign.study)

    def check(site: str, data: bytes) -> Description:
        return check_description(
            site, data, study=campaign.digest, run=campaign.run, dimension=size
        )

    return Question(
        "describe",
        DescribeRequest(study=campaign.digest, run=campaign.run),
        check,
        minimum=campaign.study.qc.gate.min_sites,
    )


def _agree(outcome: Outcome[Description]) -> Outcome[Description]:
    """Keep the sites whose weights digest more than half of the answering sites share."""
    votes = Counter(answer.weights_digest for answer in outcome.accepted.values())
    winners = [value for value, count in votes.items() if 2 * count > votes.total()]
    if outcome.accepted and not winners:
        raise CheckFailed("CK021", why=f"{len(votes)} different digests, none with a majority")
    agreed = {s: a for s, a in outcome.accepted.items() if a.weights_digest in winners}
    failed = outcome.failed | dict.fromkeys(set(outcome.accepted) - set(agreed), "CK021")
    return Outcome(agreed, dict(sorted(failed.items())), outcome.cosigned)


def _replies(outcome: Outcome[Description]) -> tuple[SiteReply, ...]:
    return (
        *(SiteReply(site, "enrol", 0) for site in outcome.accepted),
        *(SiteReply(site, "enrol", 0, code=code) for site, code in outcome.failed.items()),
    )


def _described(campaign: Campaign, outcome: Outcome[Description]) -> list[SiteDescribed]:
    return [
        SiteDescribed(
            study=campaign.digest,
            run=campaign.run,
            site=site,
            weights=answer.weights_digest,
            software=answer.software,
        )
        for site, answer in outcome.accepted.items()
    ]


def _notes(outcome: Outcome[Description]) -> list[Note]:
    joined = [Note("site.joined", site=site) for site in outcome.accepted]
    left_out = [
        Note("site.excluded", site=site, code=code)
        for site, code in outcome.failed.items()
        if code == "CK021"
    ]
    return joined + left_out

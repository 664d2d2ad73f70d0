"""Enrol: wait for the roster, ask who takes part, agree on the initial weights."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cordon_common.errors import CheckFailed
from cordon_common.ledger.bundle import installed_software
from cordon_common.ledger.entries import CampaignStarted, SiteDescribed, SumKeyReceived
from cordon_common.protocol.layout import dimension
from cordon_common.wire import DescribeRequest
from cordon_server.answers import check_description, check_sum_key
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
    from collections.abc import Collection

    from cordon_common.canonical import Json
    from cordon_server.answers import Description
    from cordon_server.context import Campaign

SUM_KEYS = "sum_keys"
"""The fact that keeps every member's signed key for masked sums."""


def run_enrol(campaign: Campaign) -> None:
    """Ask every site of the roster; commit members and initial weights.

    The coordinator cannot draw the weights itself, so the digest that most sites derive counts;
    who derives another one is excluded by name.

    Raises:
        CheckFailed: CK020 below the study's minimum, CK021 when no majority agrees.
    """
    wait_for_roster(campaign)
    outcome = _agree(describe(campaign, campaign.roster))
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
                **key_facts(outcome),
            },
            snapshot={"weights": first.weights},
            entries=(
                CampaignStarted(study=campaign.digest, run=campaign.run, software=own),
                *_described(campaign, outcome),
                *key_entries(campaign, outcome),
                *outcome.cosigned,
                *site_failures(campaign, outcome),
            ),
            notes=(*_notes(outcome), Note("phase.finished")),
        )
    )


def describe(
    campaign: Campaign, sites: Collection[str], *, minimum: int | None = None
) -> Outcome[Description]:
    """Ask sites who they are; where the study asks for masked sums, for their keys as well."""
    size = dimension(campaign.study)
    masked = campaign.study.privacy.trust_model == "secure-sum"
    place = {"study": campaign.digest, "run": campaign.run}

    def check(site: str, data: bytes) -> Description:
        described = check_description(site, data, dimension=size, **place)
        if masked:
            check_sum_key(site, described.sum_key, campaign.roster[site], **place)
        return described

    wanted = campaign.study.qc.gate.min_sites if minimum is None else minimum
    question = Question("describe", DescribeRequest(**place), check, minimum=wanted)
    return ask(campaign, sites, question)


def key_facts(
    outcome: Outcome[Description], known: dict[str, Json] | None = None
) -> dict[str, Json]:
    """Return the fact that keeps the sites' keys; the newest of a site holds."""
    found = {
        site: answer.sum_key.model_dump(mode="json")
        for site, answer in outcome.accepted.items()
        if answer.sum_key is not None
    }
    return {SUM_KEYS: (known or {}) | found} if found else {}


def key_entries(campaign: Campaign, outcome: Outcome[Description]) -> list[SumKeyReceived]:
    """Write the sites' keys down for the log."""
    return [
        SumKeyReceived(
            study=campaign.digest, run=campaign.run, site=site, announcement=answer.sum_key
        )
        for site, answer in outcome.accepted.items()
        if answer.sum_key is not None
    ]


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

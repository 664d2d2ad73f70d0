"""Asking sites for one noised release each, and writing down what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.canonical import digest
from cordon_common.ledger.entries import ReleaseReceived, UsedRelease
from cordon_common.privacy.schedule import planned_events
from cordon_common.privacy.sensitivity import RING_HALF
from cordon_common.wire import ReleaseRequest, Slot, SumRequest, array_bytes, request_digest
from cordon_server.answers import Expected, check_release
from cordon_server.context import Question, ask
from cordon_server.journal import SiteReply

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Literal

    from cordon_common.signing import Envelope
    from cordon_common.wire import Arrays
    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome

    ReleasePhase = Literal["qc", "train", "evaluate"]


def ask_releases(
    campaign: Campaign,
    sites: Collection[str],
    phase: ReleasePhase,
    number: int = 0,
    arrays: Arrays | None = None,
    *,
    minimum: int | None = None,
) -> Outcome[Release]:
    """Ask sites for the release of one slot; equal state gives equal request bytes.

    number: the round. The attempt is always 0: asking again is asking for the stored answer.
    minimum: for how many sites to wait; the study's minimum when left out.
    """
    slot = Slot(study=campaign.digest, run=campaign.run, phase=phase, round=number)
    plan = planned_events(campaign.study)
    event = {"qc": plan.qc, "train": plan.training, "evaluate": plan.evaluation}[phase]
    message = ReleaseRequest(slot=slot)
    shared = array_bytes(arrays or {})
    asked = request_digest(message, digest(shared))
    # a larger share of the ring is no honest sum, and could stop the study for everybody
    limit = (RING_HALF - 1) // len(campaign.roster)
    expected = Expected(slot, event, asked, limit)

    def check(site: str, data: bytes) -> Release:
        return check_release(site, data, campaign.roster[site], expected)

    wanted = campaign.study.qc.gate.min_sites if minimum is None else minimum
    question = Question(phase, message, check, wanted, shared)
    return ask(campaign, sites, question)


def ask_shares(campaign: Campaign, attempt: Attempt, weights: Arrays) -> Outcome[Release]:
    """Ask the sites of an attempt for their masked shares of a round's sum.

    Equal state gives equal request bytes. Only answers of all of them are of any use, so the
    missing ones are waited for until the round's time limit.
    """
    study = campaign.study
    slot = attempt.slot(campaign)
    message = SumRequest(slot=slot, roster=attempt.roster)
    event = planned_events(study).training_among(len(attempt.sites))
    shared = array_bytes(weights)
    asked = request_digest(message, digest(shared))
    expected = Expected(slot, event, asked, 0, study.training.ring_bits)

    def check(site: str, data: bytes) -> Release:
        return check_release(site, data, campaign.roster[site], expected)

    question = Question("train", message, check, len(attempt.sites), shared)
    return ask(campaign, attempt.sites, question)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a round's sum. roster: the signed keys of its sites, in the order of names."""

    round: int
    number: int
    sites: tuple[str, ...]
    roster: tuple[Envelope, ...] = ()

    def slot(self, campaign: Campaign) -> Slot:
        """Return the place of its releases."""
        return Slot(
            study=campaign.digest,
            run=campaign.run,
            phase="train",
            round=self.round,
            attempt=self.number,
        )


def release_replies(
    outcome: Outcome[Release],
    phase: ReleasePhase,
    number: int = 0,
    *,
    attempt: int = 0,
    keep_arrays: bool = False,
) -> tuple[SiteReply, ...]:
    """Turn an outcome into rows for the store."""
    accepted = [
        SiteReply(
            site,
            phase,
            number,
            release_digest=release.digest,
            receipt=release.receipt,
            verdict=release.verdict,
            arrays={"release": release.values} if keep_arrays else {},
            attempt=attempt,
        )
        for site, release in outcome.accepted.items()
    ]
    failed = [
        SiteReply(site, phase, number, code=code, attempt=attempt)
        for site, code in outcome.failed.items()
    ]
    return (*accepted, *failed)


def received_entries(
    campaign: Campaign, outcome: Outcome[Release], phase: ReleasePhase, number: int = 0
) -> tuple[ReleaseReceived, ...]:
    """Turn an outcome into entries for the coordinator's log."""
    slot = Slot(study=campaign.digest, run=campaign.run, phase=phase, round=number)
    return entries_of(slot, outcome)


def entries_of(slot: Slot, outcome: Outcome[Release]) -> tuple[ReleaseReceived, ...]:
    """Turn the answers to one slot into entries for the coordinator's log."""
    return tuple(
        ReleaseReceived(site=site, slot=slot, release=release.digest, receipt=release.receipt)
        for site, release in outcome.accepted.items()
    )


def used_releases(outcome: Outcome[Release]) -> tuple[UsedRelease, ...]:
    """Name the releases that went into a result."""
    return tuple(
        UsedRelease(site=site, release=release.digest) for site, release in outcome.accepted.items()
    )

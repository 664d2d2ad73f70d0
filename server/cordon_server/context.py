"""What every phase of a campaign works with, and how it asks the sites."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from cordon_common.errors import CheckFailed, CordonError, IntegrityError
from cordon_common.ledger.entries import SiteFailed
from cordon_common.ledger.offers import cosigned_entry
from cordon_common.wire import Cosigned, decode_head, with_witness
from cordon_server.journal import Note, SiteReply, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from cordon_common.ledger.entries import CheckpointCosigned
    from cordon_common.ledger.entries import Phase as LogPhase
    from cordon_common.ledger.offer import WitnessOffer
    from cordon_common.ledger.offers import Offers
    from cordon_common.protocol.study import Study
    from cordon_common.signing import PublicKey
    from cordon_common.wire import Request, Rpc
    from cordon_server.journal import Journal, Phase, ReplyPhase
    from cordon_server.network import SiteNetwork

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
ONLINE_POLL_S = 0.25
_PASSING = ("TR", "NE", "SY")
_STALE = "IN112"
"""A site may have seen a newer head by another campaign's message: shown the newest, it agrees."""


@dataclass(frozen=True)
class Waiting:
    """How time passes: a monotonic clock in seconds, and a sleep."""

    now_s: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Campaign:
    """A running campaign: the study and its roster, the journal, the way to the sites.

    site_wait_s: how long to wait for the roster to come online. digest: the study's. results: folder
    for the model and its card. sitting_out: per site the round from which it is asked again after
    it let the time limit of a round pass; silences: how often in a row it did.
    present: the sites that were online at the last look.
    """

    study: Study
    run: str
    roster: Mapping[str, PublicKey]
    journal: Journal
    offers: Offers
    network: SiteNetwork
    waiting: Waiting
    site_wait_s: float
    digest: str
    results: Path
    sitting_out: dict[str, int] = field(default_factory=dict)
    silences: dict[str, int] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Question(Generic[T]):
    """One question to many sites: the call, the same message for each, the check of an answer.

    arrays: the bytes that follow the message. check: takes site and reply bytes, returns what is
    worth keeping, raises CordonError otherwise.
    """

    rpc: Rpc
    request: Request
    check: Callable[[str, bytes], T]
    minimum: int = 1
    arrays: bytes = b""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """Checked answers by site, the code of every site that gave none, and the cosignatures."""

    accepted: dict[str, T]
    failed: dict[str, str]
    cosigned: tuple[CheckpointCosigned, ...] = ()


@dataclass(frozen=True)
class _Answers(Generic[T]):
    """What came so far, by site."""

    accepted: dict[str, T]
    failed: dict[str, str]
    cosigned: dict[str, CheckpointCosigned]

    def accept(self, site: str, value: T, entry: CheckpointCosigned) -> None:
        self.accepted[site] = value
        self.cosigned[site] = entry
        self.failed.pop(site, None)


def ask(campaign: Campaign, sites: Collection[str], question: Question[T]) -> Outcome[T]:
    """Ask sites until each has answered, refused, or failed as often as the study allows.

    Failures that may pass (transport, the site's machine) are asked again with the same bytes, so
    a site that did the work before repeats its stored answer. While fewer than the minimum have
    answered, sites that went offline are waited for, up to the round's time limit in all.
    """
    answers = _Answers[T]({}, {}, {})
    pending = sorted(sites)
    _note_presence(campaign)
    deadline_s = campaign.waiting.now_s() + campaign.study.timing.round_timeout_s
    for attempt in range(campaign.study.timing.max_attempts):
        missing = question.minimum - len(answers.accepted)
        present = _present(campaign, pending, missing=missing, deadline_s=deadline_s)
        _note_absent(campaign, sorted(set(pending) - present), answers.failed)
        if present:
            _ask_once(campaign, sorted(present), question, answers)
        pending = [site for site in pending if _may_pass(answers.failed.get(site, ""))]
        enough = len(answers.accepted) >= question.minimum
        if not pending or (enough and not _online(campaign, pending)):
            break
        if attempt + 1 < campaign.study.timing.max_attempts:
            campaign.waiting.sleep(FIRST_PAUSE_S * 2**attempt)
    return Outcome(
        dict(sorted(answers.accepted.items())),
        dict(sorted(answers.failed.items())),
        tuple(entry for _, entry in sorted(answers.cosigned.items())),
    )


def _may_pass(code: str) -> bool:
    return code[:2] in _PASSING or code == _STALE


def _ask_once(
    campaign: Campaign,
    sites: list[str],
    question: Question[T],
    answers: _Answers[T],
) -> None:
    offers = campaign.offers.make(campaign.digest, campaign.run, sites)
    requests = {site: with_witness(question.request, offers[site]) for site in sites}
    timeout_s = campaign.study.timing.round_timeout_s
    replies = campaign.network.ask(question.rpc, requests, timeout_s, question.arrays)
    notes = []
    for site, answer in replies.items():
        code = answer.code
        if not code:
            try:
                value = question.check(site, answer.data)
                entry = _cosigned(site, campaign.roster[site], offers[site], answer.data)
            except CordonError as error:
                code = error.code
            else:
                answers.accept(site, value, entry)
                continue
        answers.failed[site] = code
        notes.append(Note("site.failed", site=site, code=code))
    if notes:
        campaign.journal.note(*notes)


def _cosigned(site: str, key: PublicKey, offer: WitnessOffer, data: bytes) -> CheckpointCosigned:
    """Check that the answer carries the site's cosignature of the head that it was shown.

    Raises:
        IntegrityError: IN117.
    """
    reply = decode_head(data)
    line = reply.cosignature if isinstance(reply, Cosigned) else None
    try:
        return cosigned_entry(site, key, offer, line or "")
    except IntegrityError:
        raise IntegrityError("IN117") from None


def _note_absent(campaign: Campaign, sites: list[str], failed: dict[str, str]) -> None:
    for site in sites:
        if failed.get(site) != "TR003":
            campaign.journal.note(Note("site.failed", site=site, code="TR003"))
        failed[site] = "TR003"


def _online(campaign: Campaign, sites: Collection[str]) -> set[str]:
    return set(sites) & campaign.network.online()


def _present(campaign: Campaign, sites: list[str], *, missing: int, deadline_s: float) -> set[str]:
    """Return the sites that are online, waiting while fewer than `missing` are."""
    present = _online(campaign, sites)
    while len(present) < min(missing, len(sites)) and campaign.waiting.now_s() < deadline_s:
        campaign.waiting.sleep(ONLINE_POLL_S)
        present = _online(campaign, sites)
    return present


def sites_present(campaign: Campaign, sites: Collection[str]) -> set[str]:
    """Return which sites are online now, and tell people who came or went."""
    return set(sites) & _note_presence(campaign)


def wait_for_sites(campaign: Campaign, sites: Collection[str], wanted: int) -> set[str]:
    """Return which sites are online, waiting up to the round's time limit while too few are."""
    deadline_s = campaign.waiting.now_s() + campaign.study.timing.round_timeout_s
    present = _present(campaign, sorted(sites), missing=wanted, deadline_s=deadline_s)
    _note_presence(campaign)
    return present


def wait_for_roster(campaign: Campaign) -> set[str]:
    """Wait until the whole roster is online or the wait is over; return who is there."""
    deadline_s = campaign.waiting.now_s() + campaign.site_wait_s
    while True:
        present = _note_presence(campaign)
        if len(present) == len(campaign.roster) or campaign.waiting.now_s() >= deadline_s:
            return present
        campaign.waiting.sleep(ONLINE_POLL_S)


def _note_presence(campaign: Campaign) -> set[str]:
    """Tell who came online or went offline since the last look; return who is there."""
    present = _online(campaign, campaign.roster)
    came, went = present - campaign.present, campaign.present - present
    if came or went:
        campaign.journal.note(
            *(Note("site.online", site=site) for site in sorted(came)),
            *(Note("site.offline", site=site) for site in sorted(went)),
        )
        campaign.present.clear()
        campaign.present.update(present)
    return present


def site_failures(campaign: Campaign, outcome: Outcome[T]) -> tuple[SiteFailed, ...]:
    """Write down for the log who gave no usable answer in the current phase and round."""
    state = campaign.journal.state
    return tuple(
        SiteFailed(
            study=campaign.digest,
            run=campaign.run,
            site=site,
            code=code,
            phase=cast("LogPhase", state.phase),
            round=state.round,
        )
        for site, code in outcome.failed.items()
    )


def require_minimum(campaign: Campaign, outcome: Outcome[T]) -> None:
    """Fail closed when fewer sites than the study's minimum gave a usable answer.

    Raises:
        CheckFailed: CK020, naming who is out and why.
    """
    minimum = campaign.study.qc.gate.min_sites
    if len(outcome.accepted) >= minimum:
        return
    state = campaign.journal.state
    campaign.journal.commit(
        Step(
            phase=cast("Phase", state.phase),
            round=state.round,
            replies=tuple(
                SiteReply(site, cast("ReplyPhase", state.phase), state.round, code=code)
                for site, code in outcome.failed.items()
            ),
            entries=(*outcome.cosigned, *site_failures(campaign, outcome)),
        )
    )
    out = ", ".join(f"{site} ({code})" for site, code in outcome.failed.items())
    raise CheckFailed(
        "CK020",
        f"{len(outcome.accepted)} of at least {minimum} sites can take part",
        why=f"out: {out or 'nobody else may take part'}",
    )

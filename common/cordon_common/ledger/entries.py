"""What may stand in a log: a closed set of versioned kinds, each with its own body.

An entry is the RFC 8785 JSON of `{seq, time, kind, body}`. A kind is never redefined; a change of
meaning is a new version. An unknown kind is refused, so that no log can carry what nobody checks.
No body holds patient data, counts of patients or names of staff.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from cordon_common.canonical import Json, canonical_bytes, parse_json
from cordon_common.enrolment import KeyText
from cordon_common.errors import IntegrityError
from cordon_common.ledger.body import Body
from cordon_common.ledger.offer import CosignatureText, NoteText
from cordon_common.ledger.probed import ProbeDone
from cordon_common.ledger.reviewed import ReviewDecided
from cordon_common.privacy.events import Event
from cordon_common.protocol.dictionary import Slug
from cordon_common.protocol.study import TrustModel
from cordon_common.signing import Envelope
from cordon_common.strict import StrictModel
from cordon_common.wire import Digest, RunId, Slot

Code = Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{3}$")]
Phase = Literal["enrol", "qc", "gate", "train", "evaluate", "close"]


# -- both logs -----------------------------------------------------------------------------------


class LedgerCreated(Body):
    """First entry of every log: whose it is and which key signs its heads."""

    KIND: ClassVar[str] = "ledger.created.v1"
    role: Literal["site", "coordinator"]
    name: Slug
    dataset: Slug | None = None
    key: KeyText


class LedgerUpgraded(Body):
    """The file's layout was brought to a newer version; no entry before this one was touched."""

    KIND: ClassVar[str] = "ledger.upgraded.v1"
    from_version: int = Field(ge=1)
    to_version: int = Field(ge=2)


class SiteOpened(Body):
    """The vault started, with these versions of the software."""

    KIND: ClassVar[str] = "site.opened.v1"
    software: dict[str, str]


class PolicySet(Body):
    """The hospital's policy from here on: its digest, and the parts that an auditor checks."""

    KIND: ClassVar[str] = "policy.set.v2"
    policy: Digest
    lifetime_epsilon: float = Field(gt=0)
    lifetime_delta: float = Field(gt=0, lt=1)
    lifetime_trust_model: TrustModel
    trusted_coordinators: tuple[KeyText, ...]


class PolicySetBefore(PolicySet):
    """The same from before policies named a trust model: the budget counted every release alone."""

    KIND: ClassVar[str] = "policy.set.v1"
    lifetime_trust_model: Literal["local"] = Field(default="local", exclude=True)


class DataRegistered(Body):
    """The data behind the ledger; `fingerprint` is keyed with a secret of the hospital."""

    KIND: ClassVar[str] = "data.registered.v1"
    dataset: Slug
    fingerprint: str = Field(pattern=r"^hmac-sha256:[0-9a-f]{64}$")


class StudyApproved(Body):
    """The hospital approved this signed study; `plan` is what it was told the study will cost."""

    KIND: ClassVar[str] = "study.approved.v1"
    study: Digest
    envelope: Envelope
    plan: Json
    approved_by: str = Field(default="", max_length=80)


class StudyClosed(Body):
    """No new release is made in this study."""

    KIND: ClassVar[str] = "study.closed.v1"
    study: Digest
    reason: Literal["finished", "withdrawn", "permit-ended"]


class ReleaseReserved(Body):
    """The budget of one release is spent, before anything is computed."""

    KIND: ClassVar[str] = "release.reserved.v1"
    slot: Slot
    request: Digest
    event: Event


class ReleaseSettled(Body):
    """The reserved release was computed, noised and handed out; `reserved` is the seq it settles."""

    KIND: ClassVar[str] = "release.settled.v1"
    reserved: int = Field(ge=0)
    slot: Slot
    release: Digest


class RequestRefused(Body):
    """A request was refused; `count` refusals with this study and code happened up to now.

    `study` is empty for a study that was never approved here. Only counts 1, 2, 4, 8, … are
    logged, so that a hostile peer cannot fill the disk.
    """

    KIND: ClassVar[str] = "request.refused.v1"
    study: Digest | None
    code: Code
    request: Digest
    count: int = Field(ge=1)


class QcVerdict(Body):
    """The coarse quality verdict that the study declares unprotected."""

    KIND: ClassVar[str] = "qc.verdict.v1"
    study: Digest
    run: RunId
    verdict: dict[str, Json]


class CheckpointWitnessed(Body):
    """The coordinator's log was seen at this head, had only grown, and was cosigned.

    checkpoint: the signed note (C2SP). coordinator: the key that signed it and the study. time_s:
    POSIX time in seconds that the cosignature states.
    """

    KIND: ClassVar[str] = "checkpoint.witnessed.v1"
    coordinator: KeyText
    checkpoint: NoteText
    time_s: int = Field(ge=0)


class CheckpointRefused(Body):
    """The coordinator's log could not be followed; `count` such refusals happened up to now.

    offered: the coordinator's signed note, where it was one; together with the last witnessed one
    it shows a fork to anybody. Only counts 1, 2, 4, 8, … are logged.
    """

    KIND: ClassVar[str] = "checkpoint.refused.v1"
    coordinator: KeyText
    code: Code
    offered: NoteText | None = None
    count: int = Field(ge=1)


class StudySigned(Body):
    """The coordinator signed this study."""

    KIND: ClassVar[str] = "study.signed.v1"
    study: Digest
    envelope: Envelope


class SiteEnrolled(Body):
    """A hospital was enrolled with this identity key."""

    KIND: ClassVar[str] = "site.enrolled.v1"
    site: Slug
    identity_key: KeyText


class SiteKeyRotated(Body):
    """A hospital replaced its SuperNode key; its identity stays. `serial` counts its keys."""

    KIND: ClassVar[str] = "site.key-rotated.v1"
    site: Slug
    identity_key: KeyText
    serial: int = Field(ge=1)


class SiteRevoked(Body):
    """A hospital's keys are refused from here on."""

    KIND: ClassVar[str] = "site.revoked.v1"
    site: Slug
    identity_key: KeyText


class CampaignStarted(Body):
    """A campaign (one run of a study) began, with these versions of the software."""

    KIND: ClassVar[str] = "campaign.started.v1"
    study: Digest
    run: RunId
    software: dict[str, str]


class CampaignResumed(Body):
    """A campaign went on after an interruption, at this phase and round."""

    KIND: ClassVar[str] = "campaign.resumed.v1"
    study: Digest
    run: RunId
    phase: Phase
    round: int = Field(ge=0)


class SiteDescribed(Body):
    """A site said that it takes part, and which initial weights the study implies."""

    KIND: ClassVar[str] = "site.described.v1"
    study: Digest
    run: RunId
    site: Slug
    weights: Digest
    software: dict[str, str]


class SumKeyReceived(Body):
    """A site's signed key for the masked sums of a run arrived; it holds until the next one."""

    KIND: ClassVar[str] = "sum-key.received.v1"
    study: Digest
    run: RunId
    site: Slug
    announcement: Envelope


class QcReceived(Body):
    """A site's coarse quality verdict arrived (its noised summary is a `release.received`)."""

    KIND: ClassVar[str] = "qc.received.v1"
    study: Digest
    run: RunId
    site: Slug
    verdict: dict[str, Json]


class GateDecided(Body):
    """Who may train: the sites let in, and the sites kept out with their reason codes."""

    KIND: ClassVar[str] = "gate.decided.v1"
    study: Digest
    run: RunId
    passed: bool
    included: tuple[Slug, ...]
    excluded: dict[Slug, tuple[str, ...]]


class RoundStarted(Body):
    """A training round was asked of these sites, on these weights."""

    KIND: ClassVar[str] = "round.started.v1"
    study: Digest
    run: RunId
    round: int = Field(ge=0)
    attempt: int = Field(ge=0)
    weights: Digest
    sites: tuple[Slug, ...]


class ReleaseReceived(Body):
    """A site's release arrived, with the site's signed receipt."""

    KIND: ClassVar[str] = "release.received.v1"
    site: Slug
    slot: Slot
    release: Digest
    receipt: Envelope


class UsedRelease(StrictModel):
    """One release that went into a result."""

    site: Slug
    release: Digest


class RoundAggregated(Body):
    """The round's releases were combined: which ones, and the weights before and after."""

    KIND: ClassVar[str] = "round.aggregated.v1"
    study: Digest
    run: RunId
    round: int = Field(ge=0)
    weights_in: Digest
    weights_out: Digest
    used: tuple[UsedRelease, ...]


class SiteFailed(Body):
    """A site did not answer, or answered with a code."""

    KIND: ClassVar[str] = "site.failed.v1"
    study: Digest
    run: RunId
    site: Slug
    code: Code
    phase: Phase
    round: int = Field(ge=0)


class EvaluationDone(Body):
    """The model was evaluated on these weights, from these releases."""

    KIND: ClassVar[str] = "evaluation.done.v1"
    study: Digest
    run: RunId
    weights: Digest
    used: tuple[UsedRelease, ...]


class CampaignClosed(Body):
    """The campaign ended; `weights` is the model that was kept, if there is one."""

    KIND: ClassVar[str] = "campaign.closed.v1"
    study: Digest
    run: RunId
    outcome: Literal["finished", "stopped", "failed"]
    weights: Digest | None = None


class CheckpointCosigned(Body):
    """A site checked the log at this head and cosigned it (C2SP tlog-cosignature)."""

    KIND: ClassVar[str] = "checkpoint.cosigned.v1"
    site: Slug
    size: int = Field(ge=1)
    root: Digest
    cosignature: CosignatureText


Kinds = dict[str, type[Body]]

_BOTH = (LedgerCreated, LedgerUpgraded)
_ABOUT_SITE = (SiteOpened, PolicySetBefore, PolicySet, DataRegistered, StudyApproved, StudyClosed)
_RELEASED = (ReleaseReserved, ReleaseSettled, RequestRefused, QcVerdict, ProbeDone)
_SITE = (*_BOTH, *_ABOUT_SITE, *_RELEASED, CheckpointWitnessed, CheckpointRefused)
_COORDINATOR = (
    *_BOTH,
    StudySigned,
    SiteEnrolled,
    SiteKeyRotated,
    SiteRevoked,
    CampaignStarted,
    CampaignResumed,
    SiteDescribed,
    SumKeyReceived,
    QcReceived,
    GateDecided,
    ReviewDecided,
    RoundStarted,
    ReleaseReceived,
    RoundAggregated,
    SiteFailed,
    EvaluationDone,
    CampaignClosed,
    CheckpointCosigned,
)
SITE_KINDS: Kinds = {body.KIND: body for body in _SITE}
COORDINATOR_KINDS: Kinds = {body.KIND: body for body in _COORDINATOR}


@dataclass(frozen=True)
class Entry:
    """One entry of a log: position, RFC 3339 time, and what it says."""

    seq: int
    time: str
    body: Body

    @property
    def kind(self) -> str:
        """The versioned name of what it says."""
        return self.body.KIND

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are hashed into the tree."""
        return canonical_bytes(
            {
                "seq": self.seq,
                "time": self.time,
                "kind": self.kind,
                "body": self.body.model_dump(mode="json"),
            }
        )


def parse_entry(data: bytes, kinds: Kinds) -> Entry:
    """Read an entry; only its one canonical form is accepted.

    Raises:
        IntegrityError: IN103 when the kind is unknown or the bytes are not a canonical entry.
    """
    value = parse_json(data)
    if not isinstance(value, dict) or set(value) != {"seq", "time", "kind", "body"}:
        raise IntegrityError("IN103", why="it has not exactly seq, time, kind and body")
    model = kinds.get(str(value["kind"]))
    if model is None:
        raise IntegrityError("IN103", why="its kind is not known to this version")
    try:
        entry = Entry(int(value["seq"]), str(value["time"]), model.model_validate(value["body"]))
    except (ValidationError, ValueError, TypeError):
        raise IntegrityError("IN103", why=f"its body is not a {model.KIND}") from None
    if entry.to_bytes() != data:
        raise IntegrityError("IN103", why="it is not in canonical form")
    return entry

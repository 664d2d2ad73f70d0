"""The entries of a log, sorted by what the checks ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cordon_common.errors import CordonError
from cordon_common.ledger.body import Body
from cordon_common.ledger.bundle import envelope_bytes
from cordon_common.ledger.entries import StudyApproved, StudySigned
from cordon_common.privacy.events import SecureSumRelease
from cordon_common.privacy.schedule import planned_events, smallest_sum, sum_sites
from cordon_common.protocol.parse import STUDY_TYPE, parse_model
from cordon_common.protocol.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_common.ledger.entries import Entry
    from cordon_common.privacy.events import Event
    from cordon_common.privacy.schedule import Schedule
    from cordon_common.signing import Envelope, PublicKey
    from cordon_common.wire import Slot

B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class SignedStudy:
    """A study that a log carries, read and checked; `problem` says why it cannot be trusted.

    seq: the entry that carries it. signer, study and schedule are None when they cannot be read.
    """

    seq: int
    digest: str
    envelope: Envelope
    signer: PublicKey | None = None
    study: Study | None = None
    schedule: Schedule | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Name and version, or the digest's beginning when the study cannot be read."""
        if self.study is None:
            return self.digest[:23] + "…"
        return f"{self.study.name} v{self.study.version}"

    @property
    def file_bytes(self) -> bytes:
        """The bytes under which a bundle must hold it."""
        return envelope_bytes(self.envelope)

    def planned(self, slot: Slot, sites: int | None = None) -> Event | None:
        """Return the event that the study implies for a slot.

        sites: how many take part in the attempt if it is a masked sum. None when the study cannot
        be read, or allows no sum over so many.
        """
        if self.schedule is None or self.study is None:
            return None
        plan = self.schedule
        if slot.phase != "train":
            return {"qc": plan.qc, "evaluate": plan.evaluation}[slot.phase]
        if sites is None:
            return plan.training
        if not smallest_sum(self.study) <= sites <= sum_sites(self.study):
            return None
        return plan.training_among(sites)


@dataclass
class View:
    """The entries of one log by kind, with the studies it carries by digest."""

    entries: tuple[Entry, ...]
    studies: dict[str, SignedStudy] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> View:
        """Sort a log's entries."""
        view = cls(tuple(entries))
        for entry in view.entries:
            if isinstance(entry.body, StudyApproved | StudySigned):
                view.studies.setdefault(entry.body.study, _study(entry.seq, entry.body))
        return view

    def all(self, kind: type[B]) -> list[tuple[Entry, B]]:
        """List the entries of one kind with their bodies, in order."""
        return [(entry, entry.body) for entry in self.entries if isinstance(entry.body, kind)]

    def as_planned(self, slot: Slot, event: Event) -> bool:
        """Tell whether an event is the one that the slot's study implies, and the log has it.

        Of a masked sum the number of sites is the attempt's; it decides the share of noise.
        """
        carried = self.studies.get(slot.study)
        sites = event.sites if isinstance(event, SecureSumRelease) else None
        return carried is not None and carried.planned(slot, sites) == event


def _study(seq: int, body: StudyApproved | StudySigned) -> SignedStudy:
    """Check signature, digest and form of a signed study."""
    envelope = body.envelope
    try:
        signer = envelope.verify(STUDY_TYPE)
        study = parse_model(Study, envelope.payload, code="PR001", what="it is not a valid study")
        if not study.digest == envelope.digest == body.study:
            return SignedStudy(seq, body.study, envelope, problem="its digest does not fit")
        schedule = planned_events(study)
    except CordonError as error:
        return SignedStudy(seq, body.study, envelope, problem=error.what)
    return SignedStudy(seq, body.study, envelope, signer, study, schedule)

"""The campaigns that a coordinator's log tells of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cordon_common.audit.views import View
from cordon_common.errors import CordonError
from cordon_common.ledger.body import Body
from cordon_common.ledger.entries import (
    CampaignClosed,
    ReleaseReceived,
    RoundStarted,
    SumKeyReceived,
)
from cordon_common.ledger.receipt import open_receipt
from cordon_common.signing import PublicKey
from cordon_common.wire import ReleaseRequest, SumRequest

if TYPE_CHECKING:
    from cordon_common.ledger.entries import Entry
    from cordon_common.ledger.receipt import Receipt
    from cordon_common.protocol.study import Study
    from cordon_common.signing import Envelope
    from cordon_common.wire import Request, Slot

B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Run:
    """One campaign of a study; `protocol` is None when the log lacks the signed study."""

    study: str
    run: str
    protocol: Study | None
    view: View

    def all(self, kind: type[B]) -> list[B]:
        """List what the campaign's entries of one kind say, in order."""
        return [body for _, body in self.view.all(kind)]

    @property
    def finished(self) -> bool:
        """Tell whether the campaign ended with a model."""
        return any(body.outcome == "finished" for body in self.all(CampaignClosed))

    def received(self, phase: str, number: int | None = None) -> set[tuple[str, str]]:
        """Return (site, release digest) of what came in a phase, or in one round of it."""
        return {
            (body.site, body.release)
            for body in self.all(ReleaseReceived)
            if body.slot.phase == phase and number in {None, body.slot.round}
        }

    def request(self, slot: Slot) -> Request | None:
        """Return the message, without its arrays, that the sites of a slot must have been asked.

        Of a masked sum it names the keys that the sites had announced by then. None when the log
        does not tell.
        """
        if slot.phase != "train" or self.protocol is None:
            return ReleaseRequest(slot=slot)
        if self.protocol.privacy.trust_model == "local":
            return ReleaseRequest(slot=slot)
        for entry, started in self.view.all(RoundStarted):
            if (started.round, started.attempt) == (slot.round, slot.attempt):
                keys = self._keys_before(entry.seq)
                if set(started.sites) <= set(keys):
                    return SumRequest(
                        slot=slot, roster=tuple(keys[site] for site in sorted(started.sites))
                    )
        return None

    def _keys_before(self, seq: int) -> dict[str, Envelope]:
        return {
            body.site: body.announcement
            for entry, body in self.view.all(SumKeyReceived)
            if entry.seq < seq
        }

    def receipt(self, body: ReleaseReceived) -> Receipt | str:
        """Return a genuine receipt of the roster's site, or what is wrong with it."""
        roster = self.protocol.roster if self.protocol else ()
        keys = [entry.key for entry in roster if entry.site == body.site]
        if not keys:
            return f"{body.site} is not on the roster"
        try:
            return open_receipt(body.receipt, PublicKey.parse(keys[0]))
        except CordonError as error:
            return f"{body.site}: {error.what}"


def runs_of(view: View) -> list[Run]:
    """Group a coordinator's entries by campaign, in the order of their first entries."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in view.entries:
        key = _key(entry.body)
        if key is not None:
            groups.setdefault(key, []).append(entry)
    return [_run(view, *key, entries) for key, entries in groups.items()]


def _run(view: View, study: str, run: str, entries: list[Entry]) -> Run:
    carried = view.studies.get(study)
    return Run(study, run, carried.study if carried else None, View(tuple(entries), view.studies))


def _key(body: Body) -> tuple[str, str] | None:
    if isinstance(body, ReleaseReceived):
        return body.slot.study, body.slot.run
    run = getattr(body, "run", None)
    study = getattr(body, "study", None)
    return (study, run) if isinstance(study, str) and isinstance(run, str) else None

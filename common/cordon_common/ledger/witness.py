"""A site as witness of its coordinator's log: checks what it is shown, cosigns it, keeps it.

Before every step the coordinator shows its log's signed head, the proof that the log only grew since
the head that this site cosigned last, and the entries about this site's last releases. A log that
was rewritten, rolled back, forked, or that leaves out a release is refused, and the refusal stands
in the site's ledger. The same entries show the site when its own ledger was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import CordonError, IntegrityError, PolicyRefused
from cordon_common.ledger.checkpoint import (
    cosign,
    cosigner_name,
    note_text,
    open_checkpoint,
    parse_checkpoint,
)
from cordon_common.ledger.entries import (
    COORDINATOR_KINDS,
    CheckpointRefused,
    CheckpointWitnessed,
    ReleaseReceived,
    SiteFailed,
    parse_entry,
)
from cordon_common.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from cordon_common.ledger.offer import hash_bytes
from cordon_common.ledger.receipt import open_receipt, root_text
from cordon_common.ledger.sights import FORKED
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.ledger.body import Body
    from cordon_common.ledger.charges import SiteState
    from cordon_common.ledger.checkpoint import Checkpoint
    from cordon_common.ledger.log import Log, Transaction
    from cordon_common.ledger.offer import Growth, Logged, WitnessOffer
    from cordon_common.ledger.receipt import Receipt
    from cordon_common.ledger.sights import Alarm, Sight, Sights
    from cordon_common.signing import SigningKey
    from cordon_common.wire import Slot


@dataclass(frozen=True)
class Asked:
    """What a request is about; slot: the release that it asks for, if it asks for one."""

    study: str
    run: str
    slot: Slot | None


@dataclass(frozen=True)
class Standing:
    """How a site stands to one coordinator's log. alarm: set when the log is refused now."""

    coordinator: PublicKey
    sight: Sight | None
    alarm: Alarm | None


class Witness:
    """Checks and cosigns the logs of the coordinators whose studies the site approved."""

    def __init__(self, log: Log, state: SiteState, key: SigningKey, site: str) -> None:
        self._log = log
        self._state = state
        self._key = key
        self._site = site

    def see(self, study: str, run: str, offer: WitnessOffer | None, slot: Slot | None) -> str:
        """Check an offer, note its head in the ledger, and return the cosignature's line.

        slot: the release that is being asked for, which the log cannot know yet.

        Raises:
            PolicyRefused: PO111 when the study is not approved in this ledger.
            IntegrityError: IN111 the log was forked or rewritten (two heads of one size), IN112 it
                does not continue what was seen last, IN113 it leaves out a release of this site,
                IN114 no signed head could be read, IN115 this site's own ledger was rolled back.
        """
        refusal = None
        with self._log.transaction() as transaction:
            approval = self._state.approvals.get(study)
            if approval is None:
                raise PolicyRefused("PO111")
            coordinator = approval.envelope.key
            try:
                shown = _shown(offer)
                point = self._check(coordinator, shown, Asked(study, run, slot))
                return self._keep(transaction, coordinator, point, shown.checkpoint)
            except IntegrityError as error:
                refusal = error
                self._refuse(transaction, coordinator, error.code, offer)
        raise refusal

    def standings(self) -> list[Standing]:
        """List the coordinators' logs that the site saw, and whether they are refused now."""
        with self._log.reading():
            sights = self._state.sights
            keys = sorted(sights.newest.keys() | sights.alarms.keys())
            return [
                Standing(PublicKey.parse(key), sights.newest.get(key), sights.alarm(key))
                for key in keys
            ]

    def cosigned_notes(self) -> dict[str, str]:
        """Return per coordinator's key the newest head as a note with this site's cosignature."""
        with self._log.reading():
            newest = dict(self._state.sights.newest)
        name = cosigner_name(self._site)
        return {
            key: sight.note + cosign(sight.checkpoint, name, self._key, sight.time_s)
            for key, sight in newest.items()
        }

    def holds(self, receipt: Receipt) -> bool:
        """Tell whether this ledger, as it stands, made a receipt: same release, same place."""
        with self._log.reading():
            record = self._state.slots.get(receipt.slot.key)
        settled = record.settlement if record else None
        return settled is not None and (
            settled.release_digest,
            settled.position.seq,
            settled.position.tree_size,
            root_text(settled.position.root),
        ) == (receipt.release_digest, receipt.seq, receipt.tree_size, receipt.root)

    def _check(self, coordinator: str, offer: WitnessOffer, asked: Asked) -> Checkpoint:
        if coordinator in self._state.sights.forked:
            raise IntegrityError(FORKED)
        point = _signed_head(offer, PublicKey.parse(coordinator))
        bodies = [_included(item, point) for item in offer.logged]
        self._check_own(bodies)
        _check_growth(self._state.sights, coordinator, point, offer.growths)
        last = self._state.last_settled(asked.study, asked.run, asked.slot)
        if last and not any(_tells(body, self._site, *one) for body in bodies for one in last):
            raise IntegrityError("IN113")
        return point

    def _check_own(self, bodies: Sequence[Body]) -> None:
        """Refuse when this ledger lacks a release for which this site once signed a receipt."""
        for body in bodies:
            if not isinstance(body, ReleaseReceived) or body.site != self._site:
                continue
            try:
                receipt = open_receipt(body.receipt, self._key.public)
            except IntegrityError:
                raise IntegrityError("IN113", why="a receipt in this name is forged") from None
            if not self.holds(receipt):
                raise IntegrityError("IN115")

    def _keep(
        self, transaction: Transaction, coordinator: str, point: Checkpoint, note: str
    ) -> str:
        """Note a head that is new, and cosign it; one seen before gets the same line again."""
        before = self._state.sights.heads.get((coordinator, point.size))
        time_s = before.time_s if before else int(self._log.clock().timestamp())
        if before is None:
            transaction.append(
                CheckpointWitnessed(coordinator=coordinator, checkpoint=note, time_s=time_s)
            )
        return cosign(point, cosigner_name(self._site), self._key, time_s)

    def _refuse(
        self, transaction: Transaction, coordinator: str, code: str, offer: WitnessOffer | None
    ) -> None:
        """Log the 1st, 2nd, 4th, 8th, … refusal, and the first proof of a fork in any case."""
        sights = self._state.sights
        count = sights.count_refusal(coordinator)
        fork = code == FORKED and coordinator not in sights.forked
        if fork or count >= 2 * sights.refusals(coordinator):
            offered = None if offer is None or code == "IN114" else offer.checkpoint
            transaction.append(
                CheckpointRefused(coordinator=coordinator, code=code, offered=offered, count=count)
            )


def _shown(offer: WitnessOffer | None) -> WitnessOffer:
    if offer is None:
        raise IntegrityError("IN114", why="the request shows none")
    return offer


def _signed_head(offer: WitnessOffer, coordinator: PublicKey) -> Checkpoint:
    try:
        origin = parse_checkpoint(note_text(offer.checkpoint)).origin
        return open_checkpoint(offer.checkpoint, origin, coordinator)
    except IntegrityError as error:
        raise IntegrityError("IN114", why=error.what) from None


def _included(item: Logged, point: Checkpoint) -> Body:
    """Return what a logged entry says, once it is proved to stand in the offered tree."""
    data = item.entry.encode()
    proof = hash_bytes(item.proof)
    if not verify_inclusion(leaf_hash(data), item.seq, point.size, proof, point.root):
        raise IntegrityError("IN113", why=f"entry {item.seq} is not in the tree that is shown")
    try:
        return parse_entry(data, COORDINATOR_KINDS).body
    except CordonError as error:
        raise IntegrityError("IN113", why=error.why or error.what) from None


def _check_growth(
    sights: Sights, coordinator: str, point: Checkpoint, growths: Sequence[Growth]
) -> None:
    """See that the offered head continues what was seen last, or was itself seen before."""
    newest = sights.newest.get(coordinator)
    if newest is None:
        return
    seen = newest.checkpoint
    if seen.origin != point.origin:
        raise IntegrityError(FORKED, why="one key signs two logs")
    before = sights.heads.get((coordinator, point.size))
    if before is not None:  # an older message may arrive late
        if before.checkpoint.root != point.root:
            raise IntegrityError(FORKED, why=f"two different trees of {point.size} entries")
        return
    for growth in growths:
        proof = hash_bytes(growth.proof)
        if growth.since == seen.size and verify_consistency(
            seen.size, point.size, seen.root, point.root, proof
        ):
            return
    raise IntegrityError("IN112", why=f"{seen.size} entries were seen, {point.size} are shown")


def _tells(body: Body, site: str, slot: Slot, release: str) -> bool:
    """Tell whether an entry says that a release arrived, or that it did not."""
    if isinstance(body, ReleaseReceived):
        return (body.site, body.slot, body.release) == (site, slot, release)
    if not isinstance(body, SiteFailed) or body.site != site:
        return False
    here = (body.study, body.run, body.phase) == (slot.study, slot.run, slot.phase)
    return here and (slot.phase != "train" or body.round == slot.round)

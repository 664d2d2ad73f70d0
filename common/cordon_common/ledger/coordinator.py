"""The coordinator's log: what it asked, received and combined, with every site's signed receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.ledger.entries import COORDINATOR_KINDS, LedgerCreated, parse_entry
from cordon_common.ledger.log import Log, LogSpec
from cordon_common.ledger.offers import OFFER_TABLE, Offers, Told
from cordon_common.ledger.upgrade import upgrade_log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_common.ledger.body import Body
    from cordon_common.signing import PublicKey, SigningKey


def coordinator_origin(name: str) -> str:
    """Return the name of a coordinator's log in checkpoints."""
    return f"cordon/coordinator/{name}"


class CoordinatorLog:
    """The open log of one coordinator; safe for threads and for several processes.

    It holds the coordinator's kinds of `entries` and nothing else. Its authority ends at the
    hospitals' ledgers: an audit holds every receipt in it against them.
    """

    def __init__(self, log: Log, key: SigningKey, name: str, told: Told) -> None:
        self._log = log
        self._key = key
        self.name = name
        self.offers = Offers(log, told)

    @classmethod
    def open(
        cls, path: Path, *, key: SigningKey, name: str, clock: Clock, create: bool = False
    ) -> CoordinatorLog:
        """Open the log and compute it again from its first entry; `create` makes a missing one.

        Raises:
            IntegrityError: IN101 to IN107, see `log.Log.open`.
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
        """
        told = Told()
        log = Log.open(path, _spec(key, name), key, clock, told.observe, create=create)
        return cls(log, key, name, told)

    @property
    def log(self) -> Log:
        """The log below, for export."""
        return self._log

    @property
    def public_key(self) -> PublicKey:
        """The key that signs the log's heads."""
        return self._key.public

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def append(self, body: Body) -> None:
        """Append one entry.

        Raises:
            IntegrityError: IN103 when it is not one of the coordinator's kinds.
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
        """
        self.append_all([body])

    def append_all(self, bodies: Sequence[Body]) -> None:
        """Append entries in one transaction: all of them or none; see `append` for the errors."""
        with self._log.transaction() as transaction:
            for body in bodies:
                transaction.append(body)

    def size(self) -> int:
        """Return the number of entries."""
        return self._log.size

    def bodies_from(self, seq: int) -> list[Body]:
        """Return what the entries from `seq` on say, in order."""
        return [parse_entry(data, COORDINATOR_KINDS).body for data in self._log.entries(seq)]

    def checkpoint(self) -> str:
        """Return the log's head as a signed note."""
        return self._log.checkpoint()


def upgrade_coordinator_log(
    path: Path, *, key: SigningKey, name: str, clock: Clock
) -> tuple[int, int]:
    """Bring a log of an older version to this one, see `log.upgrade_log`."""
    return upgrade_log(path, _spec(key, name), key, clock)


def _spec(key: SigningKey, name: str) -> LogSpec:
    genesis = LedgerCreated(role="coordinator", name=name, key=str(key.public))
    return LogSpec(
        coordinator_origin(name), genesis, COORDINATOR_KINDS, OFFER_TABLE, {1: OFFER_TABLE}
    )

"""What the coordinator shows each site of its log: made from the log alone, so a crash loses nothing.

A site that cosigned a head whose answer was lost has seen more than the log says. So every head that
was offered and not yet cosigned is kept in a side table, and the next offer grows from each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cordon_common.ledger.checkpoint import (
    cosigner_name,
    note_text,
    open_cosignature,
    parse_checkpoint,
)
from cordon_common.ledger.entries import CheckpointCosigned, ReleaseReceived, SiteFailed
from cordon_common.ledger.merkle import HashTree, leaf_hash
from cordon_common.ledger.offer import (
    MOST_GROWTHS,
    MOST_LOGGED,
    Growth,
    Logged,
    WitnessOffer,
    hash_texts,
)
from cordon_common.ledger.receipt import root_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from cordon_common.ledger.entries import Entry
    from cordon_common.ledger.log import Log, Position
    from cordon_common.signing import PublicKey

OFFER_TABLE = (
    "CREATE TABLE offered (site TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (site, size))"
    " STRICT, WITHOUT ROWID",
)

Run = tuple[str, str, str]
"""Study digest, run and site."""


@dataclass
class Told:
    """The log's entries, folded to what offers need: who cosigned how much, who was told what."""

    cosigned: dict[str, int] = field(default_factory=dict)
    last_received: dict[str, int] = field(default_factory=dict)
    in_run: dict[Run, list[int]] = field(default_factory=dict)

    def observe(self, entry: Entry, _position: Position) -> None:
        """Take in the next entry."""
        body = entry.body
        if isinstance(body, CheckpointCosigned):
            self.cosigned[body.site] = max(body.size, self.cosigned.get(body.site, 0))
        elif isinstance(body, ReleaseReceived):
            self.last_received[body.site] = entry.seq
            self.in_run[body.slot.study, body.slot.run, body.site] = [entry.seq]
        elif isinstance(body, SiteFailed):
            self.in_run.setdefault((body.study, body.run, body.site), []).append(entry.seq)

    def about(self, study: str, run: str, site: str) -> list[int]:
        """List the entries that a site may ask for: its last release and the failures after it."""
        found = set(self.in_run.get((study, run, site), [])[-MOST_LOGGED + 1 :])
        if site in self.last_received:
            found.add(self.last_received[site])
        return sorted(found)


class Offers:
    """Makes offers from an open log; safe for threads and for several processes."""

    def __init__(self, log: Log, told: Told) -> None:
        self._log = log
        self._told = told
        self._tree = HashTree()
        self._entries: list[bytes] = []

    def make(self, study: str, run: str, sites: Collection[str]) -> dict[str, WitnessOffer]:
        """Offer the log's head to sites, and remember that they may have seen it.

        Raises:
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
        """
        with self._log.transaction() as transaction:
            new, note = self._log.snapshot(self._tree.size)
            for data in new:
                self._tree.append(leaf_hash(data))
            self._entries += new
            offers = {}
            for site in sites:
                since = self._outstanding(transaction.connection, site)
                offers[site] = self._offer(note, since, self._told.about(study, run, site))
        return offers

    def _outstanding(self, connection: sqlite3.Connection, site: str) -> list[int]:
        """Return the sizes that a site may have seen last, newest first; keep the present one."""
        size, known = self._tree.size, self._told.cosigned.get(site, 0)
        connection.execute("DELETE FROM offered WHERE site = ? AND size <= ?", (site, known))
        connection.execute("INSERT OR IGNORE INTO offered VALUES (?, ?)", (site, size))
        rows = connection.execute(
            "SELECT size FROM offered WHERE site = ? AND size < ? ORDER BY size DESC LIMIT ?",
            (site, size, MOST_GROWTHS - 1),
        )
        return [*(int(row[0]) for row in rows), *([known] if known else [])]

    def _offer(self, note: str, since: list[int], logged: list[int]) -> WitnessOffer:
        size = self._tree.size
        return WitnessOffer(
            checkpoint=note,
            growths=tuple(
                Growth(since=old, proof=hash_texts(self._tree.consistency(old, size)))
                for old in since
                if old < size
            ),
            logged=tuple(
                Logged(
                    seq=seq,
                    entry=self._entries[seq].decode(),
                    proof=hash_texts(self._tree.inclusion(seq, size)),
                )
                for seq in logged
            ),
        )


def cosigned_entry(
    site: str, key: PublicKey, offer: WitnessOffer, cosignature: str
) -> CheckpointCosigned:
    """Check a site's cosignature over the head that it was offered, and say so for the log.

    Raises:
        IntegrityError: IN001 or IN105 when it is not that site's, over exactly that head.
    """
    point = parse_checkpoint(note_text(offer.checkpoint))
    open_cosignature(cosignature, point, cosigner_name(site), key)
    return CheckpointCosigned(
        site=site, size=point.size, root=root_text(point.root), cosignature=cosignature
    )

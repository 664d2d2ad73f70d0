"""An append-only, tamper-evident log in one SQLite file.

Each row holds an entry, the tree's root after it, and the signature of that head, written in one
transaction that is on the disk before the append returns. On opening, the whole tree is computed
again; a log that does not fit is not used. Several threads and processes may write: one at a time,
each after reading what the others wrote.

The journal is SQLite's rollback journal, not its write-ahead log: between transactions the log is
one complete file, so that a copied file can never silently miss the last entries.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cordon_common.clock import timestamp
from cordon_common.errors import CordonError, IntegrityError
from cordon_common.ledger.checkpoint import Checkpoint, note_from
from cordon_common.ledger.entries import Entry, parse_entry
from cordon_common.ledger.faults import sqlite_faults
from cordon_common.ledger.file import SCHEMA, connect, file_id, head_of, is_empty
from cordon_common.ledger.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_common.ledger.body import Body
    from cordon_common.ledger.entries import Kinds
    from cordon_common.signing import SigningKey


@dataclass(frozen=True)
class LogSpec:
    """What distinguishes one log from another.

    `origin` names it in checkpoints, `genesis` is its first entry, `kinds` what it may hold,
    `tables` further SQL that makes its side tables; `upgrades` names per version the SQL that
    brings a file of that version to the next.
    """

    origin: str
    genesis: Body
    kinds: Kinds
    tables: tuple[str, ...] = ()
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """Where an entry stands: its seq, and size and 32-byte root of the tree right after it."""

    seq: int
    tree_size: int
    root: bytes


class Transaction:
    """Appends that become visible, and durable, together."""

    def __init__(self, log: Log, connection: sqlite3.Connection, frontier: Frontier) -> None:
        self._log = log
        self.frontier = frontier
        self.connection = connection
        self.pending: list[tuple[Entry, Position]] = []

    def append(self, body: Body) -> Position:
        """Add an entry; it counts when the transaction ends without an error.

        Raises:
            IntegrityError: IN103 when the log does not hold entries of this kind.
        """
        if body.KIND not in self._log.kinds:
            raise IntegrityError("IN103", f"{body.KIND} does not belong into this log")
        entry = Entry(self.frontier.size, self._log.now(), body)
        data = entry.to_bytes()
        self.frontier.append(leaf_hash(data))
        position = Position(entry.seq, self.frontier.size, self.frontier.root())
        self.connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?)",
            (entry.seq, data, position.root, self._log.signhead_of(position)),
        )
        self.pending.append((entry, position))
        return position


class Log:
    """An open log; see the module for what it guarantees."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        spec: LogSpec,
        key: SigningKey,
        clock: Clock,
        observe: Callable[[Entry, Position], None],
    ) -> None:
        self._path = path
        self._connection = connection
        self._spec = spec
        self._key = key
        self._clock = clock
        self._observe = observe
        self._lock = threading.RLock()
        self._frontier = Frontier()
        self._file = file_id(path)

    @classmethod
    def open(
        cls,
        path: Path,
        spec: LogSpec,
        key: SigningKey,
        clock: Clock,
        observe: Callable[[Entry, Position], None],
        *,
        create: bool = False,
    ) -> Log:
        """Open a log and compute its tree again; `observe` is shown every entry in order.

        Raises:
            IntegrityError: IN101 names the first entry that does not fit the tree, IN102 when the
                head is not signed by this key, IN103 for an unknown or malformed entry, IN104 when
                the log is another one's, IN106 when there is none and `create` is off, IN116 when
                an older version wrote it.
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
        """
        with sqlite_faults(path):
            connection = connect(path, create=create)
            log = cls(path, connection, spec, key, clock, observe)
            try:
                log._prepare(create=create)
                log.check_whole()
            except BaseException:
                connection.close()
                raise
        return log

    def close(self) -> None:
        """Close the file; the log cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Hold the log for writing: what was written by others is read first.

        An error inside leaves the log as it was.

        Raises:
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
            IntegrityError: when the log changed under us (IN107 rolled back or forked, IN101).
        """
        with self._lock, sqlite_faults(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._catch_up()
                transaction = Transaction(self, self._connection, self._frontier.copy())
                yield transaction
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            # in this order, an interruption in between makes the next look fail, not forget
            for entry, position in transaction.pending:
                self._observe(entry, position)
            self._frontier = transaction.frontier

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the log for reading, with everything observed that any process has written."""
        with self._lock, sqlite_faults(self._path):
            if not self._connection.in_transaction:
                self._catch_up()
            yield self._connection

    def append(self, body: Body) -> Position:
        """Append one entry in its own transaction; see `transaction` for the errors."""
        with self.transaction() as transaction:
            return transaction.append(body)

    @property
    def kinds(self) -> Kinds:
        """The kinds of entries that the log may hold."""
        return self._spec.kinds

    @property
    def clock(self) -> Clock:
        """The clock that entries are dated with."""
        return self._clock

    @property
    def size(self) -> int:
        """The number of entries."""
        with self.reading():
            return self._frontier.size

    def entries(self, start: int = 0) -> list[bytes]:
        """Return the canonical bytes of the entries from `start` on, in order."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT entry FROM entry WHERE seq >= ? ORDER BY seq", (start,)
            )
            return [bytes(row[0]) for row in rows]

    def snapshot(self, start: int = 0) -> tuple[list[bytes], str]:
        """Return the entries from `start` on, and the checkpoint over exactly all up to them."""
        with self.reading() as connection:
            entries = self.entries(start)
            return entries, self.note(head_of(connection, start + len(entries)))

    def checkpoint(self) -> str:
        """Return the current head as a signed note (C2SP tlog-checkpoint)."""
        with self.reading() as connection:
            return self.note(head_of(connection))

    def now(self) -> str:
        """Return the clock's time as it is written into entries."""
        return timestamp(self._clock())

    def signhead_of(self, position: Position) -> bytes:
        """Sign the checkpoint text of a head."""
        return self._key.sign(_text(self._spec, position.tree_size, position.root).encode())

    def note(self, head: tuple[int, bytes, bytes]) -> str:
        """Write a head (size, root, signature) as a signed note."""
        size, root, signature = head
        return note_from(
            _text(self._spec, size, root), self._spec.origin, self._key.public, signature
        )

    def _prepare(self, *, create: bool) -> None:
        """Make the tables and the first entry in one transaction, or see that they are there."""
        self._connection.execute("BEGIN IMMEDIATE" if create else "BEGIN")
        try:
            if is_empty(self._connection, create=create):
                for statement in (*SCHEMA, *self._spec.tables):
                    self._connection.execute(statement)
                Transaction(self, self._connection, Frontier()).append(self._spec.genesis)
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def check_whole(self) -> None:
        """Compute the tree again from the first entry; see `open` for the errors."""
        first = self._connection.execute("SELECT entry FROM entry WHERE seq = 0").fetchone()
        if first is None:
            raise IntegrityError("IN101", "the log has no first entry")
        if _parse(0, first[0], self._spec.kinds).body != self._spec.genesis:
            raise IntegrityError("IN104")
        self._catch_up()
        size, root, signature = head_of(self._connection)
        try:
            self._key.public.verify(_text(self._spec, size, root).encode(), signature)
        except IntegrityError:
            raise IntegrityError(
                "IN102", f"the head after entry {size - 1} is not signed"
            ) from None

    def _catch_up(self) -> None:
        """Check and observe the entries that were written since the last look."""
        if file_id(self._path) != self._file:
            raise IntegrityError("IN107", "the log's file was replaced by another one")
        size = self._frontier.size
        rows = self._connection.execute(
            "SELECT seq, entry, root FROM entry WHERE seq >= ? ORDER BY seq", (max(size - 1, 0),)
        )
        if size:
            last = rows.fetchone()
            if last is None or last[2] != self._frontier.root():
                raise IntegrityError("IN107", f"entry {size - 1} is gone or is another one now")
        for seq, data, root in rows:
            frontier = self._frontier.copy()
            frontier.append(leaf_hash(data))
            expected = frontier.size - 1
            if seq != expected or frontier.root() != root:
                raise IntegrityError("IN101", f"entry {expected} does not fit the tree")
            self._observe(_parse(seq, data, self._spec.kinds), Position(seq, frontier.size, root))
            self._frontier = frontier

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                self._connection.execute("ROLLBACK")


def _text(spec: LogSpec, size: int, root: bytes) -> str:
    return Checkpoint(spec.origin, size, root).text


def note_at(log: Log, size: int) -> str:
    """Return the signed note of the head that a log had with `size` entries.

    Raises:
        ValueError: when it never had that size.
    """
    with log.reading() as connection:
        found = head_of(connection, size) if size else None
    if found is None or found[0] != size:
        raise ValueError("the log never had that size")
    return log.note(found)


def root_at(log: Log, size: int) -> bytes:
    """Return the 32-byte root that a log had with `size` entries.

    Raises:
        ValueError: when it never had that size.
    """
    with log.reading() as connection:
        row = connection.execute("SELECT root FROM entry WHERE seq = ?", (size - 1,)).fetchone()
    if row is None:
        raise ValueError("the log never had that size")
    return bytes(row[0])


def _parse(seq: int, data: bytes, kinds: Kinds) -> Entry:
    try:
        entry = parse_entry(data, kinds)
    except CordonError as error:
        raise IntegrityError("IN103", f"entry {seq} is not valid", why=error.why) from None
    if entry.seq != seq:
        raise IntegrityError("IN101", f"entry {seq} says that it is entry {entry.seq}")
    return entry

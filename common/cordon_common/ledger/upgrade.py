"""Bringing the file of an older version to this one: checked before, and no entry is touched."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cordon_common.ledger.entries import Entry, LedgerUpgraded
from cordon_common.ledger.faults import sqlite_faults
from cordon_common.ledger.file import SCHEMA_VERSION, connect, version_of
from cordon_common.ledger.log import Log, LogSpec, Position, Transaction
from cordon_common.ledger.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_common.signing import SigningKey


def upgrade_log(path: Path, spec: LogSpec, key: SigningKey, clock: Clock) -> tuple[int, int]:
    """Bring a file of an older version to this one; return both versions.

    In one transaction: the whole tree is checked, side tables are made, and an entry says so. No
    entry is touched, so every checkpoint and receipt of before stays true.

    Raises:
        As `Log.open`; IN104 when the file is of a newer version.
    """
    frontier = Frontier()

    def follow(entry: Entry, _position: Position) -> None:
        frontier.append(leaf_hash(entry.to_bytes()))

    with sqlite_faults(path), contextlib.closing(connect(path, create=False)) as connection:
        log = Log(path, connection, spec, key, clock, follow)
        connection.execute("BEGIN IMMEDIATE")  # rolled back when the file is closed before the end
        version = version_of(connection)
        log.check_whole()
        for old in range(version, SCHEMA_VERSION):
            for statement in spec.upgrades.get(old, ()):
                connection.execute(statement)
        if version != SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            upgraded = LedgerUpgraded(from_version=version, to_version=SCHEMA_VERSION)
            Transaction(log, connection, frontier).append(upgraded)
        connection.execute("COMMIT")
    return version, SCHEMA_VERSION

"""A coordinator at work: its folder, store and log, opened together and closed together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.clock import utc_now
from cordon_server.home import open_home, open_log
from cordon_server.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_common.ledger.coordinator import CoordinatorLog
    from cordon_server.home import CoordinatorHome
    from cordon_server.store import Store


@dataclass(frozen=True)
class Coordinator:
    """The open parts of a coordinator's folder."""

    home: CoordinatorHome
    store: Store
    log: CoordinatorLog
    clock: Clock = utc_now


@contextlib.contextmanager
def open_coordinator(root: Path, clock: Clock = utc_now) -> Iterator[Coordinator]:
    """Open a coordinator's folder; the whole log is checked first.

    Raises:
        UsageError: US020 when there is none; ProtocolError: PR002, PR004 for its settings.
        IntegrityError: IN002, or IN101 to IN107 when the log was changed.
        SystemFault: SY021 when the store cannot be used.
    """
    home = open_home(root)
    with contextlib.ExitStack() as stack:
        store = open_store(home.store_url)
        stack.callback(store.close)
        log = open_log(home, clock)
        stack.callback(log.close)
        yield Coordinator(home, store, log, clock)

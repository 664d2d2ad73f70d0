"""The hospital's policy while the vault runs: an edit of the file counts from the next request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cordon_client.vault.policy import load_policy
from cordon_common.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cordon_client.vault.policy import SitePolicy


class LivePolicy:
    """Reads the policy again when the file's bytes changed; fails closed while it is not valid."""

    def __init__(self, file: Path, policy: SitePolicy) -> None:
        self._file = file
        self._policy = policy
        self._data = b""
        self._lock = threading.Lock()
        self._announce: Callable[[SitePolicy], None] | None = None

    @classmethod
    def load(cls, file: Path) -> LivePolicy:
        """Read the policy for the first time.

        Raises:
            UsageError: US002 when it is missing; ProtocolError: PR004 when it is not valid.
        """
        return cls(file, load_policy(file))

    def announce(self, to: Callable[[SitePolicy], None]) -> None:
        """Tell of the policy that holds now, and of every later one before it holds."""
        self._announce = to
        to(self._policy)

    def now(self) -> SitePolicy:
        """Return the policy that the file states at this moment.

        Raises:
            UsageError: US002 when it is missing; ProtocolError: PR004 when it is not valid.
        """
        with self._lock:
            try:
                data = self._file.read_bytes()
            except OSError as error:
                raise UsageError(
                    "US002", "the policy cannot be read", why=error.strerror or ""
                ) from None
            if data != self._data:
                policy = load_policy(self._file)
                if policy != self._policy and self._announce is not None:
                    self._announce(policy)
                self._policy, self._data = policy, data
            return self._policy

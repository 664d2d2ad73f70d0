"""The hospital's keys for masked sums: made at enrolment, forgotten when training is over.

Per study one secret of 32 bytes (mode 0600) behind the keys of its runs. It survives a restart of
the vault, so that a round goes on with the keys that the others know; once it is forgotten nobody,
this hospital included, can take the masks off what left.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cordon_common.securesum.keys import key_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

_SECRET_BYTES = 32


class SumKeys:
    """The secrets in one folder; safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(self, study: str, run: str) -> X25519PrivateKey:
        """Return this site's key for a run of an approved study; made anew if it was forgotten."""
        path = self._path(study)
        while True:
            try:
                secret = path.read_bytes()
            except FileNotFoundError:
                self._make(path)
                continue
            return key_of_run(secret, study=study, run=run)

    def forget(self, study: str) -> None:
        """Forget the keys of all runs of a study; forgetting twice is harmless."""
        self._path(study).unlink(missing_ok=True)

    def _make(self, path: Path) -> None:
        """Write a new secret whole or not at all; whoever comes second keeps the first one's."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(_SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                return
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, study: str) -> Path:
        return self._folder / f"{study.removeprefix('sha256:')}.secret"

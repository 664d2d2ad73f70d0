"""Is a part of the site ready? Answered over the socket and a file, so that no port is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from cordon_client.home import SiteHome

ANSWER_S = 5.0


def check(home: SiteHome, part: str) -> str:
    """Say that a part is ready.

    vault: it answers on its socket that data, ledger and budget are there. gateway: it polled the
    coordinator a moment ago.

    Raises:
        UsageError: US001 for another part; CheckFailed: CK070 when it is not ready.
    """
    if part not in {"vault", "gateway"}:
        raise UsageError("US001", "--part is vault or gateway")
    ready = _vault_ready(home) if part == "vault" else _gateway_ready(home)
    if not ready:
        raise CheckFailed("CK070", f"the {part} is not ready")
    return f"the {part} is ready"


def _gateway_ready(home: SiteHome) -> bool:
    from cordon_client.gateway.heartbeat import is_beating

    return is_beating(home.gateway)


def _vault_ready(home: SiteHome) -> bool:
    from cordon_client.gateway.vault_client import VaultClient

    if not home.socket.exists():
        return False
    client = VaultClient(home.socket, timeout_s=ANSWER_S, connect_timeout_s=ANSWER_S)
    try:
        return client.ready()
    finally:
        client.close()

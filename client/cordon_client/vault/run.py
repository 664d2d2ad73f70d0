"""The vault's process: open everything, say when ready, serve until told to stop."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from cordon_client.vault.airlock import Airlock
from cordon_client.vault.service import serve_until_stopped, start_server
from cordon_client.vault.state import VaultState
from cordon_common.logs import configure

if TYPE_CHECKING:
    from cordon_client.home import SiteHome
    from cordon_common.clock import Clock

_LOG = logging.getLogger("cordon.vault")


def run_vault(home: SiteHome, *, clock: Clock) -> None:
    """Run the vault in the foreground until SIGTERM or SIGINT.

    Raises:
        CordonError: when configuration, keys, data or ledger are not fit to serve.
    """
    configure(sys.stderr)
    socket = home.socket
    state = VaultState(home, clock=clock)
    try:
        server = start_server(
            socket, Airlock(state), state.ready, cap_bytes=state.config.limits.message_bytes
        )
        _LOG.info("vault ready site=%s device=%s", state.site, state.config.performance.device)
        serve_until_stopped(server, socket)
    finally:
        state.ledger.close()
    _LOG.info("vault stopped")

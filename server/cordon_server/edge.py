"""What the proxy in front of the SuperLink is given: a certificate, its key and the CA; no more.

The proxy faces the network; the coordinator's signing key, store and tokens stay out of its reach.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from cordon_common.errors import UsageError
from cordon_server.transport.tls import create_client_certificate, create_server_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.clock import Clock
    from cordon_server.home import CoordinatorHome

PROXY_FILES = ("server.crt", "server.key", "ca.crt")


def publish(home: CoordinatorHome, folder: Path) -> None:
    """Copy the proxy's three files to its folder, the key with mode 0600; again is harmless."""
    folder.mkdir(parents=True, exist_ok=True)
    tls = home.tls
    for source in (tls.server_certificate, tls.server_key, tls.ca_certificate):
        part = folder / f".{source.name}.part"
        part.unlink(missing_ok=True)
        shutil.copyfile(source, part)
        part.chmod(0o600 if source == tls.server_key else 0o644)
        os.replace(part, folder / source.name)  # noqa: PTH105 - the proxy never reads half a file


def renew(home: CoordinatorHome, clock: Clock) -> None:
    """Make a new server certificate under the same CA; sites notice nothing."""
    create_server_certificate(home.tls, [home.settings.host], clock=clock)


def add_operator(home: CoordinatorHome, name: str, folder: Path, clock: Clock) -> Path:
    """Make the certificate and key by which one operator opens the control port; return it.

    Raises:
        UsageError: US003 when the operator has one already.
    """
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if certificate.exists() or key.exists():
        raise UsageError("US003", f"{certificate.name} exists already")
    create_client_certificate(home.tls, name, certificate, key, clock=clock)
    return certificate

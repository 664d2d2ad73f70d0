"""The sites over Flower's Grid: a node is a hospital because it holds the enrolled key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization

from cordon_common.errors import IntegrityError
from cordon_server.network import Answer
from cordon_server.transport import grid as transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flwr.serverapp import Grid

    from cordon_common.wire import Rpc

ONLINE = "online"


class FlowerNetwork:
    """A `SiteNetwork` over a Grid. keys: per site the enrolled SuperNode key (OpenSSH line)."""

    def __init__(self, grid: Grid, keys: Mapping[str, str]) -> None:
        self._grid = grid
        self._sites = {_subject_key(line.encode()): site for site, line in keys.items()}

    def online(self) -> frozenset[str]:
        """Name the sites whose gateway is connected now."""
        return frozenset(self._nodes())

    def ask(
        self, rpc: Rpc, requests: Mapping[str, bytes], timeout_s: float, shared: bytes = b""
    ) -> dict[str, Answer]:
        """Ask several sites at once; a site that went offline before sending counts as offline."""
        nodes = self._nodes()
        reachable = {nodes[site]: data for site, data in requests.items() if site in nodes}
        replies = transport.exchange(
            self._grid, reachable, shared=shared, rpc=rpc, timeout_s=timeout_s
        )
        answers: dict[str, Answer] = {}
        for site in requests:
            reply = replies.get(nodes[site]) if site in nodes else None
            if reply is None:
                answers[site] = Answer(code=transport.OFFLINE)
            elif isinstance(reply, transport.Failure):
                answers[site] = Answer(code=reply.code, elapsed_s=reply.elapsed_s)
            else:
                answers[site] = Answer(data=reply.data, elapsed_s=reply.elapsed_s)
        return answers

    def _nodes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for node in self._grid.get_nodes():
            if node.status != ONLINE:
                continue
            try:
                site = self._sites.get(_subject_key(node.public_key))
            except IntegrityError:
                continue
            if site is not None:
                found[site] = node.node_id
        return found


def _subject_key(data: bytes) -> bytes:
    """Return a public key as DER, whether it came as an OpenSSH line or as PEM.

    Raises:
        IntegrityError: IN002 when it is neither.
    """
    load = (
        serialization.load_ssh_public_key
        if data.startswith(b"ecdsa-")
        else serialization.load_pem_public_key
    )
    try:
        key = load(data)
    except ValueError:
        raise IntegrityError("IN002", "a site's public key cannot be read") from None
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

"""Control calls to the SuperLink over HTTPS: enrol nodes, start, watch and stop runs."""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from cordon_common.errors import IntegrityError, SystemFault, UnreachableError, error_for
from cordon_server.transport.guard import CONTROL_HEADER

_R = TypeVar("_R")
_T = TypeVar("_T")
_UNREGISTERED = "unregistered"


class ControlRefused(SystemFault):
    """The SuperLink answered a control call with an HTTP error."""

    def __init__(self, status: int) -> None:
        super().__init__("TR011", why=f"HTTP status {status}")
        self.status = status


@dataclass(frozen=True)
class NodeStatus:
    """One enrolled site: its Flower node id, its name, and whether its gateway is connected."""

    node_id: int
    name: str
    online: bool


@dataclass(frozen=True)
class RunState:
    """`status` is pending, starting, running or finished; `outcome` then completed, failed, stopped."""

    run_id: int
    status: str
    outcome: str
    details: str

    @property
    def finished(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self.status == "finished"


class _ControlToken:
    def __init__(self, token: str) -> None:
        self._token = token

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Show the token that the SuperLink's guard asks for."""
        context.request.headers[CONTROL_HEADER] = self._token
        return call_next(context)


class Control:
    """A connection to the SuperLink's Control API; use as a context manager."""

    def __init__(self, address: str, ca_certificate: Path, token: str) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every poll
        self._client = ControlHttpClient.from_server_address(
            address,
            insecure=False,
            root_certificates=ca_certificate.read_bytes(),
            interceptors=[_ControlToken(token)],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def enrol(self, public_line: str, name: str) -> int:
        """Register a SuperNode's public key (OpenSSH line) and return its node id.

        Enrolling the same key again, or from two processes at once, returns the id that it has.
        """
        public_key = _pem(public_line)
        if (known := self._node_id(public_key)) is not None:
            return known
        request = RegisterNodeRequest(public_key=public_key, name=name)
        try:
            return self._call(self._client.RegisterNode, request).node_id
        except ControlRefused:
            if (known := self._node_id(public_key)) is None:
                raise
            return known

    def withdraw(self, node_id: int) -> None:
        """Unregister a SuperNode; its key is then refused for ever."""
        self._call(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node_id))

    def withdraw_keys(self, public_lines: Collection[str]) -> int:
        """Unregister the SuperNodes of these public keys, where they are; return how many were."""
        keys = {_pem(line) for line in public_lines}
        listed = self._call(self._client.ListNodes, ListNodesRequest()).nodes_info if keys else ()
        ids = [n.node_id for n in listed if n.public_key in keys and n.status != _UNREGISTERED]
        for node_id in ids:
            self.withdraw(node_id)
        return len(ids)

    def nodes(self) -> list[NodeStatus]:
        """List the enrolled sites."""
        response = self._call(self._client.ListNodes, ListNodesRequest())
        return [
            NodeStatus(node.node_id, node.name, online=node.status == "online")
            for node in response.nodes_info
            if node.status != _UNREGISTERED
        ]

    def submit(self, bundle: bytes, run_config: Mapping[str, str]) -> int:
        """Start a run of a bundle (see `job.build_job`) and return its id."""
        request = StartRunRequest(
            fab=Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle),
            override_config=user_config_to_proto(dict(run_config)),
        )
        response = self._call(self._client.StartRun, request)
        if not response.HasField("run_id"):
            raise error_for("TR011")
        return response.run_id

    def run(self, run_id: int) -> RunState:
        """Return the state of a run."""
        response = self._call(self._client.ListRuns, ListRunsRequest(run_id=run_id))
        status = response.run_dict[run_id].status
        return RunState(run_id, status.status, status.sub_status, status.details)

    def unfinished_runs(self) -> list[RunState]:
        """List the runs that have not ended."""
        response = self._call(self._client.ListRuns, ListRunsRequest())
        states = [
            RunState(run_id, run.status.status, run.status.sub_status, run.status.details)
            for run_id, run in response.run_dict.items()
        ]
        return [state for state in states if not state.finished]

    def stop(self, run_id: int) -> None:
        """Stop a run; one that has ended already stays as it is."""
        try:
            self._call(self._client.StopRun, StopRunRequest(run_id=run_id))
        except ControlRefused:
            if not self.run(run_id).finished:
                raise

    def _node_id(self, public_key: bytes) -> int | None:
        for node in self._call(self._client.ListNodes, ListNodesRequest()).nodes_info:
            if node.public_key == public_key and node.status != _UNREGISTERED:
                return node.node_id
        return None

    def _call(self, method: Callable[[_R], _T], request: _R) -> _T:
        try:
            return method(request)
        except httpx.HTTPStatusError as error:
            raise ControlRefused(error.response.status_code) from None
        except httpx.TransportError as error:
            raise UnreachableError("NE001", why=type(error).__name__) from None


def _pem(public_line: str) -> bytes:
    try:
        key = serialization.load_ssh_public_key(public_line.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IntegrityError(
            "IN002", "the site's public key cannot be read", why=str(error)
        ) from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise IntegrityError("IN002", "the site's public key is of another kind")
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

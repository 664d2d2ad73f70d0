"""One exchange with the sites: a message each, replies as they come, failures as codes."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

RECORD: Final = "cordon"
SHARED_RECORD: Final = "cordon.shared"
SHARED_APART_FROM_BYTES: Final = 2**20
MESSAGE_TYPES: Final = {
    "describe": "query.describe",
    "qc": "query.qc",
    "receipts": "query.receipts",
    "train": "train",
    "evaluate": "evaluate",
}
POLL_MIN_S = 0.05
POLL_MAX_S = 0.2
HELD_S = 0.4
REJOIN_S = 8.0
_NODES_EVERY_S = 1.0
_CODE = re.compile(r"[A-Z]{2}[0-9]{3}")

TIMED_OUT, OFFLINE, GATEWAY_FAILED, NOT_SENT = "TR002", "TR003", "TR004", "TR005"
MALFORMED, LOST, NOT_AWAITED = "TR006", "TR009", "TR014"
# Flower's error codes (flwr.common.constant.ErrorCode); any other is the gateway's failure.
_NODE_UNAVAILABLE = 5
_ONLINE = "online"
_LOST_ON_THE_WAY = frozenset({3, 4})


@dataclass(frozen=True)
class Answer:
    """A site's reply and how long it took."""

    data: bytes
    elapsed_s: float


@dataclass(frozen=True)
class Failure:
    """Why there is no reply from a site: the vault's own code or one of the transport's."""

    code: str
    elapsed_s: float


Reply = Answer | Failure


def exchange(
    grid: Grid,
    requests: Mapping[int, bytes],
    *,
    rpc: str,
    timeout_s: float,
    shared: bytes = b"",
    minimum: int = 0,
) -> dict[int, Reply]:
    """Send each node its request and collect one reply per node, in the order of arrival.

    A site that goes offline is asked again when it is back within 8 s, and every site that is
    awaited when the SuperLink is back, which may have died with a message that it counts as
    delivered; asking again is safe because vaults answer repeats from their ledger. So that a site
    that is down does not cost these seconds in every round, ask only `online_nodes`. Ends early,
    with TR014 for the sites still awaited, once fewer than `minimum` answers can come. Every node
    of `requests` is in the result. `shared` is the end of every request.
    """
    return _Exchange(grid, requests, shared, rpc).run(timeout_s, minimum)


class _Exchange:
    def __init__(
        self,
        grid: Grid,
        requests: Mapping[int, bytes],
        shared: bytes,
        rpc: str,
    ) -> None:
        self._grid = grid
        self._requests = requests
        self._shared = shared
        self._rpc = rpc
        self._replies: dict[int, Reply] = {}
        self._sent: dict[str, int] = {}  # message id -> node id, all that may still be answered
        self._activated: dict[int, str] = {}
        self._offline_since: dict[int, float] = {}
        self._poll_s = 0.0
        self._interruptions = _interruptions(grid)
        self._started = time.monotonic()

    def run(self, timeout_s: float, minimum: int) -> dict[int, Reply]:
        self._activated = self._activations()
        self._send(list(self._requests), ttl_s=timeout_s + REJOIN_S)
        pause_s, next_look = POLL_MIN_S, self._elapsed() + _NODES_EVERY_S
        while self._awaited():
            if self._elapsed() > timeout_s:
                self._give_up(TIMED_OUT)
            elif self._possible() < minimum:
                self._give_up(NOT_AWAITED)
            elif self._pull():
                pause_s = POLL_MIN_S
            else:
                pause_s = self._pause(pause_s)
            if self._elapsed() > next_look:
                self._ask_rejoined(ttl_s=timeout_s)
                next_look = self._elapsed() + _NODES_EVERY_S
        return self._replies

    def _pause(self, pause_s: float) -> float:
        if self._poll_s < HELD_S:  # else the SuperLink has done the waiting
            time.sleep(pause_s)
        return min(pause_s * 1.3, POLL_MAX_S)

    def _activations(self) -> dict[int, str]:
        return {
            node.node_id: node.last_activated_at
            for node in self._grid.get_nodes()
            if node.node_id in self._requests and node.status == _ONLINE
        }

    def _send(self, nodes: list[int], ttl_s: float) -> None:
        messages = [
            Message(
                _records(self._rpc, self._requests[node], self._shared),
                dst_node_id=node,
                message_type=MESSAGE_TYPES[self._rpc],
                ttl=ttl_s,
            )
            for node in nodes
        ]
        message_ids = list(self._grid.push_messages(messages))
        for node, message_id in zip(nodes, message_ids, strict=False):
            if message_id:
                self._sent[message_id] = node
            else:
                self._record(node, Failure(NOT_SENT, self._elapsed()))
        for node in nodes[len(message_ids) :]:  # Flower gives no ids when the payload is too large
            self._record(node, Failure(NOT_SENT, self._elapsed()))

    def _pull(self) -> bool:
        if not self._sent:
            self._poll_s = 0.0
            return False
        arrived = False
        started = time.monotonic()
        messages = self._grid.pull_messages(list(self._sent))
        self._poll_s = time.monotonic() - started
        for message in messages:
            node = self._sent.pop(message.metadata.reply_to_message_id, None)
            if node is None or node in self._replies:
                continue
            arrived = True
            reply = _read(message, self._elapsed())
            if reply == Failure(OFFLINE, reply.elapsed_s):
                self._offline_since.setdefault(node, self._elapsed())
            else:
                self._record(node, reply)
        return arrived

    def _ask_rejoined(self, ttl_s: float) -> None:
        online = self._activations()
        interruptions = _interruptions(self._grid)
        rejoined = [
            node
            for node in self._awaited() & online.keys()
            if interruptions != self._interruptions
            or node in self._offline_since
            or self._activated.get(node) != online[node]
        ]
        self._interruptions = interruptions
        for node in rejoined:
            self._offline_since.pop(node, None)
        self._activated |= online
        if rejoined:
            self._send(rejoined, ttl_s)
        for node, since in list(self._offline_since.items()):
            if self._elapsed() - since > REJOIN_S:
                self._record(node, Failure(OFFLINE, self._elapsed()))

    def _record(self, node: int, reply: Reply) -> None:
        self._replies[node] = reply
        self._offline_since.pop(node, None)

    def _give_up(self, code: str) -> None:
        for node in self._awaited():
            late = OFFLINE if node in self._offline_since else code
            self._record(node, Failure(late, self._elapsed()))

    def _awaited(self) -> set[int]:
        return self._requests.keys() - self._replies.keys()

    def _possible(self) -> int:
        answers = sum(isinstance(reply, Answer) for reply in self._replies.values())
        return answers + len(self._awaited())

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def online_nodes(grid: Grid) -> set[int]:
    """Return the ids of the nodes whose gateways are connected now."""
    return {node.node_id for node in grid.get_nodes() if node.status == _ONLINE}


def _records(rpc: str, request: bytes, shared: bytes) -> RecordDict:
    """Return a message's records: what is shared by many sites and large goes apart.

    Flower stores a record once, however many messages hold it, but every record more of a message
    costs a request of its own.
    """
    if len(shared) < SHARED_APART_FROM_BYTES:
        return RecordDict({RECORD: ConfigRecord({"rpc": rpc, "request": request + shared})})
    return RecordDict(
        {
            RECORD: ConfigRecord({"rpc": rpc, "request": request}),
            SHARED_RECORD: ConfigRecord({"shared": shared}),
        }
    )


def _interruptions(grid: Grid) -> int:
    """Return how often a call had to be repeated; 0 for a grid that does not count."""
    count = getattr(grid, "interruptions", 0)
    return count if isinstance(count, int) else 0


def _read(message: Message, elapsed_s: float) -> Reply:
    if message.has_error():
        code = message.error.code
        if code == _NODE_UNAVAILABLE:
            return Failure(OFFLINE, elapsed_s)
        return Failure(LOST if code in _LOST_ON_THE_WAY else GATEWAY_FAILED, elapsed_s)
    record = message.content.config_records.get(RECORD, ConfigRecord())
    refusal, reply = record.get("refusal"), record.get("reply")
    if isinstance(refusal, str) and _CODE.fullmatch(refusal):
        return Failure(refusal, elapsed_s)
    if refusal is None and isinstance(reply, bytes):
        return Answer(reply, elapsed_s)
    return Failure(MALFORMED, elapsed_s)

"""Flower's grid, steady when the other ends of it die: never held up by a message that came in part.

Touches internals of `flwr.superlink.grid.HttpGrid` (flwr 1.41.0, pinned exactly). Flower's own
waits for the missing parts of a reply up to three minutes, whatever the time limit of the round,
although its sender may be dead; and gives up when a part that it repeats has already arrived.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import Error, Message, Metadata
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    inflate_object_from_contents,
    pull_objects,
)
from flwr.supercore.retry.retry_invoker import RetryState
from flwr.superlink.grid import HttpGrid

PUSH_ATTEMPTS = 3

_LOG = logging.getLogger(__name__)


@dataclass
class _Arriving:
    """A reply that was announced: its parts' ids in order, and those that have come."""

    message_id: str
    parts: list[str]
    contents: dict[str, bytes] = field(default_factory=dict)
    lost: bool = False


class SteadyGrid(HttpGrid):
    """`pull_messages` gives what is whole and comes back to the rest at the next call.

    `interruptions` counts the calls that had to be repeated; after one, a message that the
    SuperLink takes for delivered may be lost: see `grid.exchange`.
    """

    def __init__(self, address: str, *, root_certificates: bytes, token: str) -> None:
        super().__init__(address, root_certificates=root_certificates, token=token)
        self.interruptions = 0
        self._arriving: dict[str, _Arriving] = {}  # by the id of the message that it replies to
        self._told = self._retry_invoker.on_backoff
        self._retry_invoker.on_backoff = self._count

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the whole replies to these messages; a reply whose parts are lost is an error."""
        wanted = set(message_ids)
        self._arriving = {key: reply for key, reply in self._arriving.items() if key in wanted}
        if asked := wanted - self._arriving.keys():
            request = PullAppMessagesRequest(message_ids=asked)
            response = self._runtime_client.PullMessages(request)
            for announced, tree in zip(
                response.messages_list, response.message_object_trees, strict=True
            ):
                self._arriving[announced.metadata.reply_to_message_id] = _Arriving(
                    announced.metadata.message_id,
                    [node.object_id for node in iterate_object_tree(tree)],
                )
        return [message for key in list(self._arriving) if (message := self._take(key)) is not None]

    def _take(self, key: str) -> Message | None:
        """Fetch the parts that are there; return the message once it is whole, or known as lost."""
        reply = self._arriving[key]
        fetch = make_pull_object_fn_protobuf(
            self._runtime_client.PullObject, self.node, self.run.run_id
        )

        def keep(part: str) -> bytes:
            try:
                reply.contents[part] = fetch(part)
            except ObjectPullError:
                reply.lost = True
                raise
            return reply.contents[part]

        missing = [part for part in reply.parts if part not in reply.contents]
        try:
            pull_objects(missing, keep, max_tries_per_object=1)
        except ObjectPullError:
            return self._lost(key) if reply.lost else None
        del self._arriving[key]
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self.node, run_id=self.run.run_id, message_object_id=reply.message_id
            )
        )
        message = inflate_object_from_contents(reply.message_id, reply.contents)
        assert isinstance(message, Message)  # noqa: S101 - the announced object is a message
        message.metadata.__dict__["_message_id"] = reply.message_id
        return message

    def _lost(self, key: str) -> Message:
        del self._arriving[key]
        metadata = Metadata(
            run_id=self.run.run_id,
            message_id="",
            src_node_id=self.node.node_id,
            dst_node_id=self.node.node_id,
            message_type=SYSTEM_MESSAGE_TYPE,
            group_id="",
            ttl=0,
            reply_to_message_id=key,
            created_at=now().timestamp(),
        )
        return make_message(metadata=metadata, error=Error(code=ErrorCode.MESSAGE_UNAVAILABLE))

    def _try_push_messages(self, run_id: int, messages: Iterable[Message]) -> list[str]:
        """Push messages; one that was interrupted is pushed again, the parts that are there not."""
        messages = list(messages)
        for attempt in range(1, PUSH_ATTEMPTS + 1):
            try:
                return super()._try_push_messages(run_id, messages)
            except ObjectPushError:
                if attempt == PUSH_ATTEMPTS:
                    raise
                _LOG.warning("the SuperLink did not take a part; sending the message again")
        return []

    def _count(self, state: RetryState) -> None:
        self.interruptions += 1
        if self._told is not None:
            self._told(state)

"""A Flower Grid in memory: real Message objects and wire round trips, sites that a test scripts."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

OFFLINE_ERROR = 5


@dataclass
class Site:
    """One scripted site.

    `behave(message)` gives reply fields, an error code, or None for silence; a list of them is
    used up message by message. `activation` changes when the gateway starts again.
    """

    behave: Callable[[Message], dict | int | None]
    online: bool = True
    activation: int = 0


class FakeGrid(Grid):
    """Hands messages to scripted sites and their replies back, through Flower's serialisation."""

    def __init__(self, sites: dict[int, Site]) -> None:
        self.sites = sites
        self.received: list[Message] = []
        self.replies: dict[str, Message] = {}
        self.polls = 0
        self.on_poll: Callable[[int], None] = lambda _: None
        self.looks = 0
        self.on_look: Callable[[int], None] = lambda _: None

    def get_nodes(self):
        self.looks += 1
        self.on_look(self.looks)
        return [
            SimpleNamespace(node_id=n, status="online", last_activated_at=str(site.activation))
            for n, site in self.sites.items()
            if site.online
        ]

    def get_node_ids(self):
        return [node.node_id for node in self.get_nodes()]

    def push_messages(self, messages):
        return [self._push(message) for message in messages]

    def _push(self, message):
        if message.metadata.dst_node_id not in self.sites:
            return ""
        message.metadata.__dict__["_message_id"] = message.object_id
        arrived = message_from_proto(message_to_proto(message))
        self.received.append(arrived)
        site = self.sites[arrived.metadata.dst_node_id]
        outcome = site.behave(arrived) if site.online else OFFLINE_ERROR
        if isinstance(outcome, int):
            reply = Message(Error(code=outcome, reason="secret text"), reply_to=arrived)
            # An error that the SuperLink makes for a lost node has the SuperLink as its source.
            reply.metadata.__dict__["_src_node_id"] = 1
            self.replies[message.metadata.message_id] = reply
        elif outcome is not None:
            content = RecordDict({"cordon": ConfigRecord(outcome)})
            self.replies[message.metadata.message_id] = message_from_proto(
                message_to_proto(Message(content, reply_to=arrived))
            )
        return message.metadata.message_id

    def pull_messages(self, message_ids):
        self.polls += 1
        self.on_poll(self.polls)
        return [self.replies.pop(i) for i in list(message_ids) if i in self.replies]

    def send_and_receive(self, messages, *, timeout=None):
        raise NotImplementedError

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, *_, **__):
        raise NotImplementedError


@pytest.fixture
def fake_grid():
    """Builds a FakeGrid inside a Flower task, without which no message can be made."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    return lambda **sites: FakeGrid({int(n.removeprefix("n")): s for n, s in sites.items()})


def echo(message: Message) -> dict:
    return {"reply": message.content["cordon"]["request"]}


@pytest.fixture
def site():
    """Builds a scripted site; without a script it echoes."""
    return lambda behave=echo, **state: Site(behave, **state)

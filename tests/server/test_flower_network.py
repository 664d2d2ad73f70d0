"""The sites over a Grid: found by their keys, asked through Flower's messages, never confused."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from cordon_common.errors import CordonError, IntegrityError
from cordon_server.flower_network import FlowerNetwork
from cordon_server.transport import grid as transport


class HospitalGrid(Grid):
    """A Grid whose nodes are fake hospitals; node ids have nothing to do with names."""

    def __init__(self, hospitals):
        self.nodes = {100 + i: hospital for i, hospital in enumerate(hospitals)}
        self.offline = set()
        self.replies = {}
        self.strangers = []

    def get_nodes(self):
        known = [
            SimpleNamespace(
                node_id=node,
                status="offline" if node in self.offline else "online",
                last_activated_at="",
                public_key=pem(hospital.node_key),
            )
            for node, hospital in self.nodes.items()
        ]
        return known + self.strangers

    def get_node_ids(self):
        return [node.node_id for node in self.get_nodes() if node.status == "online"]

    def push_messages(self, messages):
        return [self.push(message) for message in messages]

    def push(self, message):
        message.metadata.__dict__["_message_id"] = message.object_id
        arrived = message_from_proto(message_to_proto(message))
        try:
            data = arrived.content["cordon"]["request"]
            fields = {"reply": self.nodes[arrived.metadata.dst_node_id].answer(data)}
        except CordonError as error:
            fields = {"refusal": error.code}
        reply = Message(RecordDict({"cordon": ConfigRecord(fields)}), reply_to=arrived)
        self.replies[message.object_id] = message_from_proto(message_to_proto(reply))
        return message.object_id

    def pull_messages(self, message_ids):
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


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def grid(federation, monkeypatch):
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    monkeypatch.setattr(transport, "POLL_MIN_S", 0.001)
    return HospitalGrid(federation.hospitals.values())


@pytest.fixture
def network(federation, grid):
    keys = {site.site: site.supernode_key for site in federation.store.sites()}
    return FlowerNetwork(grid, keys)


def test_a_whole_campaign_runs_over_flowers_messages(federation, network):
    running = federation.run(network)
    assert running.journal.state.status == "finished"
    assert all(len(record.sites) == 4 for record in running.journal.rounds())


def test_a_node_is_a_hospital_because_of_its_key(network, grid):
    assert network.online() == {"east", "north", "south", "west"}
    grid.offline.add(100)
    assert network.online() == {"east", "south", "west"}


def test_nodes_with_unknown_or_broken_keys_are_nobody(network, grid):
    stranger = pem(ec.generate_private_key(ec.SECP384R1()))
    grid.strangers = [
        SimpleNamespace(node_id=7, status="online", last_activated_at="", public_key=stranger),
        SimpleNamespace(node_id=8, status="online", last_activated_at="", public_key=b"rubbish"),
    ]
    assert network.online() == {"east", "north", "south", "west"}


def test_a_site_that_is_offline_is_answered_for_without_waiting(network, grid):
    grid.offline.add(101)
    started = time.monotonic()
    answers = network.ask("describe", {"north": b"x", "south": b"x"}, timeout_s=30)
    assert list(answers) == ["north", "south"]
    assert answers["south"].code == "TR003"
    assert answers["north"].code == "PR005"
    assert time.monotonic() - started < 5


def test_an_enrolled_key_that_cannot_be_read_is_a_coded_error(grid):
    with pytest.raises(IntegrityError) as caught:
        FlowerNetwork(grid, {"north": "ecdsa-sha2-nistp384 AAAA"})
    assert caught.value.code == "IN002"

"""A reply that comes in part never holds up the others, and an interrupted request is completed."""

import socket
from types import SimpleNamespace

import httpx
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from cordon_server.transport.steady_grid import PUSH_ATTEMPTS, SteadyGrid
from cordon_server.transport.tls import TlsFiles, create_ca


class FakeSuperLink:
    """The Runtime API over a dict: what is announced, and which parts are there."""

    def __init__(self):
        self.announced = {}  # id of the request -> (reply's metadata, object tree), given once
        self.parts = {}  # object id -> content; b"" when it is not there yet
        self.asked = []
        self.fetched = []
        self.confirmed = []
        self.pushed = []
        self.refused_pushes = 0

    def PullMessages(self, request):  # noqa: N802 - Flower's name
        self.asked.append(sorted(request.message_ids))
        found = [self.announced.pop(i) for i in request.message_ids if i in self.announced]
        return SimpleNamespace(
            messages_list=[message for message, _ in found],
            message_object_trees=[tree for _, tree in found],
        )

    def PullObject(self, request):  # noqa: N802
        self.fetched.append(request.object_id)
        content = self.parts.get(request.object_id)
        return SimpleNamespace(
            object_found=content is not None, object_available=bool(content), object_content=content
        )

    def ConfirmMessageReceived(self, request):  # noqa: N802
        self.confirmed.append(request.message_object_id)

    def PushMessages(self, request):  # noqa: N802
        ids = [message.metadata.message_id for message in request.messages_list]
        missing = [
            part
            for tree in request.message_object_trees
            for part in parts_of(tree)
            if part not in self.parts
        ]
        return SimpleNamespace(message_ids=ids, objects_to_push=missing, session_id="s")

    def PushObject(self, request):  # noqa: N802
        self.parts[request.object_id] = request.object_content
        self.pushed.append(request.object_id)
        refused = self.refused_pushes > 0  # stored, but the answer to the first try was lost
        self.refused_pushes -= refused
        return SimpleNamespace(stored=not refused)

    def announce(self, message, *, missing=()):
        """Announce a reply; `missing` are the positions of parts that are not there yet."""
        message.metadata.__dict__["_message_id"] = message.object_id
        contents = {i: o.deflate() for i, o in get_all_nested_objects(message).items()}
        for position, (part, content) in enumerate(contents.items()):
            self.parts[part] = b"" if position in missing else content
        tree = get_object_tree(message)
        light = message_to_proto(remove_content_from_message(message))
        self.announced[message.metadata.reply_to_message_id] = (light, tree)
        return contents

    def close(self):
        pass


def parts_of(tree):
    return [*(part for child in tree.children for part in parts_of(child)), tree.object_id]


@pytest.fixture
def superlink():
    return FakeSuperLink()


@pytest.fixture
def grid(superlink, tmp_path, monkeypatch):
    for name, value in (("_task_id", 1), ("_run_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)
    grid = SteadyGrid("127.0.0.1:1", root_certificates=b"", token="t")
    grid._client = superlink
    grid.set_run(Run.create_empty(1))
    return grid


def reply_to(grid, text):
    request = Message(RecordDict(), dst_node_id=7, message_type="train")
    request.metadata.__dict__["_message_id"] = f"{text:0<64}"
    return Message(RecordDict({"cordon": ConfigRecord({"reply": text})}), reply_to=request)


def texts(messages):
    return [message.content["cordon"]["reply"] for message in messages]


def test_a_whole_reply_is_given_and_confirmed_at_once(grid, superlink):
    reply = reply_to(grid, "a")
    superlink.announce(reply)
    assert texts(grid.pull_messages([reply.metadata.reply_to_message_id])) == ["a"]
    assert superlink.confirmed == [reply.metadata.message_id]


def test_a_reply_in_part_holds_up_nobody_and_is_given_when_it_is_whole(grid, superlink):
    whole, part = reply_to(grid, "a"), reply_to(grid, "b")
    superlink.announce(whole)
    contents = superlink.announce(part, missing={2})
    ids = [message.metadata.reply_to_message_id for message in (whole, part)]
    assert texts(grid.pull_messages(ids)) == ["a"]
    assert texts(grid.pull_messages(ids[1:])) == []
    superlink.parts |= contents
    superlink.fetched.clear()
    assert texts(grid.pull_messages(ids[1:])) == ["b"]
    first, *_, last = contents
    assert last in superlink.fetched
    assert first not in superlink.fetched  # what had come is not fetched twice
    assert superlink.asked == [sorted(ids)]  # nor is the SuperLink asked for it again


def test_a_reply_whose_parts_are_gone_is_an_error_for_its_request(grid, superlink):
    reply = reply_to(grid, "a")
    contents = superlink.announce(reply, missing={0})
    asked = reply.metadata.reply_to_message_id
    assert list(grid.pull_messages([asked])) == []
    del superlink.parts[next(iter(contents))]
    (lost,) = grid.pull_messages([asked])
    assert (lost.error.code, lost.metadata.reply_to_message_id) == (3, asked)
    assert list(grid.pull_messages([asked])) == []


def test_a_reply_that_nobody_waits_for_any_more_is_forgotten(grid, superlink):
    reply = reply_to(grid, "a")
    superlink.announce(reply, missing={0})
    grid.pull_messages([reply.metadata.reply_to_message_id])
    grid.pull_messages(["another"])
    assert grid._arriving == {}


def test_a_request_is_completed_when_the_answer_to_a_part_was_lost(grid, superlink):
    content = RecordDict({"cordon": ConfigRecord({"request": b"x"})})
    message = Message(content, dst_node_id=7, message_type="train")
    superlink.refused_pushes = 1
    (pushed,) = grid.push_messages([message])
    assert pushed == message.metadata.message_id
    assert set(superlink.pushed) == set(get_all_nested_objects(message))
    assert len(superlink.pushed) == len(set(superlink.pushed))


def test_a_request_that_the_superlink_never_takes_is_given_up(grid, superlink):
    message = Message(RecordDict(), dst_node_id=7, message_type="train")
    offered = []

    def refuse(request):
        offered.append(request.object_id)
        return SimpleNamespace(stored=False)

    superlink.PushObject = refuse
    with pytest.raises(ObjectPushError):
        grid.push_messages([message])
    assert len(offered) >= PUSH_ATTEMPTS


def test_it_counts_the_calls_that_it_had_to_repeat(tmp_path):
    create_ca(TlsFiles.at(tmp_path), name="test")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ca = TlsFiles.at(tmp_path).ca_certificate.read_bytes()
    grid = SteadyGrid(address, root_certificates=ca, token="t")
    grid._retry_invoker.max_tries = 3
    grid._retry_invoker.wait_function = lambda _: None
    with pytest.raises(httpx.ConnectError):
        grid.get_nodes()
    assert grid.interruptions == 2
    grid.close()

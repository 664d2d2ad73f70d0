"""Flower's internals are where this version expects them, and the gateway says so if they move."""

import ast
import inspect
import subprocess
import sys
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import Status
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal

from cordon_client.gateway import supernode
from cordon_client.gateway.supernode import Runtime
from cordon_common.errors import CordonError


def test_the_installed_flower_is_the_one_this_is_built_on():
    supernode.check_flower()


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(supernode, "version", lambda _: "1.42.0")
    with pytest.raises(CordonError) as refused:
        supernode.check_flower()
    assert refused.value.code == "TR001"
    assert "1.42.0" in refused.value.why


def test_a_moved_internal_name_is_named(monkeypatch):
    monkeypatch.delattr(start_client_internal, "time")
    with pytest.raises(CordonError) as refused:
        supernode.check_flower()
    assert refused.value.why == "flwr.supernode.start_client_internal.time is gone"


def test_lost_back_off_arguments_are_named(monkeypatch):
    monkeypatch.setattr(inflatable_utils.pull_objects, "__kwdefaults__", {})
    with pytest.raises(CordonError, match="TR001"):
        supernode.check_flower()


def test_the_supernodes_loop_uses_nothing_of_time_but_sleep():
    tree = ast.parse(inspect.getsource(start_client_internal))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    }
    assert used == {"sleep"}


@pytest.fixture
def runtime(monkeypatch):
    for name in ("task_id", "run_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1, raising=False)
    runtime = Runtime()
    runtime._state.set_node_id(7)
    return runtime


def receive_without_parts(runtime, run_id):
    """What Flower's SuperNode does with a message before its parts are there."""
    state = runtime._state
    message = Message(RecordDict({"c": ConfigRecord({"run": run_id})}), 7, "train")
    message.metadata.__dict__["_run_id"] = run_id
    message.metadata.__dict__["_message_id"] = message.object_id
    state.create_task(task_type=TaskType.CLIENT_APP, run_id=run_id, fab_hash="f")
    state.object_store.preregister(run_id, get_object_tree(message))
    state.store_message(remove_content_from_message(message))


def test_a_message_whose_run_ended_before_it_had_come_whole_is_not_handed_out(runtime):
    receive_without_parts(runtime, run_id=11)
    state = runtime._state
    assert [task.run_id for task in state.get_tasks(statuses=[Status.PENDING])] == [11]
    runtime.forget_incomplete()
    assert runtime.acquire() is None
    assert len(state.object_store) == 0
    assert not state.get_messages_legacy(run_ids=[11])


def test_the_supernode_forgets_incomplete_messages_whenever_it_has_none_to_answer():
    calls = []
    handover = SimpleNamespace(
        wait_for_message=lambda: calls.append("wait"),
        wait_for_reply=lambda _: calls.append("reply"),
    )
    runtime = SimpleNamespace(
        node_id=7,
        forget_incomplete=lambda: calls.append("forget"),
        keep_alive=lambda: None,
    )
    sleep = supernode._Sleep(handover, runtime, lambda _: None)
    sleep.sleep(0.5)
    sleep.sleep(3)
    assert calls == ["reply", "forget", "wait"]


def test_the_gateway_starts_light():
    """Import budget: within three seconds of CPU, without torch, pandas, SQL or a web server."""
    program = (
        "import sys, time; started = time.process_time()\n"
        "from cordon_client.gateway.node import leave_out_sql; leave_out_sql()\n"
        "import cordon_client.gateway.session\n"
        "heavy = {'torch', 'pandas', 'sqlalchemy', 'alembic', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(time.process_time() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 3.0


def test_the_supervisor_imports_neither_flower_nor_grpc():
    program = (
        "import sys, cordon_client.gateway.run\n"
        "assert not {'flwr', 'grpc', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

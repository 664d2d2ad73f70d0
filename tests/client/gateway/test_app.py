"""The ClientApp translates: Flower message in, vault call, Flower message out; codes, no texts."""

import inspect

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from cordon_client.gateway import app as app_module
from cordon_client.gateway.app import RECORD, app

MESSAGE_TYPES = {
    "describe": "query.describe",
    "qc": "query.qc",
    "receipts": "query.receipts",
    "train": "train",
    "evaluate": "evaluate",
}


@pytest.fixture(autouse=True)
def in_a_task():
    """Flower builds messages inside a task only."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    yield
    app_module._client.cache_clear()


@pytest.fixture
def context(vault):
    config = {"vault-socket": str(vault.socket_path), "vault-timeout-s": 10.0}
    return Context(run_id=1, node_id=7, node_config=config, state=RecordDict(), run_config={})


def ask(rpc, record):
    return Message(RecordDict(record), dst_node_id=7, message_type=MESSAGE_TYPES[rpc])


@pytest.mark.parametrize("rpc", MESSAGE_TYPES)
def test_each_message_type_is_one_vault_call(rpc, vault, context):
    vault.answer = lambda asked, request: asked.encode() + b"/" + request
    message = ask(rpc, {RECORD: ConfigRecord({"rpc": rpc, "request": b"weights"})})
    reply = app(message, context)
    assert dict(reply.content[RECORD]) == {"reply": rpc.encode() + b"/weights"}


def test_a_refusal_travels_as_its_code_only(vault, context):
    vault.answer = lambda *_: "PR003"
    message = ask("train", {RECORD: ConfigRecord({"rpc": "train", "request": b""})})
    assert dict(app(message, context).content[RECORD]) == {"refusal": "PR003"}


def test_no_text_of_an_unexpected_failure_leaves(monkeypatch, context):
    def explode(*_):
        raise RuntimeError("SECRET-patient-42")

    monkeypatch.setattr(app_module.VaultClient, "call", explode)
    message = ask("train", {RECORD: ConfigRecord({"rpc": "train", "request": b""})})
    reply = app(message, context)
    assert dict(reply.content[RECORD]) == {"refusal": "SY999"}
    assert "SECRET" not in repr(reply.content)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {RECORD: ConfigRecord({"rpc": "train"})},
        {RECORD: ConfigRecord({"rpc": "qc", "request": b"x"})},
        {RECORD: ConfigRecord({"rpc": "train", "request": "text"})},
        {RECORD: ArrayRecord()},
    ],
    ids=["empty", "no-request", "another-rpc", "text", "arrays"],
)
def test_a_message_that_is_not_ours_never_reaches_the_vault(record, vault, context):
    reply = app(ask("train", record), context)
    assert dict(reply.content[RECORD]) == {"refusal": "PR005"}
    assert vault.calls == []


def test_a_vault_that_is_down_is_a_code(context, monkeypatch):
    config = {"vault-socket": "/nonexistent/vault.sock", "vault-timeout-s": 1.0}
    context.node_config = config
    monkeypatch.setattr(
        app_module.VaultClient.__init__,
        "__kwdefaults__",
        {"connect_timeout_s": 0.2, "cap_bytes": 100},
    )
    message = ask("qc", {RECORD: ConfigRecord({"rpc": "qc", "request": b""})})
    assert dict(app(message, context).content[RECORD]) == {"refusal": "TR007"}


def test_the_handlers_only_translate():
    handlers = [getattr(app_module, rpc) for rpc in MESSAGE_TYPES]
    assert all(len(inspect.getsource(handler).splitlines()) <= 30 for handler in handlers)

"""The gateway asks the vault over a real socket and gets bytes or a code, never a text."""

import threading
import time

import pytest

from cordon_client.gateway.vault_client import RPCS, VaultClient
from cordon_common.errors import CordonError, ProtocolError
from cordon_common.rpc import vault_pb2


@pytest.fixture
def client(vault):
    client = VaultClient(vault.socket_path, 10.0, connect_timeout_s=5.0)
    yield client
    client.close()


def test_the_five_calls_reach_the_vault_and_bring_its_answer_back(vault, client):
    vault.answer = lambda rpc, request: rpc.encode() + b":" + request
    for rpc in sorted(RPCS):
        assert client.call(rpc, b"ask") == rpc.encode() + b":ask"
    assert sorted(vault.calls) == sorted(RPCS)


def test_the_calls_are_exactly_the_services_methods():
    (service,) = vault_pb2.DESCRIPTOR.services_by_name.values()
    assert {method.name.lower() for method in service.methods} == RPCS


def test_a_message_of_many_chunks_survives(client):
    request = bytes(range(256)) * 4096 * 5
    assert client.call("train", request) == request


def test_a_failure_arrives_as_the_vaults_own_code(vault, client):
    vault.answer = lambda *_: "PR001"
    with pytest.raises(ProtocolError) as failed:
        client.call("train", b"x")
    assert failed.value.code == "PR001"


def test_a_failures_text_is_dropped_when_it_is_not_a_code(vault, client):
    vault.answer = lambda *_: "patient 42 has no label"
    with pytest.raises(CordonError) as failed:
        client.call("train", b"x")
    assert failed.value.code == "SY999"
    assert "42" not in f"{failed.value} {failed.value.why} {failed.value.fix}"


def test_an_exception_in_the_vault_arrives_without_its_text(vault, client):
    def fail(*_):
        raise RuntimeError("SECRET")

    vault.answer = fail
    with pytest.raises(CordonError) as failed:
        client.call("train", b"x")
    assert "SECRET" not in f"{failed.value} {failed.value.why}"


def test_an_unknown_call_is_refused_without_asking(vault, client):
    with pytest.raises(ProtocolError, match="PR005"):
        client.call("shutdown", b"")
    assert vault.calls == []


def test_a_request_or_reply_over_the_cap_is_refused(vault):
    client = VaultClient(vault.socket_path, 10.0, cap_bytes=1000)
    with pytest.raises(ProtocolError, match="PR006"):
        client.call("train", b"x" * 1001)
    assert vault.calls == []
    vault.answer = lambda *_: b"y" * 1001
    with pytest.raises(ProtocolError, match="PR006"):
        client.call("train", b"x")
    client.close()


def test_an_absent_vault_gives_its_code_and_is_not_ready(tmp_path):
    client = VaultClient(tmp_path / "none.sock", 1.0, connect_timeout_s=0.3)
    assert not client.ready()
    with pytest.raises(CordonError, match="TR007"):
        client.call("describe", b"")
    client.close()


def test_a_serving_vault_is_ready(client):
    assert client.ready()


def test_a_vault_that_does_not_finish_in_time_gives_its_code(vault):
    released = threading.Event()

    def wait(_rpc, request):
        released.wait(10)
        return request

    vault.answer = wait
    client = VaultClient(vault.socket_path, 0.5)
    with pytest.raises(CordonError, match="TR008"):
        client.call("train", b"x")
    released.set()
    client.close()


def test_a_vault_that_restarts_during_a_call_is_asked_again(vault, client):
    first_call = threading.Event()

    def hang_once(_rpc, request):
        if not first_call.is_set():
            first_call.set()
            time.sleep(1.0)
        return request

    vault.answer = hang_once

    def restart():
        first_call.wait(5)
        vault.stop()
        time.sleep(0.3)
        vault.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    assert client.call("train", b"again") == b"again"
    restarting.join()
    assert vault.calls == ["train", "train"]


def test_a_vault_that_ends_while_it_says_that_it_is_there_is_waited_for(vault, client):
    asked = threading.Event()

    def hang_once():
        if not asked.is_set():
            asked.set()
            time.sleep(1.0)

    vault.on_check = hang_once

    def restart():
        asked.wait(5)
        vault.stop()
        time.sleep(0.3)
        vault.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    assert client.call("train", b"once") == b"once"
    restarting.join()
    assert vault.calls == ["train"]


def test_a_vault_that_dies_and_stays_away_is_given_up_in_time(vault):
    vault.on_check = lambda: threading.Thread(target=vault.stop).start() or time.sleep(1.0)
    client = VaultClient(vault.socket_path, 10.0, connect_timeout_s=1.0)
    started = time.monotonic()
    with pytest.raises(CordonError, match="TR007"):
        client.call("train", b"x")
    assert time.monotonic() - started < 5.0
    client.close()

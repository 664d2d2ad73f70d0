"""The supervisor waits, restarts, gives up with a code, and never runs twice in one folder."""

import subprocess
import sys
import threading
import time

import pytest

from cordon_client.gateway import node as node_module
from cordon_client.gateway import run
from cordon_client.gateway.node_key import create_node_key
from cordon_client.gateway.run import gateway_environment, run_gateway
from cordon_client.gateway.session import Outcome
from cordon_client.gateway.settings import GatewaySettings
from cordon_common.errors import CordonError, UnreachableError, error_for


@pytest.fixture
def settings(tmp_path):
    create_node_key(tmp_path / "key")
    return GatewaySettings(
        site="north",
        coordinator="127.0.0.1:9",
        ca_certificate=tmp_path / "ca.crt",
        node_key=tmp_path / "key",
        vault_socket=tmp_path / "vault.sock",
        home=tmp_path / "gateway",
    )


@pytest.fixture
def coordinator_is_up(monkeypatch):
    monkeypatch.setattr(run, "check_coordinator", lambda *_, **__: None)


@pytest.fixture
def node(monkeypatch):
    """Replaces the working process by a program that a test chooses; counts the starts."""

    class Node:
        program = "raise SystemExit(1)"
        starts = 0

    def start(_module, _settings, _environment):
        Node.starts += 1
        return subprocess.Popen([sys.executable, "-c", Node.program], stdin=subprocess.PIPE)

    monkeypatch.setattr(run, "start_child", start)
    return Node


def test_the_environment_sends_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("NO_PROXY", "hospital.example")
    monkeypatch.delenv("no_proxy", raising=False)
    environment = gateway_environment(tmp_path)
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert environment["FLWR_HOME"] == str(tmp_path / "flwr")
    assert environment["NO_PROXY"] == "hospital.example,127.0.0.1,localhost,::1"
    assert "PYTHONDONTWRITEBYTECODE" not in environment


def test_an_unreadable_key_ends_before_anything_starts(settings, node):
    settings.node_key.write_text("not a key")
    with pytest.raises(CordonError, match="IN002"):
        run_gateway(settings)
    assert node.starts == 0


def test_it_waits_for_a_coordinator_that_is_not_up_and_stops_at_once_when_told(
    settings, monkeypatch, node
):
    asked = []

    def not_up(*_, **__):
        asked.append(time.monotonic())
        raise error_for("NE001")

    monkeypatch.setattr(run, "check_coordinator", not_up)
    stop = threading.Event()
    gateway = threading.Thread(target=run_gateway, args=(settings,), kwargs={"stop": stop})
    gateway.start()
    deadline = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    gateway.join(2.0)
    assert not gateway.is_alive()
    assert len(asked) >= 3
    assert node.starts == 0


@pytest.mark.parametrize("code", ["NE003", "NE004"])
def test_a_coordinator_that_is_not_to_be_trusted_ends_it(code, settings, monkeypatch, node):
    def refuse(*_, **__):
        raise error_for(code)

    monkeypatch.setattr(run, "check_coordinator", refuse)
    with pytest.raises(UnreachableError, match=code):
        run_gateway(settings)
    assert node.starts == 0


@pytest.mark.parametrize(
    ("status", "code"), [(Outcome.UNKNOWN_KEY, "NE005"), (Outcome.WRONG_FLOWER, "TR001")]
)
def test_what_a_restart_cannot_mend_ends_it_with_a_code(
    status, code, settings, node, coordinator_is_up
):
    node.program = f"raise SystemExit({int(status)})"
    with pytest.raises(CordonError, match=code):
        run_gateway(settings)
    assert node.starts == 1


def test_a_key_that_is_not_enrolled_yet_is_tried_again_for_as_long_as_asked(
    settings, node, coordinator_is_up
):
    node.program = f"raise SystemExit({int(Outcome.UNKNOWN_KEY)})"
    with pytest.raises(CordonError, match="NE005"):
        run_gateway(settings.model_copy(update={"enrolment_wait_s": 1.0}))
    assert node.starts > 1


def test_a_process_that_keeps_crashing_ends_it(settings, node, coordinator_is_up, monkeypatch):
    monkeypatch.setattr(run, "_WAIT_MIN_S", 0.01)
    with pytest.raises(CordonError, match="TR012"):
        run_gateway(settings)
    assert node.starts == run.MAX_CRASHES


def test_a_lost_connection_is_no_crash(settings, node, coordinator_is_up, monkeypatch):
    monkeypatch.setattr(run, "_WAIT_MIN_S", 0.01)
    node.program = f"raise SystemExit({int(Outcome.LOST)})"
    stop = threading.Event()
    gateway = threading.Thread(target=run_gateway, args=(settings,), kwargs={"stop": stop})
    gateway.start()
    deadline = time.monotonic() + 20
    while node.starts <= run.MAX_CRASHES + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    gateway.join(5.0)
    assert node.starts > run.MAX_CRASHES + 1


def test_a_second_gateway_in_the_same_folder_is_refused(settings, node, coordinator_is_up):
    node.program = "import sys; sys.stdin.read()"
    stop = threading.Event()
    first = threading.Thread(target=run_gateway, args=(settings,), kwargs={"stop": stop})
    first.start()
    deadline = time.monotonic() + 10
    while node.starts == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        with pytest.raises(CordonError, match="TR013"):
            run_gateway(settings)
    finally:
        stop.set()
        first.join(10.0)
    assert node.starts == 1


def test_the_statuses_of_both_processes_are_the_same_numbers():
    assert (run._LOST, run._UNKNOWN_KEY, run._WRONG_FLOWER) == (
        Outcome.LOST,
        Outcome.UNKNOWN_KEY,
        Outcome.WRONG_FLOWER,
    )
    assert node_module.WRONG_FLOWER == Outcome.WRONG_FLOWER


def test_a_part_of_flower_that_cannot_be_imported_is_told_apart_from_a_crash(
    settings, monkeypatch, capsys
):
    monkeypatch.setattr(node_module, "end_with_parent", lambda: settings.model_dump_json().encode())
    monkeypatch.setattr(node_module, "leave_out_sql", lambda: None)
    monkeypatch.setitem(sys.modules, "cordon_client.gateway.session", None)
    assert node_module.main() == Outcome.WRONG_FLOWER
    assert "TR001" in capsys.readouterr().err


def test_settings_survive_the_way_to_the_working_process(settings):
    assert GatewaySettings.model_validate_json(settings.model_dump_json()) == settings

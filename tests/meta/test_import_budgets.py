"""Starting is quick, and each process holds only what its side may hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HELP_SECONDS = 0.5
GATEWAY_SECONDS = 3.0
CORDON = Path(sys.executable).with_name("cordon")


def cpu_seconds(command):
    """User and system time of a command: what starting costs, whatever else the machine does."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return (
        after.children_user - before.children_user + after.children_system - before.children_system
    )


def modules_after(statement):
    """Names of all modules that a fresh interpreter holds after a statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_help_answers_in_under_half_a_second():
    times = sorted(cpu_seconds([CORDON, "--help"]) for _ in range(5))
    assert times[2] < HELP_SECONDS, times


@pytest.mark.parametrize("command", ["site", "study", "coordinator", "audit", "demo"])
def test_a_commands_help_does_not_wait_for_torch(command):
    times = sorted(cpu_seconds([CORDON, command, "--help"]) for _ in range(3))
    assert times[0] < GATEWAY_SECONDS, times


def test_the_gateways_app_is_ready_in_three_seconds():
    times = [cpu_seconds([sys.executable, "-c", "import cordon_client.gateway.app"]) for _ in "123"]
    assert min(times) < GATEWAY_SECONDS, times


def test_the_gateway_holds_neither_torch_nor_any_room_of_the_vault():
    held = modules_after("import cordon_client.gateway.app, cordon_client.gateway.executor")
    assert held.isdisjoint({"torch", "opacus", "pandas", "sklearn"})
    rooms = ("cordon_client.vault", "cordon_client.training", "cordon_client.qc")
    assert not [name for name in held if name.startswith((*rooms, "cordon_client.models"))]


def test_the_vault_holds_no_means_to_speak_to_the_coordinator():
    held = modules_after("import cordon_client.vault.run, cordon_client.vault.service")
    assert held.isdisjoint({"flwr", "httpx", "requests", "cordon_common.probe"})
    assert "cordon_client.gateway.supernode" not in held


def test_the_coordinators_app_holds_no_torch_and_nothing_of_the_hospital():
    held = modules_after("import cordon_server.app")
    assert held.isdisjoint({"torch", "opacus", "pandas", "sklearn"})
    assert not [name for name in held if name.startswith("cordon_client")]


def test_what_an_auditor_runs_holds_neither_torch_nor_flower(shipped):
    names = [
        source.name.removeprefix("common/").removesuffix(".py").replace("/", ".")
        for source in shipped
        if source.name.startswith("common/") and not source.name.endswith("__init__.py")
    ]
    held = modules_after("import " + ", ".join(names))
    assert held.isdisjoint({"torch", "opacus", "pandas", "sklearn", "flwr", "sqlalchemy"})
    assert not [name for name in held if name.startswith(("cordon_client", "cordon_server"))]

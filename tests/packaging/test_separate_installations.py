"""An auditor installs one distribution, a coordinator two: real environments, real wheels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for side in ("common", "server"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=ROOT / side,
            check=True,
            capture_output=True,
        )
    return folder


def install(folder, wheels, name):
    """A fresh environment that holds one distribution and what it needs; its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [*pip, "install", "-q", "-c", str(constraints), "--find-links", str(wheels), name],
        check=True,
    )
    listed = subprocess.run(
        [*pip, "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    return folder / "bin", {each["name"].lower() for each in json.loads(listed.stdout)}


def run(*command):
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.timeout(600)
def test_an_auditor_with_common_alone_can_verify(wheels, tmp_path):
    bin_folder, installed = install(tmp_path / "venv", wheels, "cordon-common")
    assert "cordon-common" in installed
    assert installed.isdisjoint({"torch", "flwr", "opacus", "pandas", "cordon-client"})
    assert "verify" in run(bin_folder / "cordon", "audit", "--help")
    assert "BUNDLE" in run(bin_folder / "cordon", "audit", "verify", "--help")
    offered = run(bin_folder / "cordon", "--help")
    assert "audit" in offered
    assert "site" not in offered.split()


@pytest.mark.timeout(600)
def test_a_coordinator_works_without_torch(wheels, tmp_path):
    bin_folder, installed = install(tmp_path / "venv", wheels, "cordon-server")
    assert {"cordon-server", "cordon-common", "flwr"} <= installed
    assert installed.isdisjoint({"torch", "opacus", "pandas", "cordon-client"})
    assert "launch" in run(bin_folder / "cordon", "study", "--help")
    run(bin_folder / "python", "-c", "import cordon_server.app, cordon_server.cli.coordinator")
    initialised = run(bin_folder / "cordon", "coordinator", "--help")
    assert "init" in initialised

"""An auditor installs one distribution, a coordinator two: real environments, real wheels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cordon_client.vault.policy import load_policy, policy_entry
from cordon_common.audit.verify import verify_bundles
from cordon_common.clock import utc_now
from cordon_common.ledger.bundle import export_site_bundle
from cordon_common.ledger.site import SiteLedger
from cordon_common.signing import SigningKey

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


def run(*command, status=0):
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == status, answer.stderr
    return answer.stdout + answer.stderr if status else answer.stdout


@pytest.fixture
def bundle(tmp_path):
    """The bundle of a real ledger whose hospital has set its policy and released nothing yet."""
    policy = load_policy(ROOT / "configs" / "policies" / "standard.yaml")
    key = SigningKey.generate()
    ledger = SiteLedger.open(
        tmp_path / "ledger.db", key=key, site="north", dataset="main", clock=utc_now, create=True
    )
    ledger.record(policy_entry(policy))
    export_site_bundle(ledger, tmp_path / "north.zip", policy=policy.model_dump(mode="json"))
    ledger.close()
    return tmp_path / "north.zip"


@pytest.mark.timeout(600)
def test_an_auditor_with_common_alone_reaches_the_same_verdict(wheels, bundle, tmp_path):
    bin_folder, installed = install(tmp_path / "venv", wheels, "cordon-common")
    assert "cordon-common" in installed
    assert installed.isdisjoint({"torch", "flwr", "opacus", "pandas", "cordon-client"})
    expected = json.loads(json.dumps(verify_bundles([bundle]).as_json()))
    status = 0 if expected["verdict"] == "PASS" else 1
    verify = [str(bin_folder / "cordon"), "audit", "verify", str(bundle), "--json"]
    answer = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert answer.returncode == status, answer.stderr
    assert json.loads(answer.stdout) == expected
    assert "pip install cordon-client" in run(bin_folder / "cordon", "site", "doctor", status=2)


@pytest.mark.timeout(600)
def test_a_coordinator_works_without_torch(wheels, tmp_path):
    bin_folder, installed = install(tmp_path / "venv", wheels, "cordon-server")
    assert {"cordon-server", "cordon-common", "flwr"} <= installed
    assert installed.isdisjoint({"torch", "opacus", "pandas", "cordon-client"})
    assert "launch" in run(bin_folder / "cordon", "study", "--help")
    run(bin_folder / "python", "-c", "import cordon_server.app, cordon_server.cli.coordinator")
    initialised = run(bin_folder / "cordon", "coordinator", "--help")
    assert "init" in initialised

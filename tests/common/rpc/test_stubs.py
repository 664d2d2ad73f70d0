"""The committed stubs are exactly what the proto file generates."""

import importlib.util
from pathlib import Path

import pytest

from cordon_common.rpc.vault_pb2 import DESCRIPTOR

ROOT = Path(__file__).resolve().parents[3]
RPC_DIR = ROOT / "common" / "cordon_common" / "rpc"


@pytest.fixture
def generator():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "tools" / "generate_stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_regenerating_the_stubs_gives_the_committed_bytes(generator, tmp_path):
    generator.generate(tmp_path)
    assert generator.STUBS
    for name in generator.STUBS:
        assert (tmp_path / name).read_bytes() == (RPC_DIR / name).read_bytes(), (
            f"{name} is stale: run tools/generate_stubs.py"
        )


def test_the_service_offers_the_five_calls_and_nothing_else():
    (service,) = DESCRIPTOR.services_by_name.values()
    assert service.full_name == "cordon.vault.v1.Vault"
    assert [method.name for method in service.methods] == [
        "Describe",
        "Qc",
        "Train",
        "Evaluate",
        "Receipts",
    ]

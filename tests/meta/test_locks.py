"""What the images install is what the workspace is tested with, wheel by wheel."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "docker" / "locks").glob("*.txt"))
CUDA = re.compile(r"nvidia-|cuda-|triton$")
LINE = re.compile(r"([a-z0-9-]+)==([\w.+!-]+) --hash=sha256:[0-9a-f]{64}")


def pins(path):
    """Name → version, without a local part such as torch's build."""
    lines = [x for x in path.read_text().splitlines() if x and not x.startswith("#")]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), path.name
    return {match[1]: match[2].partition("+")[0] for match in matches if match}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_locked_wheel_is_the_pinned_version(lock):
    text = (ROOT / "constraints.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.M))
    known = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    foreign = {n: v for n, v in pins(lock).items() if known.get(n) != v}
    if lock.stem == "vault-cuda":  # torch's CUDA build names these itself, the workspace has none
        foreign = {n: v for n, v in foreign.items() if not CUDA.match(n)}
    assert foreign == {}


def test_the_cuda_vault_is_the_vault_with_another_build_of_torch():
    plain, cuda = (pins(ROOT / "docker" / "locks" / f"{n}.txt") for n in ("vault", "vault-cuda"))
    assert {n: v for n, v in cuda.items() if not CUDA.match(n)} == plain
    assert "+cpu" not in (ROOT / "docker" / "locks" / "vault-cuda.txt").read_text()


def test_the_gateways_lock_holds_neither_torch_nor_accountants():
    held = set(pins(ROOT / "docker" / "locks" / "gateway.txt"))
    assert held.isdisjoint({"torch", "opacus", "pandas", "scipy", "dp-accounting", "sqlalchemy"})
    assert "flwr" in held


def test_the_vaults_lock_holds_no_client_of_the_network():
    held = set(pins(ROOT / "docker" / "locks" / "vault.txt"))
    assert held.isdisjoint({"flwr", "httpx", "requests", "urllib3", "uvicorn", "fastapi"})

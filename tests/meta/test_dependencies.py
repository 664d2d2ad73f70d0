"""Each side installs what it needs and no more: no torch at the coordinator, no Flower at the auditor."""

import ast
import subprocess
import sys
import tomllib
from importlib import util
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"cordon-common": "common", "cordon-client": "client", "cordon-server": "server"}


def closure(name):
    """Names of all distributions that installing `name` brings, its extras left out."""
    found, waiting = set(), [Requirement(name)]
    done = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in done:
            continue
        done.add(key)
        found.add(key[0])
        for line in distribution(wanted.name).requires or []:
            needed = Requirement(line)
            extras = wanted.extras or {""}
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            ):
                waiting.append(needed)
    return found


def project(side):
    """The `[project]` table of one distribution."""
    return tomllib.loads((ROOT / side / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def constraints():
    spec = util.spec_from_file_location("constraints_tool", ROOT / "tools" / "constraints.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_auditor_installs_no_torch_no_flower_and_no_pandas():
    brought = closure("cordon-common")
    assert brought.isdisjoint({"torch", "opacus", "flwr", "pandas", "sqlalchemy", "scikit-learn"})
    assert "cordon-common" in brought
    assert len(brought) < 40


def test_the_coordinator_installs_no_torch_and_no_opacus():
    brought = closure("cordon-server")
    assert brought.isdisjoint({"torch", "opacus", "pandas", "cordon-client"})
    assert "flwr" in brought


def test_a_hospital_does_not_install_the_coordinators_side():
    brought = closure("cordon-client[gateway,vault,omics,cluster]")
    assert "cordon-server" not in brought
    assert {"torch", "flwr"} <= brought


def test_vault_and_gateway_install_nothing_of_each_other():
    assert closure("cordon-client[gateway]").isdisjoint({"torch", "opacus", "pandas"})
    assert closure("cordon-client[vault,omics]").isdisjoint({"flwr", "httpx", "uvicorn"})


def test_flower_and_torch_are_pinned_exactly():
    assert "flwr==1.41.0" in project("client")["optional-dependencies"]["gateway"]
    assert "flwr==1.41.0" in project("server")["dependencies"]
    assert "torch==2.13.0" in project("client")["optional-dependencies"]["vault"]


def test_everything_installed_is_pinned_to_what_is_installed(constraints):
    pins = constraints.parse((ROOT / "constraints.txt").read_text())
    # a process of its own: some packages put more on the path when they are imported
    tool = [sys.executable, str(ROOT / "tools" / "constraints.py")]
    printed = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    installed = constraints.parse(printed)
    unpinned = {n: v for n, v in installed.items() if n not in pins}
    other = {n: (v, pins[n]) for n, v in installed.items() if n in pins and pins[n] != v}
    assert unpinned == {}
    assert other == {}


def test_no_pin_names_a_build_that_only_one_machine_has(constraints):
    pins = constraints.parse((ROOT / "constraints.txt").read_text())
    assert [name for name, version in pins.items() if "+" in version] == []
    assert [name for name in pins if constraints.CUDA_NAME.match(name)] == []
    assert pins["torch"] == "2.13.0"


def test_the_build_backend_is_pinned_like_every_other_package(constraints):
    pins = constraints.parse((ROOT / "constraints.txt").read_text())
    for side in SIDES.values():
        build = tomllib.loads((ROOT / side / "pyproject.toml").read_text())["build-system"]
        assert build["requires"] == [f"hatchling=={pins['hatchling']}"]


@pytest.mark.parametrize("line", ["torch", "torch>=2", "torch==", "-e ./common"])
def test_a_line_that_is_no_exact_pin_is_refused(constraints, line):
    with pytest.raises(ValueError, match="not an exact pin"):
        constraints.parse(line + "\n")


def third_party(source):
    """Top-level names that a file imports and that are neither ours nor the standard library's."""
    names = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return {n for n in names - sys.stdlib_module_names if not n.startswith("cordon_")}


@pytest.mark.parametrize("name", SIDES)
def test_what_a_side_imports_it_declares(name, shipped):
    """Directly, or through cordon-common, on which both sides depend by declaration."""
    declared = {
        canonicalize_name(Requirement(line).name)
        for side in {SIDES[name], "common"}
        for table in [project(side)]
        for line in table["dependencies"]
        + (
            [each for extra in table.get("optional-dependencies", {}).values() for each in extra]
            if side == SIDES[name]
            else []
        )
    }
    providers = packages_distributions()
    undeclared = {}
    for source in shipped:
        if source.name.startswith(SIDES[name] + "/"):
            for module in third_party(source):
                offered = {canonicalize_name(each) for each in providers.get(module, [module])}
                if not offered & declared:
                    undeclared.setdefault(module, []).append(source.name)
    assert undeclared == {}

"""The suite guards itself: nothing is skipped in CI, quick tests come first, none get lost."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOOR_OF_TESTS = 1700

SKIPPING = """
import pytest

@pytest.mark.parametrize("privilege", [False])
def test_needs_a_privilege(privilege):
    if not privilege:
        pytest.skip("no privilege here")

@pytest.mark.gpu
def test_needs_a_gpu():
    pytest.skip("no GPU here")

@pytest.mark.xfail(reason="known", strict=True)
def test_is_known_to_fail():
    assert False
"""
SKIPPING_MODULE = "import pytest\npytest.skip('no data here', allow_module_level=True)\n"
ORDER = """
import pytest

@pytest.mark.slow
def test_a(): pass

@pytest.mark.federation
def test_b(): pass

def test_c(): pass
"""


def run_suite(folder, *, in_ci, files):
    """Run a small suite under the real conftest; the status and what was printed."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    marks = "\n".join(f"  {mark}: for this test" for mark in ("slow", "federation", "gpu"))
    (folder / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{marks}\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {**os.environ, "CI": "true" if in_ci else ""}
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout


def test_a_skipped_test_fails_in_ci_and_only_there(tmp_path):
    status, printed = run_suite(tmp_path, in_ci=True, files={"test_it.py": SKIPPING})
    assert status == 1
    assert "skipped where everything must run: Skipped: no privilege here" in printed
    assert "1 failed, 1 skipped, 1 xfailed" in printed
    status, printed = run_suite(tmp_path, in_ci=False, files={"test_it.py": SKIPPING})
    assert status == 0
    assert "2 skipped, 1 xfailed" in printed


def test_a_skipped_file_fails_in_ci(tmp_path):
    status, printed = run_suite(tmp_path, in_ci=True, files={"test_it.py": SKIPPING_MODULE})
    assert status != 0
    assert "no data here" in printed


def test_quick_tests_run_first(tmp_path):
    _, printed = run_suite(tmp_path, in_ci=False, files={"test_it.py": ORDER})
    assert re.findall(r"::(test_\w) PASSED", printed) == ["test_c", "test_a", "test_b"]


@pytest.fixture(scope="module")
def collected():
    """Every test that a plain run collects."""
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-header"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[-2000:]
    return [line for line in answer.stdout.splitlines() if "::" in line]


def test_no_test_gets_lost(collected):
    assert len(collected) >= FLOOR_OF_TESTS


def test_every_test_file_is_collected(collected, sources):
    """By a plain run; those that need an engine or firewalls, by the script that brings them."""
    files = {line.partition("::")[0] for line in collected}
    written = {s.name for s in sources if s.path.name.startswith("test_") and "tests/" in s.name}
    engine = {name for name in written if name.startswith("docker/")}
    assert written - files - engine == set()
    script = (ROOT / "docker" / "ci.sh").read_text()
    assert not engine or "docker/tests" in script


def test_every_name_says_what_is_promised(sources):
    """A test's name is a sentence about behaviour, not the name of a function."""
    short = [
        f"{source.name}::{node.name}"
        for source in sources
        if source.name.startswith("tests/")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    ]
    assert short == []

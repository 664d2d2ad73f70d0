"""Prints, at the end of a run, which command caught each planted fault."""

import runpy
from pathlib import Path

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parents[1] / "common" / "audit" / "conftest.py"))
CAUGHT = {}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A consortium that ran one honest campaign."""
    consortium = AUDIT["Consortium"](tmp_path_factory.mktemp("faults")).campaign()
    consortium.export()
    return consortium


@pytest.fixture
def consortium(tmp_path, finished):
    """The same keys, and a folder of its own with copies of the honest bundles."""
    copy = AUDIT["Consortium"](tmp_path, finished.coordinator_key, finished.keys)
    for path in sorted(finished.folder.glob("*.zip")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.fixture
def caught():
    """Note which command caught a fault, and by which row."""

    def note(fault, command, row):
        CAUGHT[fault] = (command, row)

    return note


def pytest_terminal_summary(terminalreporter):
    if CAUGHT:
        terminalreporter.section("planted faults, and the command that catches each")
        for fault, (command, row) in sorted(CAUGHT.items()):
            terminalreporter.write_line(f"{fault:<46} {command:<22} {row}")

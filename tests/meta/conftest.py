"""The project's own files, parsed once for all the tests that look at them."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("_pb2.py", "_pb2_grpc.py", "_pb2.pyi")
PACKAGES = ("common/cordon_common/", "client/cordon_client/", "server/cordon_server/")


@dataclass(frozen=True)
class Source:
    """One Python file of the project."""

    name: str
    path: Path

    @cached_property
    def text(self):
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self):
        return ast.parse(self.text, filename=self.name)

    @property
    def is_shipped(self):
        return self.name.startswith(PACKAGES)

    def strings(self):
        """Every string constant of the file but the docstrings' words."""
        return [
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]


@pytest.fixture(scope="session")
def tracked():
    """Every file that is, or is about to be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = sorted({name for name in listed.stdout.split("\0") if name})
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def sources(tracked):
    """Every Python file that people wrote, generated stubs left out."""
    return [
        Source(name, ROOT / name)
        for name in tracked
        if name.endswith(".py") and not name.endswith(GENERATED)
    ]


@pytest.fixture(scope="session")
def shipped(sources):
    """The Python files of the three distributions."""
    return [source for source in sources if source.is_shipped]

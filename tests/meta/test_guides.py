"""The guides for people who answer for data: every claim names a test, and every test is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("docs/institutions.md", "docs/coordinators.md")
NAMED = re.compile(r"`((?:tests|docker)/[\w/]+\.py)::(\w+)`")


def rows(page):
    """The rows of the tables that promise something."""
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = re.findall(r"^\| claim \| shown by \|\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return [row for table in tables for row in table.splitlines()]


@pytest.mark.parametrize("page", GUIDES)
def test_every_claim_of_a_guide_names_a_test(page):
    assert len(rows(page)) >= 10
    assert [row for row in rows(page) if not NAMED.search(row)] == []


@pytest.mark.parametrize("page", GUIDES)
def test_every_test_that_a_guide_names_exists(page):
    missing = []
    for file, name in NAMED.findall((ROOT / page).read_text(encoding="utf-8")):
        path = ROOT / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.parse("")
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        missing += [] if name in defined else [f"{file}::{name}"]
    assert missing == []


def test_the_tests_that_need_an_engine_or_firewalls_run_in_the_whole_check():
    script = (ROOT / "docker" / "ci.sh").read_text(encoding="utf-8")
    assert "docker/tests" in script
    assert "docker/network" in script
    assert "docker/ci.sh" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")

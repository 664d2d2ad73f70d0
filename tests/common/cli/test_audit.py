"""`cordon audit verify`: a table for people, JSON for programs, an exit code for scripts."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cordon_common.cli import console
from cordon_common.cli.main import main

CONSORTIUM = Path(__file__).parents[1] / "audit" / "conftest.py"


@pytest.fixture(autouse=True)
def fresh_console():
    console.stderr.cache_clear()
    yield
    console.stderr.cache_clear()


@pytest.fixture
def consortium(tmp_path):
    """The small consortium of the audit's tests, after one campaign."""
    return runpy.run_path(str(CONSORTIUM))["Consortium"](tmp_path).campaign()


@pytest.fixture
def bundles(consortium):
    return [str(path) for path in consortium.export().values()]


def test_an_honest_federation_ends_with_pass_and_zero(bundles, capsys):
    assert main(["audit", "verify", *bundles]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "verdict: PASS" in captured.err
    assert "0 failed, 0 not proven" in captured.err
    assert "site north" in captured.err


def test_json_goes_to_stdout(bundles, capsys):
    assert main(["audit", "verify", "--json", *bundles]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert result["verdict"] == "PASS"
    assert {part["title"] for part in result["parts"]} >= {"all together", "coordinator consortium"}


def test_what_is_not_proven_is_not_zero(bundles, capsys):
    assert main(["audit", "verify", bundles[0]]) == 1
    assert "verdict: NOT PROVEN" in capsys.readouterr().err


def test_a_failed_check_is_not_zero(bundles, capsys):
    damaged = Path(bundles[0])
    damaged.write_bytes(damaged.read_bytes().replace(b"data-office", b"data-0ffice"))
    assert main(["audit", "verify", *bundles]) == 1
    assert "verdict: FAIL" in capsys.readouterr().err


def test_the_auditors_own_key_can_be_given(bundles, consortium, capsys):
    known = str(consortium.coordinator_key.public)
    assert main(["audit", "verify", "--key", known, *bundles]) == 0
    assert main(["audit", "verify", "--key", str(consortium.keys["north"].public), *bundles]) == 1
    assert main(["audit", "verify", "--key", "nonsense", *bundles]) == 1
    assert "IN002" in capsys.readouterr().err


def test_a_missing_bundle_is_a_usage_error(capsys):
    assert main(["audit", "verify", "absent.zip"]) == 2
    assert "US002" in capsys.readouterr().err
    assert main(["audit", "verify"]) == 2


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal(bundles, columns):
    command = [sys.executable, "-m", "cordon_common.cli.main", "audit", "verify", *bundles]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": columns, "PATH": "/usr/bin"},
    )
    assert max(map(len, result.stderr.splitlines())) <= int(columns)


def test_an_audit_needs_neither_torch_nor_flower(bundles):
    code = (
        "import sys; from cordon_common.cli.main import main; rc = main(sys.argv[1:]);"
        "bad = {'torch', 'flwr', 'pandas', 'sklearn', 'sqlalchemy'} & set(sys.modules);"
        "sys.exit(f'imported {bad}' if bad else rc)"
    )
    command = [sys.executable, "-c", code, "audit", "verify", *bundles]
    subprocess.run(command, capture_output=True, check=True)


def test_a_report_is_written_as_page_and_pdf(bundles, tmp_path, capsys):
    page = tmp_path / "audit.html"
    assert main(["audit", "report", *bundles, "--output", str(page), "--json"]) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert page.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads(capsys.readouterr().out)["audit"]["verdict"] == "PASS"


def test_a_report_into_a_missing_folder_is_a_usage_error(bundles, tmp_path, capsys):
    assert main(["audit", "report", *bundles, "--output", str(tmp_path / "no" / "a.html")]) == 2
    assert "US002" in capsys.readouterr().err


def test_a_registry_entry_is_data_on_stdout(bundles, capsys):
    assert main(["audit", "registry", *bundles]) == 0
    assert json.loads(capsys.readouterr().out)["tier"] == 3

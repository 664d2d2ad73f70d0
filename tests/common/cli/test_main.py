"""The console script: fast, coded at the edge, honest about what is not installed."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from cordon_common.cli import console, main
from cordon_common.errors import BudgetExhausted, DataError, UnreachableError


@pytest.fixture(autouse=True)
def fresh_console():
    console.stderr.cache_clear()
    yield
    console.stderr.cache_clear()


@pytest.fixture
def command(monkeypatch):
    """Install one noun, `probe`, whose verb does what a test wants."""
    import typer

    def install(action):
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(action)
        monkeypatch.setattr(sys.modules[__name__], "probe_app", app, raising=False)
        point = EntryPoint(name="probe", value="probe:app", group=main.GROUP)
        monkeypatch.setattr(EntryPoint, "load", lambda _self: app)
        monkeypatch.setattr(main, "_installed", lambda: {"probe": point})

    return install


def test_help_goes_to_stdout_and_nothing_else_is_said():
    command = [sys.executable, "-c", "from cordon_common.cli.main import run; run()", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cordon NOUN VERB" in result.stdout
    assert result.stderr == ""


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from cordon_common.cli.main import main; main(['--help']);"
        "bad = {'rich', 'typer', 'pydantic', 'numpy', 'torch', 'flwr'} & set(sys.modules);"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_the_version_is_printed(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cordon 0.")


def test_no_command_is_a_usage_error(capsys):
    assert main.main([]) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_noun_of_a_missing_package_names_the_package(monkeypatch, capsys):
    monkeypatch.setattr(main, "_installed", dict)
    assert main.main(["site", "doctor"]) == 2
    error = capsys.readouterr().err
    assert "US010" in error
    assert "pip install cordon-client" in error
    assert main.main(["--help"]) == 0
    assert "not installed here: pip install cordon-server" in capsys.readouterr().out


def test_an_unknown_noun_is_a_usage_error(capsys):
    assert main.main(["hospital"]) == 2
    assert "US011" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (DataError("DA002", why="north.csv has 0 bytes"), 1),
        (BudgetExhausted("PO110"), 3),
        (UnreachableError("NE001"), 4),
    ],
)
def test_a_coded_error_ends_as_one_message_and_its_exit_code(command, capsys, error, exit_code):
    def fail():
        raise error

    command(fail)
    assert main.main(["probe"]) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error {error.code}: {error.what}" in captured.err
    assert f"next: {error.fix}" in captured.err
    assert "Traceback" not in captured.err


def test_an_unexpected_error_shows_its_type_and_never_its_text(command, capsys, monkeypatch):
    def fail():
        raise ValueError("patient 4711 is 63 years old")

    command(fail)
    assert main.main(["probe"]) == 1
    error = capsys.readouterr().err
    assert "SY999" in error
    assert "ValueError" in error
    assert "4711" not in error
    assert "Traceback" not in error
    monkeypatch.setenv("CORDON_DEBUG", "1")
    assert main.main(["probe"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_cleanly(command, capsys):
    def fail():
        raise KeyboardInterrupt

    command(fail)
    assert main.main(["probe"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(command, capsys):
    command(lambda: None)
    assert main.main(["probe", "--nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_commands_own_exit_code_is_kept(command):
    import typer

    def verdict():
        raise typer.Exit(1)

    command(verdict)
    assert main.main(["probe"]) == 1


def test_text_goes_to_stderr_as_it_is_and_data_to_stdout(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console.success("wrote [bold]/data/[0].zip")
    console.print_json({"b": 1, "a": [1.5]})
    captured = capsys.readouterr()
    assert captured.err == "wrote [bold]/data/[0].zip\n"
    assert captured.out == '{\n  "a": [\n    1.5\n  ],\n  "b": 1\n}\n'

"""The table of the private step: groups are selected by name, wrong names are usage errors."""

import sys

import pytest
from benchmarks.dp_step import __main__ as table
from benchmarks.dp_step.groups import Group
from benchmarks.lines import Line


@pytest.fixture
def run(monkeypatch, capsys):
    groups = (
        Group("fast", lambda repeats: [Line("fast", 1.0, 2.0, note=f"n={repeats}")]),
        Group("slow", lambda _: [Line("slow", 3.0, 2.0)]),
    )
    monkeypatch.setattr(table, "GROUPS", groups)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dp_step", *arguments])
        return table.main(), capsys.readouterr().out

    return call


def test_all_groups_are_measured_unless_some_are_named(run):
    status, out = run()
    assert status == 1
    assert out.endswith("1 of 2 lines reached\n")
    status, out = run("--only", "fast", "--repeats", "7")
    assert status == 0
    assert "n=7" in out
    assert "slow" not in out


@pytest.mark.parametrize("arguments", [("--only", "fsat"), ("--repeats", "4")])
def test_a_wrong_name_or_too_few_repeats_are_usage_errors(run, arguments):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2


def test_the_groups_have_distinct_names():
    names = [group.name for group in table.GROUPS]
    assert len(set(names)) == len(names)

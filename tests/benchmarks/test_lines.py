"""A benchmark's table says what was reached, and its exit status agrees."""

import json
import math

import pytest
from benchmarks.lines import Line, finish, ratio_line


def test_the_exit_status_is_zero_only_if_every_must_is_reached(capsys, tmp_path):
    good, bad = Line("fast", 1.4, 2.0, 1.5), Line("slow", 2.1, 2.0)
    report = Line("only reported", 9.0, None)
    assert finish([good, report], tmp_path / "a.json") == 0
    assert capsys.readouterr().out.endswith("1 of 1 lines reached\n")
    assert finish([good, bad, report], None) == 1
    assert capsys.readouterr().out.endswith("1 of 2 lines reached\n")
    assert [row["reached"] for row in json.loads((tmp_path / "a.json").read_text())["lines"]] == [
        True,
        True,
    ]


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_not_a_number_never_reaches_a_must(better):
    assert not Line("broken", math.nan, 1.0, better=better).reached


def test_a_ratio_is_taken_between_neighbouring_readings():
    line = ratio_line("twice", [2.0, 20.0, 200.0], [1.0, 10.0, 100.0], must=2.0)
    assert (line.low, line.value, line.high) == (2.0, 2.0, 2.0)

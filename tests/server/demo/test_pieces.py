"""The demo's parts: the same cohorts every time, processes that are told of, coded failures."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from cordon_common.cli import console
from cordon_common.errors import CheckFailed, CordonError, UsageError
from cordon_server.demo.data import DIRTY_SITE, write_breast_cancer_cohorts
from cordon_server.demo.federation import Federation
from cordon_server.demo.outcome import HospitalRow, Outcome, outcome_view
from cordon_server.demo.processes import Processes
from cordon_server.demo.run import DemoSettings, run_demo
from cordon_server.report.extra import LocalFacts


def test_every_patient_of_the_bundle_is_at_exactly_one_hospital(tmp_path):
    paths = write_breast_cancer_cohorts(tmp_path)
    tables = {site: pd.read_csv(path) for site, path in paths.items()}
    distinct = {site: table.drop_duplicates() for site, table in tables.items()}
    assert sum(len(table) for table in distinct.values()) == 569
    sizes = [len(table) for table in distinct.values()]
    mixes = [(table.diagnosis == "malignant").mean() for table in distinct.values()]
    assert len(set(sizes)) == 4
    assert max(mixes) - min(mixes) > 0.1
    assert len(tables[DIRTY_SITE]) > len(distinct[DIRTY_SITE])


def test_the_cohorts_are_the_same_bytes_every_time(tmp_path):
    first = write_breast_cancer_cohorts(tmp_path / "a")
    second = write_breast_cancer_cohorts(tmp_path / "b")
    assert [p.read_bytes() for p in first.values()] == [p.read_bytes() for p in second.values()]


def test_a_process_that_ends_early_is_named_with_its_last_words(tmp_path):
    with Processes(tmp_path / "logs") as processes:
        processes.start("doomed", "site", "vault", str(tmp_path / "nowhere"))
        with pytest.raises(CheckFailed, match="CK901") as caught:
            processes.wait_until(lambda: False, what="nothing", timeout_s=30)
        assert "doomed" in caught.value.what
        assert "US002" in caught.value.why


def test_a_command_that_fails_is_named_with_what_it_said(tmp_path):
    federation = Federation(tmp_path, {"a": tmp_path / "a.csv"}, tmp_path, tmp_path)
    with pytest.raises(CheckFailed, match="CK902") as caught:
        federation.run("site", "budget", str(tmp_path / "nowhere"))
    assert "cordon site budget" in caught.value.what
    assert "US002" in caught.value.why


def test_a_folder_with_too_long_a_path_is_refused_at_once(tmp_path):
    with pytest.raises(UsageError, match="US040"):
        Federation(tmp_path / ("x" * 90), {"a": Path()}, Path(), Path())


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"cohorts": "c", "study": "s.yaml"}, "US042"), ({"cohorts": "c"}, "US001")],
)
def test_cohorts_that_do_not_fit_are_refused(tmp_path, settings, code):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "alone.csv").write_text("a\n")
    paths = {name: tmp_path / value for name, value in settings.items()}
    with pytest.raises(CordonError) as caught:
        run_demo(DemoSettings(out=tmp_path / "out", **paths))
    assert caught.value.code == code


def outcome(verdict="PASS", rounds=30, spent=2.0, evaluated=True, trust="local"):
    row = HospitalRow(
        "north",
        LocalFacts(),
        spent,
        4.5,
        3.0,
        10.0,
        rounds,
        SimpleNamespace(auc=0.9, low=0.8, high=1.0) if evaluated else None,
    )
    audit = SimpleNamespace(verdict=verdict, parts=())
    return Outcome((row,), audit, Path(), Path(), trust, 30, 0.5, 40.0)


def test_the_demo_fails_unless_everything_held():
    assert outcome().failures() == []
    for broken in (
        {"verdict": "FAIL"},
        {"verdict": "NOT PROVEN"},
        {"rounds": 29},
        {"spent": 3.1},
        {"evaluated": False},
    ):
        assert len(outcome(**broken).failures()) == 1


def test_a_demo_of_masked_sums_tells_what_the_masks_were_worth(capsys):
    row = outcome(trust="secure-sum").hospitals[0]
    told = replace(row, facts=LocalFacts(), evaluated=None)
    for trust, said in (("local", False), ("secure-sum", True)):
        console.show(outcome_view(replace(outcome(trust=trust), hospitals=(told,))))
        assert ("without their masks would cost epsilon 4.50" in capsys.readouterr().err) is said


def test_an_outcome_that_does_not_hold_ends_with_its_own_code(tmp_path, monkeypatch):
    monkeypatch.setattr("cordon_server.demo.run._carry", lambda *_: outcome(verdict="FAIL"))
    with pytest.raises(CheckFailed, match="CK903") as caught:
        run_demo(DemoSettings(out=tmp_path / "out"))
    assert "FAIL" in caught.value.why
    assert sys.exc_info()[0] is None

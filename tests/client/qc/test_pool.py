"""Work is done here, in processes or on a cluster, with the same result."""

import json
import subprocess
import sys
import threading

import psutil
import pytest

from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.modalities import modality_named
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.pool import Where, carry_out_all
from cordon_client.qc.work import Work
from cordon_common.errors import SystemFault, UnreachableError, UsageError
from cordon_common.qc.profile import builtin_profile


def test_an_unknown_modality_is_refused_by_code_with_the_known_ones():
    with pytest.raises(UsageError) as caught:
        modality_named("fortune-telling")
    assert caught.value.code == "US050"


def test_a_cluster_that_does_not_answer_is_said_at_once():
    with pytest.raises(UnreachableError) as caught:
        carry_out_all([], Where(ray="127.0.0.1:1"), None)
    assert caught.value.code == "NE010"
    with pytest.raises(UsageError, match="US001"):
        carry_out_all([], Where(ray="somewhere"), None)


def test_ray_that_is_not_installed_is_said_by_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        carry_out_all([], Where(ray="127.0.0.1:1"), None)
    assert caught.value.code == "US051"


@pytest.fixture
def works(tmp_path):
    """Six tables, one of them empty."""
    for number in range(6):
        text = (
            "" if number == 4 else "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20 + number))
        )
        (tmp_path / f"{number}.csv").write_text(text)
    profile = builtin_profile("clinical.v1")
    return [
        Work(CLINICAL, (SampleFiles(f"s{n}", (tmp_path / f"{n}.csv",)),), profile) for n in range(6)
    ]


class Counting:
    def __init__(self):
        self.done = set()

    def reading(self, index, done, total):
        pass

    def finished(self, index):
        self.done.add(index)


def test_processes_give_what_one_process_gives_in_the_order_of_the_work(works):
    alone, many = Counting(), Counting()
    expected = carry_out_all(works, Where(), alone)
    assert carry_out_all(works, Where(jobs=2), many) == expected
    assert alone.done == many.done == set(range(6))
    assert [found[0].sample for found in expected] == [f"s{n}" for n in range(6)]
    assert [r.check for r in expected[4][0].results] == ["sample.readable"]


def test_a_worker_that_is_killed_is_said_by_code(works):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    ended = threading.Event()

    def kill_workers():
        while not ended.wait(0.05):
            for child in psutil.Process().children(recursive=True):
                if child.pid not in before and "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        with pytest.raises(SystemFault) as caught:
            carry_out_all(works, Where(jobs=2), Counting())
    finally:
        ended.set()
        killer.join()
    assert caught.value.code == "SY050"


@pytest.mark.slow
def test_a_ray_cluster_gives_what_one_process_gives(works, tmp_path):
    """In processes of their own: what Ray leaves behind at its end must not meet other tests."""
    command = [sys.executable, "-m", "cordon_common.cli.main", "site", "qc", str(tmp_path)]
    here, there = (
        subprocess.run(
            [*command, "--json", "--output", str(tmp_path.with_name(f"report-{name}")), *where],
            capture_output=True,
            text=True,
            check=False,
        )
        for name, where in (("here", ()), ("ray", ("--ray", "local")))
    )
    assert json.loads(here.stdout)
    assert there.stdout == here.stdout, there.stderr
    assert there.returncode == here.returncode

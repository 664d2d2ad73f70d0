"""Starting and ending Flower runs: one run carries a campaign, and it is the code-free job."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from cordon_common.errors import UnreachableError
from cordon_server import runs

ROOT = Path(__file__).resolve().parents[2]


class FakeControl:
    """A SuperLink's Control API that remembers."""

    def __init__(self):
        self.running, self.stopped, self.submitted, self.enrolled = [], [], [], {}

    def unfinished_runs(self):
        return [SimpleNamespace(run_id=run) for run in self.running]

    def stop(self, run):
        self.running.remove(run)
        self.stopped.append(run)

    def submit(self, bundle, config):
        self.submitted.append((bundle, dict(config)))
        self.running.append(1000 + len(self.submitted))
        return self.running[-1]

    def enrol(self, line, name):
        self.enrolled[name] = line
        return len(self.enrolled)

    def withdraw_keys(self, public_lines):
        self.withdrawn = tuple(public_lines)
        return 0


@pytest.fixture
def control(monkeypatch):
    fake = FakeControl()
    monkeypatch.setattr(runs, "control", lambda home: contextlib.nullcontext(fake))
    return fake


def test_the_job_in_the_package_is_the_job_in_the_configurations():
    ours = {p.name: p.read_bytes() for p in (ROOT / "configs" / "job").iterdir()}
    packed = ROOT / "server" / "cordon_server" / "job"
    assert ours == {p.name: p.read_bytes() for p in packed.iterdir() if p.is_file()}


def test_a_run_names_its_study_and_campaign_and_carries_no_code(federation, control):
    run = runs.submit(federation.coordinator, federation.campaign_id)
    ((bundle, config),) = control.submitted
    assert config == {"study-digest": federation.study.digest, "campaign": federation.campaign_id}
    assert b".py" not in bundle
    assert federation.open().journal.state.flower_run == run == "1001"


def test_resuming_ends_the_older_run_first(federation, control):
    runs.submit(federation.coordinator, federation.campaign_id)
    control.running.append(7)
    runs.submit(federation.coordinator, federation.campaign_id)
    assert control.stopped == [1001]
    assert control.running == [7, 1002]


def test_a_run_that_is_no_longer_listed_has_ended(federation, control):
    run = runs.submit(federation.coordinator, federation.campaign_id)
    assert not runs.run_has_ended(federation.home, run)
    control.running.clear()
    assert runs.run_has_ended(federation.home, run)


def test_every_enrolled_site_is_registered_with_its_own_key(federation, control):
    assert set(runs.register_sites(federation.coordinator)) == set(federation.hospitals)
    assert control.enrolled == {n: h.node_line for n, h in federation.hospitals.items()}


def test_without_a_superlink_registering_waits_for_the_next_serve(federation):
    assert runs.try_register_sites(federation.coordinator) is False
    with pytest.raises(UnreachableError, match="NE001"):
        runs.register_sites(federation.coordinator)

"""What a real campaign writes down passes the audit, whatever went wrong on the way."""

from __future__ import annotations

import pytest

from cordon_common.audit.verify import verify_bundles
from cordon_common.ledger.bundle import export_coordinator_bundle, export_site_bundle
from cordon_common.ledger.entries import StudySigned
from cordon_server.journal import Journal


class Killed(BaseException):
    """What SIGKILL looks like from inside."""


def audited(federation, folder):
    """(check, status) of the coordinator's bundle and of the comparison with the sites'."""
    if not federation.log_bodies("study.signed.v1"):
        federation.log.append(
            StudySigned(study=federation.study.digest, envelope=federation.envelope)
        )
    paths = [folder / "coordinator.zip"]
    export_coordinator_bundle(federation.log, paths[0])
    for name, hospital in federation.hospitals.items():
        paths.append(folder / f"{name}.zip")
        export_site_bundle(hospital.ledger, paths[-1], policy={})
    parts = verify_bundles(paths).parts
    rows = [row for part in (parts[0], parts[-1]) for row in part.rows]
    assert len(rows) > 15
    return {(row.check, row.status, row.evidence) for row in rows if row.status != "PASS"}


def test_an_undisturbed_campaign_passes(federation, tmp_path):
    federation.run()
    assert audited(federation, tmp_path) == set()


@pytest.mark.parametrize("step", range(9))
def test_a_campaign_that_was_killed_and_resumed_passes(federation, tmp_path, monkeypatch, step):
    honest, left = Journal.commit, [step]

    def commit(*arguments):
        if left[0] == 0:
            left[0] = -1
            raise Killed
        left[0] -= 1
        honest(*arguments)

    monkeypatch.setattr(Journal, "commit", commit)
    with pytest.raises(Killed):
        federation.run()
    federation.run()
    assert audited(federation, tmp_path) == set()


@pytest.mark.parametrize("rpc", ["qc", "train", "evaluate"])
def test_a_site_whose_answers_get_lost_is_reported_and_the_rest_passes(federation, tmp_path, rpc):
    federation.network.faults["south"] = lambda asked, _data, reply: (
        "TR002" if asked == rpc else reply
    )
    federation.run()
    assert audited(federation, tmp_path) == set()


def test_a_campaign_that_stopped_passes_as_far_as_it_came(federation, tmp_path):
    federation.network.faults = dict.fromkeys(
        ("south", "east"), lambda asked, _data, reply: "TR002" if asked == "train" else reply
    )
    with pytest.raises(Exception, match="CK020"):
        federation.run()
    assert {check for check, _, _ in audited(federation, tmp_path)} <= {"used"}

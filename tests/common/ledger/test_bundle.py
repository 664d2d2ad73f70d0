"""Bundles: everything an outsider needs, the same bytes every time."""

import json
import zipfile

import pytest
from pair import Pair

from cordon_common.canonical import digest
from cordon_common.clock import utc_now
from cordon_common.errors import UsageError
from cordon_common.ledger.bundle import (
    Manifest,
    export_coordinator_bundle,
    export_site_bundle,
    installed_software,
)
from cordon_common.ledger.checkpoint import cosigner_name, open_checkpoint, open_cosignature
from cordon_common.ledger.coordinator import CoordinatorLog
from cordon_common.ledger.entries import StudySigned
from cordon_common.signing import SigningKey

POLICY = {"lifetime": {"epsilon": 8.0, "delta": 1e-4}}


def test_exporting_twice_gives_the_same_bytes(bench, ledger, tmp_path):
    bench.settle(ledger, bench.reserve(ledger))
    export_site_bundle(ledger, tmp_path / "a.zip", policy=POLICY)
    ledger.close()
    export_site_bundle(bench.open(), tmp_path / "b.zip", policy=POLICY)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_a_site_bundle_holds_log_checkpoint_studies_policy_and_software(bench, ledger, tmp_path):
    bench.settle(ledger, bench.reserve(ledger))
    export_site_bundle(ledger, tmp_path / "site.zip", policy=POLICY)
    with zipfile.ZipFile(tmp_path / "site.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = Manifest.model_validate_json(files.pop("manifest.json"))
    assert manifest.origin == "cordon/site/north/breast"
    assert manifest.key == str(bench.key.public)
    assert manifest.files == {name: digest(data) for name, data in files.items()}
    assert files["entries.jsonl"].splitlines() == ledger.log.entries()
    assert files["checkpoint"].decode() == ledger.log.checkpoint()
    assert json.loads(files["policy.json"]) == POLICY
    study = bench.study.digest.removeprefix("sha256:")
    assert json.loads(files[f"studies/{study}.json"]) == bench.study.model_dump()
    assert json.loads(files["keys.json"])[0]["fingerprint"] == bench.key.public.fingerprint
    assert json.loads(files["software.json"]) == installed_software()


def test_a_coordinator_bundle_names_its_log(bench, tmp_path):
    log = CoordinatorLog.open(
        tmp_path / "log.db",
        key=SigningKey.generate(),
        name="consortium",
        clock=utc_now,
        create=True,
    )
    log.append(StudySigned(study=bench.study.digest, envelope=bench.study))
    export_coordinator_bundle(log, tmp_path / "c.zip")
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        manifest = Manifest.model_validate_json(archive.read("manifest.json"))
        names = archive.namelist()
    assert manifest.origin == "cordon/coordinator/consortium"
    assert names == sorted(names)
    assert "policy.json" not in names


def test_the_software_list_names_what_is_installed():
    software = installed_software()
    assert software["cordon-common"] == "0.1.0"
    assert software["dp-accounting"] == "0.6.0"


def test_a_bundle_for_a_missing_folder_is_a_usage_error(ledger, tmp_path):
    with pytest.raises(UsageError, match="US002"):
        export_site_bundle(ledger, tmp_path / "absent" / "a.zip", policy=POLICY)


def test_bundles_hold_the_newest_cosigned_heads_as_notes(tmp_path):
    """Any transparency tool can read them: the log's signature and the witness's on one note."""
    pair = Pair(tmp_path)
    pair.grow(3)
    pair.exchange()
    size = pair.exchange()
    export_site_bundle(pair.ledger, tmp_path / "site.zip", policy=POLICY)
    export_coordinator_bundle(pair.log, tmp_path / "coordinator.zip")
    notes = []
    for name, file in (
        ("site.zip", f"witnessed/{pair.coordinator.public.fingerprint}"),
        ("coordinator.zip", "cosigned/north"),
    ):
        with zipfile.ZipFile(tmp_path / name) as archive:
            notes.append(archive.read(file).decode())
    assert notes[0] == notes[1]
    point = open_checkpoint(notes[0], "cordon/coordinator/consortium", pair.coordinator.public)
    assert point.size == size
    cosignature = notes[0].splitlines(keepends=True)[-1]
    open_cosignature(cosignature, point, cosigner_name("north"), pair.site_key.public)

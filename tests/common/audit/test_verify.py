"""An honest federation passes; every kind of tampering is caught, and by the row that says so."""

from __future__ import annotations

import pytest

from cordon_common.audit.bundle import read_bundle
from cordon_common.canonical import canonical_bytes, digest
from cordon_common.errors import CheckFailed, UsageError
from cordon_common.ledger.bundle import Manifest
from cordon_common.signing import SigningKey


def test_an_honest_federation_passes_every_check(bundles, consortium):
    result = consortium.audit(bundles)
    assert result.failed == set()
    assert result.unproven == set()
    assert result.verdict == "PASS"
    assert result.result.count("PASS") == sum(len(part.rows) for part in result.result.parts)


def test_the_result_is_data_and_the_same_every_time(bundles, consortium):
    first, second = (
        consortium.audit(bundles).result.as_json(),
        consortium.audit(bundles).result.as_json(),
    )
    assert canonical_bytes(first) == canonical_bytes(second)
    assert first["verdict"] == "PASS"


def test_a_site_alone_is_checked_but_not_proven(bundles, consortium):
    result = consortium.audit(bundles["north"])
    assert result.failed == set()
    assert result.verdict == "NOT PROVEN"
    assert ("all together", "complete") in result.unproven


def test_the_coordinator_alone_is_checked_but_not_proven(bundles, consortium):
    result = consortium.audit(bundles["coordinator"])
    assert result.failed == set()
    assert ("all together", "complete") in result.unproven


def test_a_missing_sites_bundle_is_named(bundles, consortium):
    del bundles["west"]
    result = consortium.audit(bundles)
    row = result.together("complete")
    assert row.status == "NOT PROVEN"
    assert "site west" in row.evidence


# -- tampering by somebody without the key -------------------------------------------------------


def test_a_changed_file_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["entries.jsonl"] = files["entries.jsonl"].replace(b"data-office", b"data-0ffice")
    consortium.pack(bundles["north"], files)
    assert {("site north", "files"), ("site north", "tree")} <= consortium.audit(bundles).failed


def test_a_changed_file_with_a_fitting_manifest_is_caught_by_the_tree(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["entries.jsonl"] = files["entries.jsonl"].replace(b"data-office", b"data-0ffice")
    refresh(consortium, bundles["north"], files)
    caught = consortium.audit(bundles).failed
    assert ("site north", "tree") in caught
    assert ("site north", "files") not in caught


def test_a_checkpoint_by_another_key_is_caught(bundles, consortium):
    consortium.forge("north", lambda entries: entries, key=SigningKey.generate())
    assert consortium.audit(bundles).failed == {("site north", "tree")}


def test_another_policy_than_the_ledgers_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["policy.json"] = files["policy.json"].replace(b"8", b"9")
    consortium.pack(bundles["north"], files)
    assert {("site north", "files"), ("site north", "policy")} <= consortium.audit(bundles).failed


def refresh(consortium, path, files):
    """Pack changed files with a manifest that fits them: the manifest is nobody's signature."""
    manifest = Manifest.model_validate_json(files.pop("manifest.json"))
    manifest = manifest.model_copy(update={"files": {n: digest(d) for n, d in files.items()}})
    head = canonical_bytes(manifest.model_dump(mode="json"))
    consortium.pack(path, {**files, "manifest.json": head})


def test_another_study_file_than_the_approved_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    name = next(name for name in files if name.startswith("studies/"))
    files[name] = b"{}"
    refresh(consortium, bundles["north"], files)
    assert consortium.audit(bundles).failed == {("site north", "studies")}


def test_a_key_list_that_the_log_does_not_bear_out_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["coordinator"])
    files["keys.json"] = b"[]"
    refresh(consortium, bundles["coordinator"], files)
    assert consortium.audit(bundles).failed == {("coordinator consortium", "identity")}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", b"<html>not found</html>"])
def test_a_file_that_is_no_bundle_is_a_failed_row(tmp_path, data, consortium):
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    assert ("unreadable", "bundle") in consortium.audit(path).failed
    with pytest.raises(CheckFailed, match="CK120"):
        read_bundle(path)


def test_a_missing_file_is_a_usage_error(tmp_path, consortium):
    with pytest.raises(UsageError, match="US002"):
        consortium.audit(tmp_path / "absent.zip")


def test_a_bundle_packed_with_compression_is_refused(bundles, tmp_path, consortium):
    import zipfile

    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in consortium.unpack(bundles["north"]).items():
            archive.writestr(name, data)
    assert ("unreadable", "bundle") in consortium.audit(tmp_path / "y.zip").failed

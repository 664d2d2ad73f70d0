"""An honest federation passes; every kind of tampering is caught, and by the row that says so."""

from __future__ import annotations

import json

import pytest

from cordon_common.audit.verify import verify_bundles
from cordon_common.canonical import canonical_bytes, digest
from cordon_common.errors import UsageError
from cordon_common.ledger.bundle import Manifest
from cordon_common.signing import SigningKey


def verify(bundles, **options):
    return verify_bundles(list(bundles.values()), **options)


def failed(result):
    """The (title, check) of every row that failed."""
    return {
        (part.title.split(",")[0], row.check)
        for part in result.parts
        for row in part.rows
        if row.status == "FAIL"
    }


def unproven(result):
    return {
        (part.title.split(",")[0], row.check)
        for part in result.parts
        for row in part.rows
        if row.status == "NOT PROVEN"
    }


def of_kind(entries, kind):
    return [i for i, entry in enumerate(entries) if entry["kind"] == kind]


def test_an_honest_federation_passes_every_check(bundles):
    result = verify(bundles)
    assert failed(result) == set()
    assert unproven(result) == set()
    assert result.verdict == "PASS"
    assert result.count("PASS") == sum(len(part.rows) for part in result.parts)


def test_the_result_is_data_and_the_same_every_time(bundles):
    first, second = verify(bundles).as_json(), verify(bundles).as_json()
    assert canonical_bytes(first) == canonical_bytes(second)
    assert first["verdict"] == "PASS"


def test_a_site_alone_is_checked_but_not_proven(bundles):
    result = verify_bundles([bundles["north"]])
    assert failed(result) == set()
    assert result.verdict == "NOT PROVEN"
    assert ("all together", "complete") in unproven(result)


def test_the_coordinator_alone_is_checked_but_not_proven(bundles):
    result = verify_bundles([bundles["coordinator"]])
    assert failed(result) == set()
    assert ("all together", "complete") in unproven(result)


def test_a_missing_sites_bundle_is_named(bundles):
    del bundles["west"]
    result = verify(bundles)
    (row,) = [r for r in result.parts[-1].rows if r.check == "complete"]
    assert row.status == "NOT PROVEN"
    assert "site west" in row.evidence


# -- tampering by somebody without the key -------------------------------------------------------


def test_a_changed_file_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["entries.jsonl"] = files["entries.jsonl"].replace(b"data-office", b"data-0ffice")
    consortium.pack(bundles["north"], files)
    assert {("site north", "files"), ("site north", "tree")} <= failed(verify(bundles))


def test_a_changed_file_with_a_fitting_manifest_is_caught_by_the_tree(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["entries.jsonl"] = files["entries.jsonl"].replace(b"data-office", b"data-0ffice")
    refresh(consortium, bundles["north"], files)
    caught = failed(verify(bundles))
    assert ("site north", "tree") in caught
    assert ("site north", "files") not in caught


def test_a_checkpoint_by_another_key_is_caught(bundles, consortium):
    consortium.forge("north", lambda entries: entries, key=SigningKey.generate())
    assert failed(verify(bundles)) == {("site north", "tree")}


def test_another_policy_than_the_ledgers_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["north"])
    files["policy.json"] = files["policy.json"].replace(b"8", b"9")
    consortium.pack(bundles["north"], files)
    assert {("site north", "files"), ("site north", "policy")} <= failed(verify(bundles))


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
    assert failed(verify(bundles)) == {("site north", "studies")}


def test_a_key_list_that_the_log_does_not_bear_out_is_caught(bundles, consortium):
    files = consortium.unpack(bundles["coordinator"])
    files["keys.json"] = b"[]"
    refresh(consortium, bundles["coordinator"], files)
    assert failed(verify(bundles)) == {("coordinator consortium", "identity")}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", b"<html>not found</html>"])
def test_a_file_that_is_no_bundle_is_a_failed_row(tmp_path, data):
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    assert ("unreadable", "bundle") in failed(verify_bundles([path]))


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="US002"):
        verify_bundles([tmp_path / "absent.zip"])


def test_a_bundle_packed_with_compression_is_refused(bundles, tmp_path, consortium):
    import zipfile

    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in consortium.unpack(bundles["north"]).items():
            archive.writestr(name, data)
    assert ("unreadable", "bundle") in failed(verify_bundles([tmp_path / "y.zip"]))


# -- tampering by the hospital, which holds its key ----------------------------------------------


def edit_event(**changes):
    def change(entries):
        at = of_kind(entries, "release.reserved.v1")[2]
        entries[at]["body"]["event"].update(changes)
        return entries

    return change


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_multiplier": 5.9},
        {"sensitivity_grid": 1.0},
        {"dimension": 7},
        {"stability": 2},
        {"population": "all"},
    ],
)
def test_an_event_that_is_not_the_studys_is_caught(bundles, consortium, changes):
    consortium.forge("north", edit_event(**changes))
    caught = failed(verify(bundles))
    assert ("site north", "plan") in caught
    assert ("all together", "receipts") in caught


def test_a_release_that_was_not_logged_is_caught_by_the_coordinators_receipt(bundles, consortium):
    def drop(entries):
        at = of_kind(entries, "release.settled.v1")[3]
        reserved = entries[at]["body"]["reserved"]
        kept = [e for i, e in enumerate(entries) if i not in {at, reserved}]
        for entry in kept:
            if entry["kind"] == "release.settled.v1" and entry["body"]["reserved"] > reserved:
                entry["body"]["reserved"] -= 2
        return kept

    consortium.forge("north", drop)
    assert {("all together", "receipts"), ("all together", "used")} <= failed(verify(bundles))


def test_a_ledger_rolled_back_is_caught_by_the_coordinators_receipts(bundles, consortium):
    consortium.forge("north", lambda entries: entries[:-4])
    caught = failed(verify(bundles))
    assert {("all together", "receipts"), ("all together", "used")} <= caught
    assert not any(title == "site north" for title, _ in caught)


def test_an_edited_approval_is_caught(bundles, consortium):
    def edit(entries):
        at = of_kind(entries, "study.approved.v1")[0]
        entries[at]["body"]["envelope"]["payload"]["privacy"]["epsilon"] = 50.0
        return entries

    consortium.forge("north", edit)
    assert ("site north", "studies") in failed(verify(bundles))


def test_an_innocent_looking_edit_forks_from_the_receipts(bundles, consortium):
    def edit(entries):
        entries[of_kind(entries, "site.opened.v1")[0]]["body"]["software"] = {"other": "1"}
        return entries

    consortium.forge("north", edit)
    result = verify(bundles)
    assert failed(result) == {("all together", "receipts")}
    (row,) = [r for r in result.parts[-1].rows if r.check == "receipts"]
    assert "forked" in row.evidence


def test_two_histories_of_one_ledger_are_caught(bundles, consortium, tmp_path):
    other = tmp_path / "north-for-others.zip"
    other.write_bytes(bundles["north"].read_bytes())

    def edit(entries):
        entries[-1]["time"] = "2026-01-31T23:00:00.000Z"
        return entries

    consortium.forge("north", edit, path=other)
    assert ("all together", "growth") in failed(verify_bundles([*bundles.values(), other]))


def test_an_older_bundle_of_the_same_ledger_fits(bundles, consortium, tmp_path):
    other = tmp_path / "north-before.zip"
    other.write_bytes(bundles["north"].read_bytes())
    consortium.forge("north", lambda entries: entries[:-3], path=other)
    result = verify_bundles([other, bundles["north"]])
    assert ("all together", "growth") not in failed(result)


def test_a_double_settlement_is_caught(bundles, consortium):
    def twice(entries):
        return [*entries, entries[of_kind(entries, "release.settled.v1")[0]]]

    consortium.forge("north", twice)
    assert ("site north", "settled") in failed(verify(bundles))


def test_a_settlement_without_reservation_is_caught(bundles, consortium):
    def orphan(entries):
        entries[of_kind(entries, "release.settled.v1")[-1]]["body"]["reserved"] = 1
        return entries

    consortium.forge("north", orphan)
    assert ("site north", "settled") in failed(verify(bundles))


def test_a_slot_charged_twice_is_caught(bundles, consortium):
    def twice(entries):
        return [*entries, entries[of_kind(entries, "release.reserved.v1")[0]]]

    consortium.forge("north", twice)
    assert ("site north", "slots") in failed(verify(bundles))


def test_an_approval_after_the_first_release_is_caught(bundles, consortium):
    def late(entries):
        at = of_kind(entries, "study.approved.v1")[0]
        return [*entries[:at], *entries[at + 1 :], entries[at]]

    consortium.forge("north", late)
    assert ("site north", "approval") in failed(verify(bundles))


def test_a_clock_set_back_is_not_proven(bundles, consortium):
    def back(entries):
        entries[-1]["time"] = "2026-01-30T00:00:00.000Z"
        return entries

    consortium.forge("north", back)
    result = verify(bundles)
    assert ("site north", "times") in unproven(result)
    assert result.verdict != "PASS"


def test_a_malformed_time_is_caught(bundles, consortium):
    def malformed(entries):
        entries[-1]["time"] = "yesterday"
        return entries

    consortium.forge("north", malformed)
    assert ("site north", "times") in failed(verify(bundles))


def test_an_unknown_kind_is_caught(bundles, consortium):
    def strange(entries):
        return [*entries, {"time": entries[-1]["time"], "kind": "budget.raised.v1", "body": {}}]

    consortium.forge("north", strange)
    result = verify(bundles)
    assert ("site north", "entries") in failed(result)
    assert ("site north", "contents") in unproven(result)


def test_an_event_of_an_unknown_kind_is_refused_never_free(bundles, consortium):
    consortium.forge("north", edit_event(kind="laplace.v1"))
    assert ("site north", "entries") in failed(verify(bundles))


def test_a_release_after_the_permit_ended_is_caught(bundles, consortium):
    def late(entries):
        for entry in entries[-2:]:
            entry["time"] = "2099-01-01T00:00:00.000Z"
        return entries

    consortium.forge("north", late)
    assert ("site north", "permit") in failed(verify(bundles))


def test_a_release_after_the_study_was_closed_is_caught(bundles, consortium):
    def closed(entries):
        body = {"study": consortium.study.digest, "reason": "withdrawn"}
        at = of_kind(entries, "release.reserved.v1")[-1]
        close = {"time": entries[at]["time"], "kind": "study.closed.v1", "body": body}
        entries[-1]["body"]["reserved"] += 1
        return [*entries[:at], close, *entries[at:]]

    consortium.forge("north", closed)
    assert ("site north", "permit") in failed(verify(bundles))


def test_a_study_signed_by_a_stranger_is_caught(bundles, consortium):
    def untrusted(entries):
        at = of_kind(entries, "policy.set.v1")[0]
        entries[at]["body"]["trusted_coordinators"] = []
        return entries

    consortium.forge("north", untrusted)
    assert ("site north", "studies") in failed(verify(bundles))


def test_the_auditors_own_coordinator_key_counts(bundles, consortium):
    assert verify(bundles, trusted=[consortium.coordinator_key.public]).verdict == "PASS"
    caught = failed(verify(bundles, trusted=[SigningKey.generate().public]))
    assert {("site north", "studies"), ("coordinator consortium", "studies")} <= caught


# -- budgets -------------------------------------------------------------------------------------


def test_more_releases_than_the_study_allows_are_caught(consortium):
    consortium.campaign()
    slots = [consortium.slot("train", i, run="run-2") for i in range(12)]
    for slot in slots:
        consortium.release("north", slot)
    caught = failed(verify(consortium.export()))
    assert ("site north", "count") in caught


def test_more_epsilon_than_the_study_declares_is_caught(consortium):
    for run in range(3):
        for number in range(4):
            consortium.release("north", consortium.slot("train", number, run=f"run-{run}"))
    privacy = consortium.study.privacy.model_copy(update={"epsilon": 2.0})
    consortium.study = consortium.make_study(privacy=privacy)
    result = verify_bundles([consortium.export()["north"]])
    assert ("site north", "epsilon") not in failed(result)
    forged = consortium.export()["north"]

    def cheaper(entries):
        at = of_kind(entries, "study.approved.v1")[0]
        envelope = consortium.sign(consortium.study)
        old = entries[at]["body"]["study"]
        text = json.dumps(entries).replace(old, envelope.digest)
        entries = json.loads(text)
        entries[at]["body"]["envelope"] = envelope.model_dump(mode="json")
        return entries

    consortium.forge("north", cheaper)
    assert ("site north", "epsilon") in failed(verify_bundles([forged]))


def test_more_epsilon_than_the_lifetime_budget_is_caught(bundles, consortium):
    def smaller(entries):
        at = of_kind(entries, "policy.set.v1")[0]
        entries[at]["body"]["lifetime_epsilon"] = 0.5
        return entries

    consortium.forge("north", smaller)
    assert ("site north", "lifetime") in failed(verify(bundles))


def test_a_budget_lowered_after_the_spending_is_no_overspending(bundles, consortium):
    def lower(entries):
        at = of_kind(entries, "policy.set.v1")[0]
        lowered = json.loads(json.dumps(entries[at]))
        lowered["body"]["lifetime_epsilon"] = 0.5
        lowered["time"] = entries[-1]["time"]
        return [*entries, lowered]

    consortium.forge("north", lower)
    assert failed(verify(bundles)) == set()


# -- tampering by the coordinator ----------------------------------------------------------------


def coordinator_change(bundles, consortium, change):
    consortium.forge("coordinator", change)
    return failed(verify(bundles))


def test_a_replayed_receipt_is_caught(bundles, consortium):
    def replay(entries):
        received = of_kind(entries, "release.received.v1")
        entries[received[6]]["body"]["receipt"] = entries[received[3]]["body"]["receipt"]
        entries[received[6]]["body"]["release"] = entries[received[3]]["body"]["release"]
        return entries

    caught = coordinator_change(bundles, consortium, replay)
    assert ("coordinator consortium", "receipts") in caught
    assert ("coordinator consortium", "used") in caught


def test_a_forged_receipt_is_caught(bundles, consortium):
    def edit(entries):
        at = of_kind(entries, "release.received.v1")[4]
        entries[at]["body"]["receipt"]["payload"]["event"]["noise_multiplier"] = 60.0
        return entries

    assert ("coordinator consortium", "receipts") in coordinator_change(bundles, consortium, edit)


def test_an_update_that_no_site_released_is_caught(bundles, consortium):
    def invent(entries):
        at = of_kind(entries, "round.aggregated.v1")[1]
        entries[at]["body"]["used"][0]["release"] = digest(b"invented")
        return entries

    caught = coordinator_change(bundles, consortium, invent)
    assert ("coordinator consortium", "used") in caught
    assert ("all together", "used") in caught


def test_an_update_used_twice_is_caught(bundles, consortium):
    def twice(entries):
        body = entries[of_kind(entries, "round.aggregated.v1")[1]]["body"]
        body["used"].append(body["used"][0])
        return entries

    assert ("coordinator consortium", "used") in coordinator_change(bundles, consortium, twice)


def test_a_broken_chain_of_models_is_caught(bundles, consortium):
    def swap(entries):
        at = of_kind(entries, "round.aggregated.v1")[2]
        entries[at]["body"]["weights_in"] = digest(b"other weights")
        return entries

    assert ("coordinator consortium", "chain") in coordinator_change(bundles, consortium, swap)


def test_other_weights_sent_than_logged_are_caught(bundles, consortium):
    def swap(entries):
        at = of_kind(entries, "round.started.v1")[2]
        entries[at]["body"]["weights"] = digest(b"other weights")
        return entries

    assert ("coordinator consortium", "weights") in coordinator_change(bundles, consortium, swap)


def test_a_model_kept_that_was_not_evaluated_is_caught(bundles, consortium):
    def swap(entries):
        entries[-1]["body"]["weights"] = digest(b"other weights")
        return entries

    assert ("coordinator consortium", "model") in coordinator_change(bundles, consortium, swap)


def test_a_site_that_trained_without_passing_the_gate_is_caught(bundles, consortium):
    def exclude(entries):
        at = of_kind(entries, "gate.decided.v1")[0]
        entries[at]["body"]["included"] = ["east", "west"]
        return entries

    assert ("coordinator consortium", "gate") in coordinator_change(bundles, consortium, exclude)


def test_a_missing_signed_study_is_not_proven(bundles, consortium):
    def drop(entries):
        return [e for e in entries if e["kind"] != "study.signed.v1"]

    consortium.forge("coordinator", drop)
    assert ("coordinator consortium", "studies") in unproven(verify(bundles))


def test_a_release_that_the_coordinator_hides_is_not_proven(bundles, consortium):
    def hide(entries):
        received = of_kind(entries, "release.received.v1")
        at = next(i for i in received if entries[i]["body"]["slot"]["phase"] == "evaluate")
        gone = entries[at]["body"]["release"]
        for entry in entries:
            if entry["kind"] == "evaluation.done.v1":
                entry["body"]["used"] = [u for u in entry["body"]["used"] if u["release"] != gone]
        return [*entries[:at], *entries[at + 1 :]]

    consortium.forge("coordinator", hide)
    result = verify(bundles)
    assert ("all together", "releases") in unproven(result)


def test_a_release_reported_lost_is_explained(bundles, consortium):
    def lose(entries):
        received = of_kind(entries, "release.received.v1")
        at = next(i for i in received if entries[i]["body"]["slot"]["phase"] == "evaluate")
        body = entries[at]["body"]
        entries[at]["kind"] = "site.failed.v1"
        entries[at]["body"] = {
            "study": body["slot"]["study"],
            "run": body["slot"]["run"],
            "site": body["site"],
            "code": "TR002",
            "phase": "evaluate",
            "round": 0,
        }
        for entry in entries:
            if entry["kind"] == "evaluation.done.v1":
                used = entry["body"]["used"]
                entry["body"]["used"] = [u for u in used if u["release"] != body["release"]]
        return entries

    consortium.forge("coordinator", lose)
    assert verify(bundles).verdict == "PASS"


def test_a_reservation_that_never_settled_is_charged_and_passes(consortium):
    consortium.campaign()
    plan = consortium.slot("train", 3, run="run-2")
    from cordon_common.privacy.schedule import planned_events

    event = planned_events(consortium.study).training
    consortium.ledgers["north"].reserve(plan, digest(b"asked"), event, lambda _charges: None)
    result = verify(consortium.export())
    assert failed(result) == set()
    north = next(p for p in result.parts if p.title.startswith("site north"))
    assert [s.releases for s in north.spending] == [7, 7, 7]
    assert consortium.entries_of("north")[-1]["kind"] == "release.reserved.v1"

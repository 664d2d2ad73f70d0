"""What a hospital could do to its own ledger, with its own key, and which row catches it."""

from __future__ import annotations

import pytest

from cordon_common.signing import SigningKey


def edit_event(consortium, **changes):
    def change(entries):
        at = consortium.of_kind(entries, "release.reserved.v1")[2]
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
    consortium.forge("north", edit_event(consortium, **changes))
    caught = consortium.audit(bundles).failed
    assert ("site north", "plan") in caught
    assert ("all together", "receipts") in caught


def test_a_release_that_was_not_logged_is_caught_by_the_coordinators_receipt(bundles, consortium):
    def drop(entries):
        at = consortium.of_kind(entries, "release.settled.v1")[3]
        reserved = entries[at]["body"]["reserved"]
        kept = [e for i, e in enumerate(entries) if i not in {at, reserved}]
        for entry in kept:
            if entry["kind"] == "release.settled.v1" and entry["body"]["reserved"] > reserved:
                entry["body"]["reserved"] -= 2
        return kept

    consortium.forge("north", drop)
    assert {("all together", "receipts"), ("all together", "used")} <= consortium.audit(
        bundles
    ).failed


def test_a_ledger_rolled_back_is_caught_by_the_coordinators_receipts(bundles, consortium):
    consortium.forge("north", lambda entries: entries[:-4])
    caught = consortium.audit(bundles).failed
    assert {("all together", "receipts"), ("all together", "used")} <= caught
    assert not any(title == "site north" for title, _ in caught)


def test_an_edited_approval_is_caught(bundles, consortium):
    def edit(entries):
        at = consortium.of_kind(entries, "study.approved.v1")[0]
        entries[at]["body"]["envelope"]["payload"]["privacy"]["epsilon"] = 50.0
        return entries

    consortium.forge("north", edit)
    assert ("site north", "studies") in consortium.audit(bundles).failed


def test_an_innocent_looking_edit_forks_from_the_receipts(bundles, consortium):
    def edit(entries):
        entries[consortium.of_kind(entries, "site.opened.v1")[0]]["body"]["software"] = {
            "other": "1"
        }
        return entries

    consortium.forge("north", edit)
    result = consortium.audit(bundles)
    assert result.failed == {("all together", "receipts")}
    row = result.together("receipts")
    assert "forked" in row.evidence


def test_two_histories_of_one_ledger_are_caught(bundles, consortium, tmp_path):
    other = tmp_path / "north-for-others.zip"
    other.write_bytes(bundles["north"].read_bytes())

    def edit(entries):
        entries[-1]["time"] = "2026-01-31T23:00:00.000Z"
        return entries

    consortium.forge("north", edit, path=other)
    assert ("all together", "growth") in consortium.audit(bundles, other).failed


def test_an_older_bundle_of_the_same_ledger_fits(bundles, consortium, tmp_path):
    other = tmp_path / "north-before.zip"
    other.write_bytes(bundles["north"].read_bytes())
    consortium.forge("north", lambda entries: entries[:-3], path=other)
    result = consortium.audit(other, bundles["north"])
    assert ("all together", "growth") not in result.failed


def test_a_double_settlement_is_caught(bundles, consortium):
    def twice(entries):
        return [*entries, entries[consortium.of_kind(entries, "release.settled.v1")[0]]]

    consortium.forge("north", twice)
    assert ("site north", "settled") in consortium.audit(bundles).failed


def test_a_settlement_without_reservation_is_caught(bundles, consortium):
    def orphan(entries):
        entries[consortium.of_kind(entries, "release.settled.v1")[-1]]["body"]["reserved"] = 1
        return entries

    consortium.forge("north", orphan)
    assert ("site north", "settled") in consortium.audit(bundles).failed


def test_a_slot_charged_twice_is_caught(bundles, consortium):
    def twice(entries):
        return [*entries, entries[consortium.of_kind(entries, "release.reserved.v1")[0]]]

    consortium.forge("north", twice)
    assert ("site north", "slots") in consortium.audit(bundles).failed


def test_an_approval_after_the_first_release_is_caught(bundles, consortium):
    def late(entries):
        at = consortium.of_kind(entries, "study.approved.v1")[0]
        return [*entries[:at], *entries[at + 1 :], entries[at]]

    consortium.forge("north", late)
    assert ("site north", "approval") in consortium.audit(bundles).failed


def test_a_clock_set_back_is_not_proven(bundles, consortium):
    def back(entries):
        entries[-1]["time"] = "2026-01-30T00:00:00.000Z"
        return entries

    consortium.forge("north", back)
    result = consortium.audit(bundles)
    assert ("site north", "times") in result.unproven
    assert result.verdict != "PASS"


def test_a_malformed_time_is_caught(bundles, consortium):
    def malformed(entries):
        entries[-1]["time"] = "yesterday"
        return entries

    consortium.forge("north", malformed)
    assert ("site north", "times") in consortium.audit(bundles).failed


def test_an_unknown_kind_is_caught(bundles, consortium):
    def strange(entries):
        return [*entries, {"time": entries[-1]["time"], "kind": "budget.raised.v1", "body": {}}]

    consortium.forge("north", strange)
    result = consortium.audit(bundles)
    assert ("site north", "entries") in result.failed
    assert ("site north", "contents") in result.unproven


def test_an_event_of_an_unknown_kind_is_refused_never_free(bundles, consortium):
    consortium.forge("north", edit_event(consortium, kind="laplace.v1"))
    assert ("site north", "entries") in consortium.audit(bundles).failed


def test_a_release_after_the_permit_ended_is_caught(bundles, consortium):
    def late(entries):
        for entry in entries[-2:]:
            entry["time"] = "2099-01-01T00:00:00.000Z"
        return entries

    consortium.forge("north", late)
    assert ("site north", "permit") in consortium.audit(bundles).failed


def test_a_release_after_the_study_was_closed_is_caught(bundles, consortium):
    def closed(entries):
        body = {"study": consortium.study.digest, "reason": "withdrawn"}
        at = consortium.of_kind(entries, "release.reserved.v1")[-1]
        close = {"time": entries[at]["time"], "kind": "study.closed.v1", "body": body}
        entries[-1]["body"]["reserved"] += 1
        return [*entries[:at], close, *entries[at:]]

    consortium.forge("north", closed)
    assert ("site north", "permit") in consortium.audit(bundles).failed


def test_a_study_signed_by_a_stranger_is_caught(bundles, consortium):
    def untrusted(entries):
        at = consortium.of_kind(entries, "policy.set.v2")[0]
        entries[at]["body"]["trusted_coordinators"] = []
        return entries

    consortium.forge("north", untrusted)
    assert ("site north", "studies") in consortium.audit(bundles).failed


def test_the_auditors_own_coordinator_key_counts(bundles, consortium):
    assert consortium.audit(bundles, trusted=[consortium.coordinator_key.public]).verdict == "PASS"
    caught = consortium.audit(bundles, trusted=[SigningKey.generate().public]).failed
    assert {("site north", "studies"), ("coordinator consortium", "studies")} <= caught


def test_a_release_after_a_failed_probe_is_caught(bundles, consortium):
    def probed(entries):
        at = consortium.of_kind(entries, "release.reserved.v1")[0]
        body = {
            "study": entries[at]["body"]["slot"]["study"],
            "passed": False,
            "failed": ["canary"],
            "epsilon_claimed": 1.0,
            "epsilon_lower": 2.0,
            "trials": 200,
            "report": "sha256:" + "0" * 64,
        }
        for entry in entries:
            if entry["kind"] == "release.settled.v1":
                entry["body"]["reserved"] += 1
        return [*entries[:at], entries[at] | {"kind": "probe.done.v1", "body": body}, *entries[at:]]

    consortium.forge("north", probed)
    assert ("site north", "probe") in consortium.audit(bundles).failed

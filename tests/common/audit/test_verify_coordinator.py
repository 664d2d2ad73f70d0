"""What a coordinator could do to its log, with its own key, and which row catches it."""

from __future__ import annotations

from cordon_common.canonical import digest


def coordinator_change(bundles, consortium, change):
    consortium.forge("coordinator", change)
    return consortium.audit(bundles).failed


def test_a_replayed_receipt_is_caught(bundles, consortium):
    def replay(entries):
        received = consortium.of_kind(entries, "release.received.v1")
        entries[received[6]]["body"]["receipt"] = entries[received[3]]["body"]["receipt"]
        entries[received[6]]["body"]["release"] = entries[received[3]]["body"]["release"]
        return entries

    caught = coordinator_change(bundles, consortium, replay)
    assert ("coordinator consortium", "receipts") in caught
    assert ("coordinator consortium", "used") in caught


def test_a_forged_receipt_is_caught(bundles, consortium):
    def edit(entries):
        at = consortium.of_kind(entries, "release.received.v1")[4]
        entries[at]["body"]["receipt"]["payload"]["event"]["noise_multiplier"] = 60.0
        return entries

    assert ("coordinator consortium", "receipts") in coordinator_change(bundles, consortium, edit)


def test_an_update_that_no_site_released_is_caught(bundles, consortium):
    def invent(entries):
        at = consortium.of_kind(entries, "round.aggregated.v1")[1]
        entries[at]["body"]["used"][0]["release"] = digest(b"invented")
        return entries

    caught = coordinator_change(bundles, consortium, invent)
    assert ("coordinator consortium", "used") in caught
    assert ("all together", "used") in caught


def test_an_update_used_twice_is_caught(bundles, consortium):
    def twice(entries):
        body = entries[consortium.of_kind(entries, "round.aggregated.v1")[1]]["body"]
        body["used"].append(body["used"][0])
        return entries

    assert ("coordinator consortium", "used") in coordinator_change(bundles, consortium, twice)


def test_a_broken_chain_of_models_is_caught(bundles, consortium):
    def swap(entries):
        at = consortium.of_kind(entries, "round.aggregated.v1")[2]
        entries[at]["body"]["weights_in"] = digest(b"other weights")
        return entries

    assert ("coordinator consortium", "chain") in coordinator_change(bundles, consortium, swap)


def test_other_weights_sent_than_logged_are_caught(bundles, consortium):
    def swap(entries):
        at = consortium.of_kind(entries, "round.started.v1")[2]
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
        at = consortium.of_kind(entries, "gate.decided.v1")[0]
        entries[at]["body"]["included"] = ["east", "west"]
        return entries

    assert ("coordinator consortium", "gate") in coordinator_change(bundles, consortium, exclude)


def test_a_missing_signed_study_is_not_proven(bundles, consortium):
    def drop(entries):
        return [e for e in entries if e["kind"] != "study.signed.v1"]

    consortium.forge("coordinator", drop)
    assert ("coordinator consortium", "studies") in consortium.audit(bundles).unproven


def test_a_release_that_the_coordinator_hides_is_not_proven(bundles, consortium):
    def hide(entries):
        received = consortium.of_kind(entries, "release.received.v1")
        at = next(i for i in received if entries[i]["body"]["slot"]["phase"] == "evaluate")
        gone = entries[at]["body"]["release"]
        for entry in entries:
            if entry["kind"] == "evaluation.done.v1":
                entry["body"]["used"] = [u for u in entry["body"]["used"] if u["release"] != gone]
        return [*entries[:at], *entries[at + 1 :]]

    consortium.forge("coordinator", hide)
    result = consortium.audit(bundles)
    assert ("all together", "releases") in result.unproven


def test_a_release_reported_lost_is_explained(bundles, consortium):
    def lose(entries):
        received = consortium.of_kind(entries, "release.received.v1")
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
    assert consortium.audit(bundles).verdict == "PASS"


def test_a_reservation_that_never_settled_is_charged_and_passes(consortium):
    consortium.campaign()
    plan = consortium.slot("train", 3, run="run-2")
    from cordon_common.privacy.schedule import planned_events

    event = planned_events(consortium.study).training
    consortium.ledgers["north"].reserve(plan, digest(b"asked"), event, lambda _charges: None)
    result = consortium.audit(consortium.export())
    assert result.failed == set()
    north = next(p for p in result.result.parts if p.title.startswith("site north"))
    assert [s.releases for s in north.spending] == [7, 7, 7]
    assert consortium.entries_of("north")[-1]["kind"] == "release.reserved.v1"

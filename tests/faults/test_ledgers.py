"""Books that were cooked on purpose: `cordon audit verify`, or the ledger itself, finds every one.

The forger holds the owner's key, so signatures and trees fit; what gives them away is everybody
else's copy.
"""

import sqlite3

import pytest
from small_site import clock, make_site, write_cohort

from cordon_common.errors import IntegrityError


def unlogged_release(consortium, entries):
    at = consortium.of_kind(entries, "release.settled.v1")[3]
    reserved = entries[at]["body"]["reserved"]
    kept = [entry for i, entry in enumerate(entries) if i not in {at, reserved}]
    for entry in kept:
        if entry["kind"] == "release.settled.v1" and entry["body"]["reserved"] > reserved:
            entry["body"]["reserved"] -= 2
    return kept


def rolled_back(consortium, entries):
    return entries[:-4]


def fewer_steps(consortium, entries):
    """Rounds beyond the second leave no reservation: fewer steps are accounted than were made."""
    keep, dropped = [], set()
    for i, entry in enumerate(entries):
        slot = entry["body"].get("slot", {})
        if slot.get("phase") == "train" and slot.get("round", 0) >= 2:
            dropped.add(i)
        else:
            keep.append((i, entry))
    for _, entry in keep:
        if entry["kind"] == "release.settled.v1":
            entry["body"]["reserved"] -= sum(i < entry["body"]["reserved"] for i in dropped)
    return [entry for _, entry in keep]


def edited_entry(consortium, entries):
    at = consortium.of_kind(entries, "release.reserved.v1")[2]
    entries[at]["body"]["event"]["noise_multiplier"] *= 2
    return entries


def clock_set_back(consortium, entries):
    entries[-1]["time"] = "2020-01-01T00:00:00.000Z"
    return entries


BOOKS = {
    "one site's release not logged": unlogged_release,
    "ledger rolled back": rolled_back,
    "steps under-counted": fewer_steps,
    "entry edited, tree and signature fitted": edited_entry,
    "clock set back": clock_set_back,
}


@pytest.mark.parametrize("fault", BOOKS)
def test_verify_catches_cooked_books(fault, consortium, caught):
    paths = sorted(consortium.folder.glob("*.zip"))
    assert consortium.audit(*paths).verdict == "PASS"
    consortium.forge("north", lambda entries: BOOKS[fault](consortium, entries))
    verdict = consortium.audit(*paths)
    assert verdict.verdict != "PASS"
    rows = sorted({check for _, check in verdict.failed | verdict.unproven})
    caught(fault, "cordon audit verify", ", ".join(rows[:4]))


def test_verify_catches_a_replayed_receipt(consortium, caught):
    def replay(entries):
        at = consortium.of_kind(entries, "release.received.v1")
        entries[at[-1]]["body"]["receipt"] = entries[at[0]]["body"]["receipt"]
        return entries

    consortium.forge("coordinator", replay)
    failed = consortium.audit(*sorted(consortium.folder.glob("*.zip"))).failed
    assert ("coordinator consortium", "receipts") in failed
    caught("receipt replayed", "cordon audit verify", "receipts")


def test_verify_catches_a_forked_log(consortium, caught):
    fork = consortium.folder / "north-fork.zip"
    fork.write_bytes((consortium.folder / "north.zip").read_bytes())

    def other_end(entries):
        entries[-1]["time"] = entries[-1]["time"][:-4] + "999Z"
        return entries

    consortium.forge("north", other_end, path=fork)
    failed = consortium.audit(*sorted(consortium.folder.glob("*.zip"))).failed
    assert ("all together", "growth") in failed
    caught("log forked", "cordon audit verify", "growth")


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "site", write_cohort(tmp_path / "cohort.csv"))


@pytest.mark.parametrize(
    ("fault", "statement"),
    [
        (
            "entry edited in the file",
            "UPDATE entry SET entry = CAST(replace(entry, 'north', 'nroth') AS BLOB)",
        ),
        ("entry dropped from the file", "DELETE FROM entry WHERE seq = 1"),
    ],
)
def test_a_tampered_ledger_is_not_opened(site, fault, statement, caught):
    from cordon_client.office import Office

    with sqlite3.connect(site.home.ledger) as file:
        names = [
            row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type='trigger'")
        ]
        for name in names:
            file.execute(f"DROP TRIGGER {name}")
        file.execute(statement)
    with pytest.raises(IntegrityError) as refused:
        Office.open(site.home, clock=clock)
    caught(fault, "every cordon site command", refused.value.code)

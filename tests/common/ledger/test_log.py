"""The log: append-only, one transaction, recomputed at every start."""

import sqlite3
import stat
import threading

import pytest

from cordon_common.canonical import canonical_bytes, digest
from cordon_common.errors import IntegrityError, SystemFault
from cordon_common.ledger import merkle
from cordon_common.ledger.checkpoint import open_checkpoint
from cordon_common.ledger.entries import SITE_KINDS, SiteOpened, parse_entry
from cordon_common.ledger.site import site_origin
from cordon_common.signing import SigningKey


def forge(bench, *statements, parameters=()):
    """Write into the file as somebody would who owns it: without the triggers."""
    connection = sqlite3.connect(bench.path)
    for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {row[0]}")
    for statement in statements:
        connection.execute(statement, parameters)
    connection.commit()
    connection.close()


def filled(bench, entries=5):
    ledger = bench.create()
    for round_ in range(entries):
        bench.settle(ledger, bench.reserve(ledger, round_))
    return ledger


def test_entries_are_canonical_and_in_order(bench, ledger):
    bench.settle(ledger, bench.reserve(ledger))
    entries = [parse_entry(data, SITE_KINDS) for data in ledger.log.entries()]
    assert [entry.seq for entry in entries] == [0, 1, 2, 3]
    assert [entry.kind for entry in entries] == [
        "ledger.created.v1",
        "study.approved.v1",
        "release.reserved.v1",
        "release.settled.v1",
    ]
    assert [entry.time for entry in entries] == sorted(entry.time for entry in entries)


def test_the_checkpoint_is_the_root_over_the_entries(bench):
    ledger = filled(bench)
    entries = ledger.log.entries()
    point = open_checkpoint(
        ledger.log.checkpoint(), site_origin("north", "breast"), bench.key.public
    )
    assert point.size == len(entries) == 12
    assert point.root == merkle.root([merkle.leaf_hash(data) for data in entries])


def test_reopening_gives_the_same_ledger(bench):
    ledger = filled(bench)
    before = (ledger.log.entries(), ledger.log.checkpoint(), ledger.charges(), ledger.approvals())
    ledger.close()
    again = bench.open()
    assert before == (
        again.log.entries(),
        again.log.checkpoint(),
        again.charges(),
        again.approvals(),
    )


def test_the_file_is_private_and_alone(bench, ledger):
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o600
    bench.reserve(ledger)
    others = [p for p in bench.path.parent.iterdir() if p != bench.path]
    assert all(p.stat().st_size == 0 for p in others)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET entry = x'00' WHERE seq = 1",
        "DELETE FROM entry WHERE seq = 3",
        "INSERT OR REPLACE INTO entry VALUES (1, x'00', x'00', x'00')",
        "INSERT INTO entry VALUES (99, x'00', x'00', x'00')",
        "UPDATE reply SET reply = x'00'",
        "DELETE FROM reply",
        "INSERT OR REPLACE INTO reply VALUES (2, 'sha256:', x'00')",
    ],
)
def test_sqlite_itself_refuses_to_rewrite(bench, statement):
    filled(bench).close()
    connection = sqlite3.connect(bench.path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()


def test_an_edited_entry_is_named(bench):
    filled(bench).close()
    forge(
        bench,
        "UPDATE entry SET entry = cast(replace(entry, 'run-1', 'run-2') AS BLOB) WHERE seq = 4",
    )
    with pytest.raises(IntegrityError, match="IN101: entry 4 does not fit the tree"):
        bench.open()


def test_a_dropped_entry_is_named(bench):
    filled(bench).close()
    forge(bench, "DELETE FROM entry WHERE seq = 5")
    with pytest.raises(IntegrityError, match="IN101: entry 5 does not fit the tree"):
        bench.open()


def test_a_history_rewritten_with_fitting_hashes_lacks_the_signature(bench):
    ledger = filled(bench)
    data = ledger.log.entries()
    ledger.close()
    data[-1] = data[-1].replace(b"2026-", b"2025-")
    root = merkle.root([merkle.leaf_hash(entry) for entry in data])
    forge(
        bench,
        "UPDATE entry SET entry = ?, root = ? WHERE seq = (SELECT max(seq) FROM entry)",
        parameters=(data[-1], root),
    )
    with pytest.raises(IntegrityError, match="IN102: the head after entry 11"):
        bench.open()


def test_an_unknown_kind_is_refused_even_when_it_fits_the_tree(bench):
    ledger = bench.create()
    data = ledger.log.entries()
    ledger.close()
    data[-1] = canonical_bytes({"seq": 1, "time": "", "kind": "budget.raised.v1", "body": {}})
    root = merkle.root([merkle.leaf_hash(entry) for entry in data])
    forge(bench, "UPDATE entry SET entry = ?, root = ? WHERE seq = 1", parameters=(data[-1], root))
    with pytest.raises(IntegrityError, match="IN103: entry 1"):
        bench.open()


def test_a_double_settlement_is_refused_even_when_it_fits_the_tree(bench):
    ledger = bench.create()
    bench.settle(ledger, bench.reserve(ledger))
    settled = parse_entry(ledger.log.entries()[-1], SITE_KINDS).body
    with pytest.raises(IntegrityError, match="IN109: entry 4 settles"):
        ledger.log.append(settled)
    ledger.close()
    with pytest.raises(IntegrityError, match="IN109: entry 4 settles"):
        bench.open()


def test_a_missing_ledger_is_not_quietly_replaced_by_an_empty_one(bench):
    with pytest.raises(IntegrityError, match="IN106"):
        bench.open()
    assert not bench.path.exists()
    bench.path.touch()
    with pytest.raises(IntegrityError, match="IN106"):
        bench.open()


def test_creating_twice_opens_what_is_there(bench):
    filled(bench).close()
    assert len(bench.open(create=True).charges()) == 5


@pytest.mark.parametrize(
    "changes", [{"site": "south"}, {"dataset": "heart"}, {"key": SigningKey.generate()}]
)
def test_another_sites_ledger_is_refused(bench, changes):
    filled(bench).close()
    with pytest.raises(IntegrityError, match="IN104"):
        bench.open(**changes)


def test_a_file_that_is_no_log_is_refused(bench):
    bench.path.write_bytes(b"patient_id,age\n1,63\n" * 100)
    with pytest.raises(IntegrityError, match="IN101"):
        bench.open()


def test_another_database_is_refused(bench):
    connection = sqlite3.connect(bench.path)
    connection.execute("CREATE TABLE something (x)")
    connection.close()
    with pytest.raises(IntegrityError, match="IN104"):
        bench.open(create=True)


def test_a_folder_that_cannot_be_written_is_a_system_fault(bench):
    bench.path = bench.path.parent / "absent" / "ledger.db"
    with pytest.raises(SystemFault, match="SY101"):
        bench.open(create=True)


def test_a_rollback_under_a_running_process_is_noticed(bench, tmp_path):
    ledger = filled(bench, 2)
    backup = bench.path.read_bytes()
    bench.settle(ledger, bench.reserve(ledger, 7))
    bench.path.write_bytes(backup)
    with pytest.raises(IntegrityError, match="IN107"):
        bench.reserve(ledger, 8)


@pytest.mark.parametrize("backup", [True, False])
def test_a_file_replaced_or_removed_under_a_running_process_is_noticed(bench, backup):
    ledger = filled(bench, 2)
    copy = bench.path.with_suffix(".backup")
    copy.write_bytes(bench.path.read_bytes())
    bench.path.unlink()
    if backup:
        copy.rename(bench.path)
    with pytest.raises(IntegrityError, match="IN107"):
        bench.reserve(ledger, 8)


def test_two_open_ledgers_see_each_others_entries(bench, ledger):
    other = bench.open()
    ticket = bench.reserve(ledger)
    assert bench.reserve(other) == ticket
    assert bench.settle(other, ticket) == b"release|3"
    assert ledger.stored_reply(bench.slot(), ticket.request_digest) == b"release|3"
    assert [c.seq for c in ledger.charges()] == [c.seq for c in other.charges()] == [2]
    other.close()


def test_threads_append_one_at_a_time(bench, ledger):
    def work(start):
        for round_ in range(start, start + 20):
            bench.settle(ledger, bench.reserve(ledger, round_))

    threads = [threading.Thread(target=work, args=(i * 100,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.charges()) == 80
    ledger.close()
    assert len(bench.open().charges()) == 80


def test_an_error_inside_a_transaction_leaves_nothing(bench, ledger):
    before = ledger.log.entries()

    def fail():
        with ledger.log.transaction() as transaction:
            transaction.append(SiteOpened(software={}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.log.entries() == before
    bench.reserve(ledger)
    assert len(ledger.log.entries()) == len(before) + 1


def test_the_digest_of_a_reply_is_not_needed_to_read_the_ledger(bench):
    filled(bench).close()
    forge(bench, "UPDATE reply SET reply = x'00' WHERE reserved = 2")
    ledger = bench.open()
    with pytest.raises(IntegrityError, match="IN110"):
        ledger.stored_reply(bench.slot(0), digest(b"request"))
    assert ledger.stored_reply(bench.slot(1), digest(b"request")) is not None


@pytest.mark.parametrize("seen", [False, True])
def test_an_interruption_right_after_the_commit_never_charges_twice(bench, ledger, seen):
    honest = ledger.log._observe

    def interrupted(entry, position):
        if seen:
            honest(entry, position)
        raise KeyboardInterrupt

    ledger.log._observe = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.reserve(ledger)
    ledger.log._observe = honest
    if seen:
        with pytest.raises(IntegrityError, match="IN109"):
            bench.reserve(ledger)
    else:
        assert bench.reserve(ledger).seq == 2
    assert len(bench.open().charges()) == 1
